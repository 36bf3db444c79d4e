-- Removes the vectors of documents; the documents stay.

DROP TABLE IF EXISTS agentrows_store_vector;
