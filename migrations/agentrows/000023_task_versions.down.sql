-- Removes the versions and states of tasks, their events, and the push notification configs of A2A.

DROP TABLE IF EXISTS agentrows_push_config;
DROP TABLE IF EXISTS agentrows_task_event;
ALTER TABLE IF EXISTS task DROP COLUMN IF EXISTS agentrows_status_ns;
ALTER TABLE IF EXISTS task DROP COLUMN IF EXISTS agentrows_state;
ALTER TABLE IF EXISTS task DROP COLUMN IF EXISTS agentrows_version;
