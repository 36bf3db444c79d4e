-- Lets a transaction that names its user see and change the vectors of that user alone.

ALTER TABLE agentrows_store_vector ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_store_vector FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_store_vector;
CREATE POLICY agentrows_owner ON agentrows_store_vector USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
