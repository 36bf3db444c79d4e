-- no-transaction: CONCURRENTLY, because the build of a large index takes minutes
-- Finds the nearest memories with 1024 dimensions; `agentrows memory index` runs this file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_embedding_1024 ON agentrows_memory
USING hnsw (((CASE WHEN vector_dims(embedding) = 1024 THEN embedding END)::vector(1024)) vector_cosine_ops);
