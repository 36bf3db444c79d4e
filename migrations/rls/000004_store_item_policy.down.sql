-- Lets every transaction see every document again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_store_item;
ALTER TABLE IF EXISTS agentrows_store_item NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_store_item DISABLE ROW LEVEL SECURITY;
