-- Lets every transaction see the histories of all users again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_history_entry;
ALTER TABLE IF EXISTS agentrows_history_entry NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_history_entry DISABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_history;
ALTER TABLE IF EXISTS agentrows_history NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_history DISABLE ROW LEVEL SECURITY;
