-- no-transaction: indexes feedback by its age without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_feedback_age
ON feedback (greatest(updated_at, created_at));
