-- no-transaction: indexes a user's feedback in its order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_feedback_created
ON feedback (user_id, coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC)
WHERE deleted_at IS NULL;
