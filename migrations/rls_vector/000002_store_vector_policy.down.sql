-- Lets every transaction see every vector of a document again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_store_vector;
ALTER TABLE IF EXISTS agentrows_store_vector NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_store_vector DISABLE ROW LEVEL SECURITY;
