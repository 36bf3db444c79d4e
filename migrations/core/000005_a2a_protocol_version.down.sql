-- Forgets in which version of A2A a stored document is written.

ALTER TABLE push_notification DROP COLUMN IF EXISTS protocol_version;
ALTER TABLE task DROP COLUMN IF EXISTS protocol_version;
