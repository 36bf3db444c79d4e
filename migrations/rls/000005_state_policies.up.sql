-- Lets a transaction that names its user see and change the states of that user alone.

ALTER TABLE agentrows_session_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_session_state FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_session_state;
CREATE POLICY agentrows_owner ON agentrows_session_state USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE agentrows_user_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_user_state FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_user_state;
CREATE POLICY agentrows_owner ON agentrows_user_state USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
