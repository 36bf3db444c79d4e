-- no-transaction: indexes a user's sessions by their latest activity without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_user_activity
ON session (user_id, coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;
