-- no-transaction: indexes idempotency keys by their feedback without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_feedback_key_row
ON agentrows_feedback_key (feedback_id);
