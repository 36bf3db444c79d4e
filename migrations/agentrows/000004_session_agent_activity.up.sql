-- no-transaction: indexes an agent's sessions by their latest activity without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_agent_activity
ON session (agent_id, coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC, user_id DESC)
WHERE deleted_at IS NULL AND source IS DISTINCT FROM 'agent';
