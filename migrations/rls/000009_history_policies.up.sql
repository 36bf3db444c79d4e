-- Lets a transaction that names its user see and change the histories of that user alone.

ALTER TABLE agentrows_history ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_history FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_history;
CREATE POLICY agentrows_owner ON agentrows_history USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE agentrows_history_entry ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_history_entry FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_history_entry;
CREATE POLICY agentrows_owner ON agentrows_history_entry USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
