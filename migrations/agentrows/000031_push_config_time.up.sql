-- Documents that storing a push config again renews its time, by which it is pruned.

COMMENT ON COLUMN agentrows_push_config.created_at IS 'When the config was last stored.';
