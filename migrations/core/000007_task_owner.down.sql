-- Forgets the owners of tasks.

ALTER TABLE task DROP COLUMN IF EXISTS user_id;
