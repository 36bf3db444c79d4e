-- Goes back to ids that every writer chooses.

COMMENT ON COLUMN memory.id IS NULL;

ALTER TABLE memory ALTER COLUMN id DROP DEFAULT;
