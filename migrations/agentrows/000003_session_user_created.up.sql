-- no-transaction: indexes a user's sessions by their creation without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_user_created
ON session (user_id, coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;
