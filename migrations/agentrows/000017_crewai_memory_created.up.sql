-- no-transaction: indexes a user's CrewAI memories by their creation without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_crewai_memory_created
ON crewai_agent_memory (user_id, coalesce(created_at, '-infinity'::timestamptz) DESC)
WHERE deleted_at IS NULL;
