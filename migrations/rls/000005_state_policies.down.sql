-- Lets every transaction see every state again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_user_state;
ALTER TABLE IF EXISTS agentrows_user_state NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_user_state DISABLE ROW LEVEL SECURITY;

DROP POLICY IF EXISTS agentrows_owner ON agentrows_session_state;
ALTER TABLE IF EXISTS agentrows_session_state NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_session_state DISABLE ROW LEVEL SECURITY;
