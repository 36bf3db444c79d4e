-- no-transaction: indexes a session's tasks in their order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_task_order
ON task (session_id, coalesce(created_at, '-infinity'::timestamptz), id)
WHERE deleted_at IS NULL;
