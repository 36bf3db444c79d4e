-- Closes the two columns that an ORM left nullable although they have a default.

UPDATE feedback SET is_positive = false WHERE is_positive IS NULL;
ALTER TABLE feedback ALTER COLUMN is_positive SET DEFAULT false;
ALTER TABLE feedback ALTER COLUMN is_positive SET NOT NULL;

UPDATE lg_checkpoint SET version = 1 WHERE version IS NULL;
ALTER TABLE lg_checkpoint ALTER COLUMN version SET DEFAULT 1;
ALTER TABLE lg_checkpoint ALTER COLUMN version SET NOT NULL;
