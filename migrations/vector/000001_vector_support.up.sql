-- Stores what agents remember, with an embedding to search by.

-- Some managed servers refuse CREATE EXTENSION IF NOT EXISTS to a role that may not create
-- extensions, even where an administrator has installed it already.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector') THEN
        CREATE EXTENSION vector;
    END IF;
END
$$;

CREATE TABLE IF NOT EXISTS memory (
    id TEXT PRIMARY KEY,
    agent_name TEXT,
    user_id TEXT,
    content TEXT,
    embedding vector(768),
    metadata TEXT,
    created_at TIMESTAMPTZ,
    expires_at TIMESTAMPTZ,
    access_count BIGINT DEFAULT 0
);
CREATE INDEX IF NOT EXISTS idx_memory_agent_user ON memory (agent_name, user_id);
CREATE INDEX IF NOT EXISTS idx_memory_expires_at ON memory (expires_at);

COMMENT ON TABLE memory IS 'Something that an agent remembers of a user.';
COMMENT ON COLUMN memory.agent_name IS 'The agent that remembers. Some writers use - in it and others _ in its place.';
COMMENT ON COLUMN memory.user_id IS 'The user of whom it is remembered.';
COMMENT ON COLUMN memory.content IS 'The text that the embedding stands for.';
COMMENT ON COLUMN memory.embedding IS '768 dimensions of float32, compared by cosine distance; NULL if it was never computed.';
COMMENT ON COLUMN memory.metadata IS 'A JSON object as text.';
COMMENT ON COLUMN memory.expires_at IS 'From when on the memory is no longer found; NULL if it stays.';
COMMENT ON COLUMN memory.access_count IS 'How often a search returned the memory; NULL counts as 0.';
