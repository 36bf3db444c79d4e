-- no-transaction: CONCURRENTLY, because the build of a large index takes minutes
-- Finds the nearest memories with 768 dimensions; `agentrows memory index` runs this file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_embedding_768 ON agentrows_memory
USING hnsw (((CASE WHEN vector_dims(embedding) = 768 THEN embedding END)::vector(768)) vector_cosine_ops);
