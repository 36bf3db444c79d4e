-- Stores JSON documents of users by namespace and key, the long-term memory of agents.

CREATE TABLE IF NOT EXISTS agentrows_store_item (
    user_id TEXT NOT NULL,
    namespace TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    value JSON NOT NULL,
    revision UUID NOT NULL,
    ttl_s DOUBLE PRECISION,
    expires_at TIMESTAMPTZ,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, namespace, key)
);

CREATE INDEX IF NOT EXISTS agentrows_store_item_expiry ON agentrows_store_item (expires_at)
WHERE expires_at IS NOT NULL;

COMMENT ON TABLE agentrows_store_item IS 'A JSON document of a user under a namespace and a key.';
COMMENT ON COLUMN agentrows_store_item.user_id IS 'The owner of the item.';
COMMENT ON COLUMN agentrows_store_item.namespace IS
'The labels of the namespace with a dot before, between and after them, such as .users.mira.; a prefix of labels is one range of the primary key.';
COMMENT ON COLUMN agentrows_store_item.key IS
'Chosen by the application; unique in the namespace of the user.';
COMMENT ON COLUMN agentrows_store_item.value IS
'A JSON object. The type is json and not jsonb, which would refuse NUL and reorder the keys.';
COMMENT ON COLUMN agentrows_store_item.revision IS
'A random id of this value. The vectors of the item have the same id.';
COMMENT ON COLUMN agentrows_store_item.ttl_s IS
'Time to live in seconds, from the last write or refresh; NULL for an item that does not expire.';
COMMENT ON COLUMN agentrows_store_item.expires_at IS
'From this time on the item may be deleted; NULL if it does not expire.';
COMMENT ON COLUMN agentrows_store_item.created_at IS 'When the item was first stored.';
COMMENT ON COLUMN agentrows_store_item.updated_at IS 'When the value was last stored.';
