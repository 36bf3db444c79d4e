-- no-transaction: indexes the list of agents in its order without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_agent_created
ON agent (coalesce(created_at, '-infinity'::timestamptz), id)
WHERE deleted_at IS NULL;
