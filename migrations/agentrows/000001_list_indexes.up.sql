-- Lets every list be read a page at a time, in its order, whatever the size of the table.

CREATE INDEX IF NOT EXISTS agentrows_agent_created
ON agent (coalesce(created_at, '-infinity'::timestamptz), id)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_session_user_activity
ON session (user_id, coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_session_user_created
ON session (user_id, coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_session_agent_activity
ON session (agent_id, coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC, user_id DESC)
WHERE deleted_at IS NULL AND source IS DISTINCT FROM 'agent';

CREATE INDEX IF NOT EXISTS agentrows_session_agent_created
ON session (agent_id, coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC, user_id DESC)
WHERE deleted_at IS NULL AND source IS DISTINCT FROM 'agent';

CREATE INDEX IF NOT EXISTS agentrows_session_last_used
ON session (greatest(updated_at, created_at));

CREATE INDEX IF NOT EXISTS agentrows_event_order
ON event (user_id, session_id, coalesce(created_at, '-infinity'::timestamptz), id);

CREATE INDEX IF NOT EXISTS agentrows_feedback_created
ON feedback (user_id, coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_task_order
ON task (session_id, coalesce(created_at, '-infinity'::timestamptz), id)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_tool_server
ON tool (server_name, group_kind, id)
WHERE deleted_at IS NULL;

CREATE INDEX IF NOT EXISTS agentrows_checkpoint_order
ON lg_checkpoint (
    user_id,
    thread_id,
    checkpoint_ns,
    coalesce(created_at, '-infinity'::timestamptz) DESC,
    checkpoint_id DESC
)
WHERE deleted_at IS NULL;
