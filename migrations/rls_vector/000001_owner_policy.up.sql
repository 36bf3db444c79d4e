-- Lets a transaction that names its user see and change the memories of that user alone.

ALTER TABLE memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE memory FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON memory;
CREATE POLICY agentrows_owner ON memory USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
