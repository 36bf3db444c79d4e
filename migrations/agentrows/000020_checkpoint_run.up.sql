-- no-transaction: indexes the checkpoints of a LangGraph run without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_checkpoint_run
ON lg_checkpoint (user_id, agentrows_run_id)
WHERE agentrows_run_id IS NOT NULL;
