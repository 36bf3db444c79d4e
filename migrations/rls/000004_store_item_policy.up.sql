-- Lets a transaction that names its user see and change the documents of that user alone.

ALTER TABLE agentrows_store_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_store_item FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_store_item;
CREATE POLICY agentrows_owner ON agentrows_store_item USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
