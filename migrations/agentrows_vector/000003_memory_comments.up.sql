-- Documents the table of memories.

COMMENT ON TABLE memory IS 'A fact that an agent has stored about a user.';
COMMENT ON COLUMN memory.id IS 'Chosen by the application, or a random UUID.';
COMMENT ON COLUMN memory.agent_name IS
'The agent that stored the memory. Some writers replace - with _ in it.';
COMMENT ON COLUMN memory.user_id IS 'The user that the memory is about.';
COMMENT ON COLUMN memory.content IS 'The text of the memory.';
COMMENT ON COLUMN memory.embedding IS
'A (768,) float32 vector of content, compared by cosine similarity; need not be normalized. NULL without one.';
COMMENT ON COLUMN memory.metadata IS 'The text of a JSON object; NULL without one.';
COMMENT ON COLUMN memory.created_at IS
'When the memory was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN memory.expires_at IS
'From this time on the memory is not returned; NULL if it does not expire.';
COMMENT ON COLUMN memory.access_count IS
'The number of searches that returned the memory; NULL counts as 0.';
