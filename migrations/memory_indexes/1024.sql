-- no-transaction: CONCURRENTLY, because the build of a large index takes minutes
-- Finds the nearest memories of an owner among those with 1024 dimensions; `agentrows memory index`
-- runs this file. The 64 numbers after the embedding are a hash of the owner.
CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_nearest_1024 ON agentrows_memory
USING hnsw (((
    l2_normalize(
        CASE WHEN vector_dims(embedding) = 1024 AND vector_norm(embedding) > 0 THEN embedding END
    )
    || (
        '[' || rtrim(
            replace(
                replace(
                    hashtextextended(model || ' ' || user_id || ' ' || agent_name, 0)::bit(64)::text,
                    '0', '-.2,'
                ),
                '1', '.2,'
            ), ','
        ) || ']'
    )::vector
)::halfvec(1088)) halfvec_cosine_ops);
