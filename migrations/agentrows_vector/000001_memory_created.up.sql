-- no-transaction: indexes the memories of an agent and a user by their creation without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_created
ON memory (
    user_id,
    replace(agent_name, '-', '_'),
    coalesce(created_at, '-infinity'::timestamptz) DESC,
    id DESC
);
