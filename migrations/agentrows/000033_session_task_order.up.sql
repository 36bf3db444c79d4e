-- no-transaction: indexes the tasks of a user's session in the order of their creation

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_task_order
ON task (session_id, user_id, coalesce(created_at, '-infinity'::timestamptz), id)
WHERE deleted_at IS NULL;
