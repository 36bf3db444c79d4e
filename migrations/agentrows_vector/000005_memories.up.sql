-- Stores memories with embeddings of any model and size, searched by similarity and by words.

-- The settings choose between this table and `memory`, whose embeddings have 768 dimensions. The
-- model is part of the key, so that memories of two models can be stored under the same id.
CREATE TABLE IF NOT EXISTS agentrows_memory (
    id TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    user_id TEXT NOT NULL,
    agent_name TEXT NOT NULL,
    content TEXT NOT NULL,
    embedding vector,
    metadata TEXT,
    words TSVECTOR NOT NULL,
    access_count BIGINT NOT NULL DEFAULT 0,
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    expires_at TIMESTAMPTZ,
    PRIMARY KEY (id, model)
) WITH (fillfactor = 80);

CREATE INDEX IF NOT EXISTS agentrows_memory_owner
ON agentrows_memory (user_id, agent_name, model, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS agentrows_memory_expiry
ON agentrows_memory (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS agentrows_memory_words ON agentrows_memory USING gin (words);

COMMENT ON TABLE agentrows_memory IS 'A fact that an agent has stored about a user.';
COMMENT ON COLUMN agentrows_memory.id IS 'Chosen by the application, or a random UUID.';
COMMENT ON COLUMN agentrows_memory.model IS
'The embedding model. Every statement is limited to one model.';
COMMENT ON COLUMN agentrows_memory.user_id IS 'The user that the memory is about.';
COMMENT ON COLUMN agentrows_memory.agent_name IS 'The agent that stored the memory.';
COMMENT ON COLUMN agentrows_memory.content IS 'The text of the memory.';
COMMENT ON COLUMN agentrows_memory.embedding IS
'An (n,) float32 vector of content with the number of dimensions of the model, compared by cosine similarity; need not be normalized. NULL without one.';
COMMENT ON COLUMN agentrows_memory.metadata IS 'The text of a JSON object; NULL without one.';
COMMENT ON COLUMN agentrows_memory.words IS
'The words of the start of content, for searches by words.';
COMMENT ON COLUMN agentrows_memory.access_count IS
'The number of searches that returned the memory.';
COMMENT ON COLUMN agentrows_memory.created_at IS 'When the memory was first stored.';
COMMENT ON COLUMN agentrows_memory.updated_at IS 'When the memory was last stored.';
COMMENT ON COLUMN agentrows_memory.expires_at IS
'From this time on the memory is not returned; NULL if it does not expire.';
