-- Restores the comment on the time of a push config.

COMMENT ON COLUMN agentrows_push_config.created_at IS 'When the config was first stored.';
