-- no-transaction: indexes the tasks of a user's session in the order of their status

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_task_status_order
ON task (
    user_id,
    session_id,
    coalesce(agentrows_status_ns, '-9223372036854775808'::bigint),
    id COLLATE "C"
)
WHERE deleted_at IS NULL;
