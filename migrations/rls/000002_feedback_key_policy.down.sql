-- Lets every transaction see every idempotency key again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_feedback_key;
ALTER TABLE IF EXISTS agentrows_feedback_key NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_feedback_key DISABLE ROW LEVEL SECURITY;
