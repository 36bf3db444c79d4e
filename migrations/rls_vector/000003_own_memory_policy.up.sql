-- Lets a transaction that names its user see and change the memories of that user, in agentrows_memory, alone.

ALTER TABLE agentrows_memory ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_memory FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_memory;
CREATE POLICY agentrows_owner ON agentrows_memory USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
