-- no-transaction: indexes idempotency keys by their age without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_feedback_key_age
ON agentrows_feedback_key (created_at);
