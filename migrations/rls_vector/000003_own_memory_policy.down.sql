-- Lets every transaction see every row of agentrows_memory again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_memory;
ALTER TABLE IF EXISTS agentrows_memory NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_memory DISABLE ROW LEVEL SECURITY;
