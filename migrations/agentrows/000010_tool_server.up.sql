-- no-transaction: indexes the tools of a tool server without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_tool_server
ON tool (server_name, group_kind, id)
WHERE deleted_at IS NULL;
