-- Stores the histories of conversations of Pydantic AI, whose messages are shared by forks.

CREATE TABLE IF NOT EXISTS agentrows_history (
    user_id TEXT NOT NULL,
    history_id TEXT NOT NULL,
    scope TEXT,
    head_id TEXT,
    branches TEXT[] NOT NULL,
    revision TEXT NOT NULL,
    data TEXT NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL,
    saved_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, history_id)
);
COMMENT ON TABLE agentrows_history IS
'The history of a conversation: its last entry, and the last entries of the branches that it left.';
COMMENT ON COLUMN agentrows_history.user_id IS 'The owner of the history.';
COMMENT ON COLUMN agentrows_history.history_id IS
'Chosen by the application; unique among the histories of a user.';
COMMENT ON COLUMN agentrows_history.scope IS
'A group of histories, such as a channel; NULL without one.';
COMMENT ON COLUMN agentrows_history.head_id IS
'The last entry of the history; NULL without messages.';
COMMENT ON COLUMN agentrows_history.branches IS
'The last entries of the branches that it left, oldest first.';
COMMENT ON COLUMN agentrows_history.revision IS
'Chosen by the application for each save; a save replaces one revision.';
COMMENT ON COLUMN agentrows_history.data IS 'The record in the form of the application.';
COMMENT ON COLUMN agentrows_history.updated_at IS
'When it was saved, by the clock of the application.';
COMMENT ON COLUMN agentrows_history.saved_at IS
'When it was saved, by the clock of the database.';
CREATE INDEX IF NOT EXISTS agentrows_history_order
ON agentrows_history (user_id, updated_at DESC, history_id);
CREATE INDEX IF NOT EXISTS agentrows_history_scope
ON agentrows_history (user_id, scope, updated_at DESC, history_id);

CREATE TABLE IF NOT EXISTS agentrows_history_entry (
    user_id TEXT NOT NULL,
    id TEXT NOT NULL,
    parent_id TEXT,
    kind TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (user_id, id)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.02,
    toast.autovacuum_vacuum_scale_factor = 0.02
);
COMMENT ON TABLE agentrows_history_entry IS
'A message of one history or of several, which follows the one of its parent.';
COMMENT ON COLUMN agentrows_history_entry.user_id IS 'The owner of the histories.';
COMMENT ON COLUMN agentrows_history_entry.id IS
'Chosen by the application; unique among the entries of a user.';
COMMENT ON COLUMN agentrows_history_entry.parent_id IS
'The entry before this one; NULL for the first one of a history.';
COMMENT ON COLUMN agentrows_history_entry.kind IS
'The kind of the content, such as message.';
COMMENT ON COLUMN agentrows_history_entry.data IS
'The message in the form of the application.';
CREATE INDEX IF NOT EXISTS agentrows_history_entry_parent
ON agentrows_history_entry (user_id, parent_id);
