-- no-transaction: indexes the accesses of a share, which its deletion removes, without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_share_access_share
ON session_share_access (share_id);
