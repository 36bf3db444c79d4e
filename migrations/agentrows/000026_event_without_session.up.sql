-- no-transaction: indexes the events outside of sessions by their age without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_event_without_session
ON event (greatest(updated_at, created_at))
WHERE session_id IS NULL;
