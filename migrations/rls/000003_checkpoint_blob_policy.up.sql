-- Restricts a transaction with a user to the channel values of that user's threads.

ALTER TABLE agentrows_checkpoint_blob ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_checkpoint_blob FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_checkpoint_blob;
CREATE POLICY agentrows_owner ON agentrows_checkpoint_blob USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
