-- no-transaction: drops the index while readers and writers go on

DROP INDEX CONCURRENTLY IF EXISTS agentrows_session_task_order;
