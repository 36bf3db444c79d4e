-- no-transaction: indexes shares by a digest of their token without blocking writers

CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_share_token_digest
ON session_share (hashtextextended(token, 7237405416));
