-- Lets every transaction see the targets of all feedback again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_feedback_target;
ALTER TABLE IF EXISTS agentrows_feedback_target NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_feedback_target DISABLE ROW LEVEL SECURITY;
