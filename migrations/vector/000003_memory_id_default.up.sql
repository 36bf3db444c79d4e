-- Lets the database name a memory for which the writer has no id.

ALTER TABLE memory ALTER COLUMN id SET DEFAULT gen_random_uuid();

COMMENT ON COLUMN memory.id IS 'Chosen by the writer, or a random UUID.';
