-- Lets a transaction that names its user see and change the task events and the push notification
-- configs of that user alone.

ALTER TABLE agentrows_task_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_task_event FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_task_event;
CREATE POLICY agentrows_owner ON agentrows_task_event USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);

ALTER TABLE agentrows_push_config ENABLE ROW LEVEL SECURITY;
ALTER TABLE agentrows_push_config FORCE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_push_config;
CREATE POLICY agentrows_owner ON agentrows_push_config USING (
    user_id = (SELECT nullif(current_setting('agentrows.user_id', true), ''))
    OR (
        SELECT
            coalesce(current_setting('agentrows.user_id', true), '') = ''
            AND current_setting('agentrows.unscoped', true) IS DISTINCT FROM 'deny'
    )
);
