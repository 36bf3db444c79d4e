-- no-transaction: CONCURRENTLY, because the build of a large index takes minutes
-- Finds the nearest memories with 1536 dimensions; `agentrows memory index` runs this file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_embedding_1536 ON agentrows_memory
USING hnsw (((CASE WHEN vector_dims(embedding) = 1536 THEN embedding END)::vector(1536)) vector_cosine_ops);
