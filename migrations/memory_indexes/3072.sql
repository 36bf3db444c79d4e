-- no-transaction: CONCURRENTLY, because the build of a large index takes minutes
-- Finds the nearest memories with 3072 dimensions; `agentrows memory index` runs this file.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_embedding_3072 ON agentrows_memory
USING hnsw ((l2_normalize(CASE WHEN vector_dims(embedding) = 3072 THEN embedding END)::halfvec(3072)) halfvec_cosine_ops);
