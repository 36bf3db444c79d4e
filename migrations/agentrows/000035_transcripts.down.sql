-- Removes the transcripts; nothing else contains them.

DROP TABLE IF EXISTS agentrows_transcript_entry;
DROP TABLE IF EXISTS agentrows_transcript;
