-- Forgets the keys under which feedback was stored; the feedback stays.

DROP TABLE IF EXISTS agentrows_feedback_key;
