-- Records in which version of A2A a stored document is written.

ALTER TABLE task ADD COLUMN IF NOT EXISTS protocol_version TEXT;
ALTER TABLE push_notification ADD COLUMN IF NOT EXISTS protocol_version TEXT;

COMMENT ON COLUMN task.protocol_version IS 'The A2A version in which data is written, such as 1.0; NULL for a row older than this column.';
COMMENT ON COLUMN push_notification.protocol_version IS 'The A2A version in which data is written, such as 1.0; NULL for a row older than this column.';
