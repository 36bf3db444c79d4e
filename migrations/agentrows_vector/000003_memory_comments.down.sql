-- Restores the earlier comments of the table of memories.

COMMENT ON TABLE memory IS 'Something that an agent remembers of a user.';
COMMENT ON COLUMN memory.id IS 'Chosen by the writer, or a random UUID.';
COMMENT ON COLUMN memory.agent_name IS
'The agent that remembers. Some writers use - in it and others _ in its place.';
COMMENT ON COLUMN memory.user_id IS 'The user of whom it is remembered.';
COMMENT ON COLUMN memory.content IS 'The text that the embedding stands for.';
COMMENT ON COLUMN memory.embedding IS
'768 dimensions of float32, compared by cosine distance; NULL if it was never computed.';
COMMENT ON COLUMN memory.metadata IS 'A JSON object as text.';
COMMENT ON COLUMN memory.created_at IS NULL;
COMMENT ON COLUMN memory.expires_at IS
'From when on the memory is no longer found; NULL if it stays.';
COMMENT ON COLUMN memory.access_count IS
'How often a search returned the memory; NULL counts as 0.';
