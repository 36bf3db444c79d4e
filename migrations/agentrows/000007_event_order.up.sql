-- no-transaction: indexes a session's events in their order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_event_order
ON event (user_id, session_id, coalesce(created_at, '-infinity'::timestamptz), id);
