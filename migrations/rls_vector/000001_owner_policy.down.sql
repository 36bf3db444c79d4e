-- Lets every transaction see every memory again.

DROP POLICY IF EXISTS agentrows_owner ON memory;
ALTER TABLE IF EXISTS memory NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS memory DISABLE ROW LEVEL SECURITY;
