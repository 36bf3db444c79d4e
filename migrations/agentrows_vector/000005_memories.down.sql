-- Removes the memories with embeddings of any model.

DROP TABLE IF EXISTS agentrows_memory;
