-- no-transaction: indexes the sessions that nobody used for long without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_session_last_used
ON session (greatest(updated_at, created_at));
