-- Goes back to reading all memories for a search.

DROP INDEX IF EXISTS idx_memory_embedding_hnsw;
