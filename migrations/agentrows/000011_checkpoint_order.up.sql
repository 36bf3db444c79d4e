-- no-transaction: indexes a thread's checkpoints in their order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_checkpoint_order
ON lg_checkpoint (
    user_id,
    thread_id,
    checkpoint_ns,
    coalesce(created_at, '-infinity'::timestamptz) DESC,
    checkpoint_id DESC
)
WHERE deleted_at IS NULL;
