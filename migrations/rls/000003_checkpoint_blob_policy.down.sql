-- Removes the restriction of channel values to one user.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_checkpoint_blob;
ALTER TABLE IF EXISTS agentrows_checkpoint_blob NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_checkpoint_blob DISABLE ROW LEVEL SECURITY;
