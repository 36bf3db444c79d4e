-- Stores vectors of documents in agentrows_store_item, for searches by similarity.

-- No foreign key, because the table of the items is in another track. A vector is valid while it
-- has the revision of its item, so a vector of an earlier value is never returned.
CREATE TABLE IF NOT EXISTS agentrows_store_vector (
    user_id TEXT NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    space TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    revision UUID NOT NULL,
    embedding vector NOT NULL,
    PRIMARY KEY (user_id, namespace, key, space, ordinal)
);

COMMENT ON TABLE agentrows_store_vector IS 'A vector of a document in agentrows_store_item.';
COMMENT ON COLUMN agentrows_store_vector.user_id IS 'The owner of the item.';
COMMENT ON COLUMN agentrows_store_vector.namespace IS 'The namespace of the item, in the same form.';
COMMENT ON COLUMN agentrows_store_vector.key IS 'The key of the item.';
COMMENT ON COLUMN agentrows_store_vector.space IS
'The embedding space, such as the name of the model. Vectors of one space can be compared.';
COMMENT ON COLUMN agentrows_store_vector.ordinal IS
'The position among the vectors of the item, which has one for each indexed text.';
COMMENT ON COLUMN agentrows_store_vector.revision IS
'The revision of the item with the embedded text. The vector is ignored if the item has another.';
COMMENT ON COLUMN agentrows_store_vector.embedding IS
'An (n,) float32 vector with the number of dimensions of its space; need not be normalized.';
