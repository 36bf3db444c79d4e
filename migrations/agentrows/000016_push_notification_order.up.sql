-- no-transaction: indexes a task's push notification configs in their order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_push_notification_order
ON push_notification (
    task_id, coalesce(created_at, '-infinity'::timestamptz), split_part(id, E'\x1f', 1)
)
WHERE deleted_at IS NULL;
