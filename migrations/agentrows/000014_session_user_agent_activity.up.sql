-- no-transaction: indexes a user's sessions with one agent by their activity without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_user_agent_activity
ON session (
    user_id, agent_id, coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC
)
WHERE deleted_at IS NULL AND source IS DISTINCT FROM 'agent';
