-- no-transaction: indexes a user's tasks in the order of their status without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_task_status_order
ON task (user_id, coalesce(agentrows_status_ns, '-9223372036854775808'::bigint), id COLLATE "C")
WHERE deleted_at IS NULL;
