-- Leaves the lists to the indexes of the core track.

DROP INDEX IF EXISTS agentrows_checkpoint_order;
DROP INDEX IF EXISTS agentrows_tool_server;
DROP INDEX IF EXISTS agentrows_task_order;
DROP INDEX IF EXISTS agentrows_feedback_created;
DROP INDEX IF EXISTS agentrows_event_order;
DROP INDEX IF EXISTS agentrows_session_last_used;
DROP INDEX IF EXISTS agentrows_session_agent_created;
DROP INDEX IF EXISTS agentrows_session_agent_activity;
DROP INDEX IF EXISTS agentrows_session_user_created;
DROP INDEX IF EXISTS agentrows_session_user_activity;
DROP INDEX IF EXISTS agentrows_agent_created;
