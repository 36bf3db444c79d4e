-- Stores the values of LangGraph channels once per version, as bytes, and the tasks and runs of rows.

ALTER TABLE lg_checkpoint ADD COLUMN IF NOT EXISTS agentrows_run_id TEXT;
ALTER TABLE lg_checkpoint ADD COLUMN IF NOT EXISTS agentrows_checkpoint BYTEA;
ALTER TABLE lg_checkpoint ADD COLUMN IF NOT EXISTS agentrows_channels TEXT [];
ALTER TABLE lg_checkpoint ADD COLUMN IF NOT EXISTS agentrows_versions TEXT [];

ALTER TABLE lg_checkpoint_write ADD COLUMN IF NOT EXISTS agentrows_task_path TEXT;
ALTER TABLE lg_checkpoint_write ADD COLUMN IF NOT EXISTS agentrows_value BYTEA;

CREATE TABLE IF NOT EXISTS agentrows_checkpoint_blob (
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL,
    channel TEXT NOT NULL,
    version TEXT NOT NULL,
    type TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, channel, version)
);

COMMENT ON COLUMN lg_checkpoint.agentrows_run_id IS
'The LangGraph run that stored the checkpoint; NULL if it is unknown.';
COMMENT ON COLUMN lg_checkpoint.agentrows_checkpoint IS
'The serialized checkpoint without the values of its channels, if checkpoint_type begins with agentrows+; else not in use.';
COMMENT ON COLUMN lg_checkpoint.agentrows_channels IS
'The channels with a value, if checkpoint_type begins with agentrows+; else not in use.';
COMMENT ON COLUMN lg_checkpoint.agentrows_versions IS
'The version of the value of each channel, in the order of agentrows_channels.';

COMMENT ON COLUMN lg_checkpoint_write.agentrows_task_path IS
'The path of the LangGraph task, which orders the writes of a checkpoint; NULL if it is unknown.';
COMMENT ON COLUMN lg_checkpoint_write.agentrows_value IS
'The serialized value, if value_type begins with agentrows+; else not in use.';

COMMENT ON TABLE agentrows_checkpoint_blob IS
'A version of the value of a LangGraph channel, which any number of checkpoints share.';
COMMENT ON COLUMN agentrows_checkpoint_blob.user_id IS 'The owner of the thread.';
COMMENT ON COLUMN agentrows_checkpoint_blob.thread_id IS 'The LangGraph thread.';
COMMENT ON COLUMN agentrows_checkpoint_blob.checkpoint_ns IS
'The namespace of the graph: empty for the root graph, a path for a subgraph.';
COMMENT ON COLUMN agentrows_checkpoint_blob.channel IS 'The channel of the value.';
COMMENT ON COLUMN agentrows_checkpoint_blob.version IS 'Chosen by LangGraph; unique for the channel.';
COMMENT ON COLUMN agentrows_checkpoint_blob.type IS
'The serializer''s name for the format of value, such as msgpack.';
COMMENT ON COLUMN agentrows_checkpoint_blob.value IS 'The serialized value.';
