-- Lets every transaction see all task events and push notification configs again.

DROP POLICY IF EXISTS agentrows_owner ON agentrows_push_config;
ALTER TABLE IF EXISTS agentrows_push_config NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_push_config DISABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS agentrows_owner ON agentrows_task_event;
ALTER TABLE IF EXISTS agentrows_task_event NO FORCE ROW LEVEL SECURITY;
ALTER TABLE IF EXISTS agentrows_task_event DISABLE ROW LEVEL SECURITY;
