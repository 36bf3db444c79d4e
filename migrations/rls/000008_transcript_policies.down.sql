-- Lets every transaction see the transcripts of all users again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_transcript_entry;
ALTER TABLE IF EXISTS agentrows_transcript_entry NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_transcript_entry DISABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_transcript;
ALTER TABLE IF EXISTS agentrows_transcript NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_transcript DISABLE ROW LEVEL SECURITY;
