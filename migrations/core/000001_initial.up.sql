-- Creates the twelve tables of an agent platform, or takes over those that an ORM made earlier.

CREATE TABLE IF NOT EXISTS agent (
    id TEXT PRIMARY KEY,
    type TEXT NOT NULL,
    config JSON,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_agent_deleted_at ON agent (deleted_at);

CREATE TABLE IF NOT EXISTS session (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    name TEXT,
    agent_id TEXT,
    source TEXT,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX IF NOT EXISTS idx_session_name ON session (name);
CREATE INDEX IF NOT EXISTS idx_session_agent_id ON session (agent_id);
CREATE INDEX IF NOT EXISTS idx_session_source ON session (source);
CREATE INDEX IF NOT EXISTS idx_session_deleted_at ON session (deleted_at);

CREATE TABLE IF NOT EXISTS event (
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    session_id TEXT,
    data TEXT NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX IF NOT EXISTS idx_event_session_id ON event (session_id);
CREATE INDEX IF NOT EXISTS idx_event_deleted_at ON event (deleted_at);

CREATE TABLE IF NOT EXISTS task (
    id TEXT PRIMARY KEY,
    data TEXT NOT NULL,
    session_id TEXT,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_task_session_id ON task (session_id);
CREATE INDEX IF NOT EXISTS idx_task_deleted_at ON task (deleted_at);

CREATE TABLE IF NOT EXISTS push_notification (
    id TEXT PRIMARY KEY,
    task_id TEXT NOT NULL,
    data TEXT NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_push_notification_task_id ON push_notification (task_id);
CREATE INDEX IF NOT EXISTS idx_push_notification_deleted_at ON push_notification (deleted_at);

CREATE TABLE IF NOT EXISTS feedback (
    id BIGSERIAL PRIMARY KEY,
    user_id TEXT NOT NULL,
    message_id BIGINT,
    is_positive BOOLEAN NOT NULL DEFAULT false,
    feedback_text TEXT NOT NULL,
    issue_type TEXT,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS idx_feedback_user_id ON feedback (user_id);
CREATE INDEX IF NOT EXISTS idx_feedback_message_id ON feedback (message_id);
CREATE INDEX IF NOT EXISTS idx_feedback_deleted_at ON feedback (deleted_at);

CREATE TABLE IF NOT EXISTS tool (
    id TEXT NOT NULL,
    server_name TEXT NOT NULL,
    group_kind TEXT NOT NULL,
    description TEXT,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (id, server_name, group_kind)
);
CREATE INDEX IF NOT EXISTS idx_tool_deleted_at ON tool (deleted_at);

CREATE TABLE IF NOT EXISTS toolserver (
    name TEXT NOT NULL,
    group_kind TEXT NOT NULL,
    description TEXT,
    last_connected TIMESTAMPTZ,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (name, group_kind)
);
CREATE INDEX IF NOT EXISTS idx_toolserver_deleted_at ON toolserver (deleted_at);

CREATE TABLE IF NOT EXISTS lg_checkpoint (
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    parent_checkpoint_id TEXT,
    metadata TEXT NOT NULL,
    checkpoint TEXT NOT NULL,
    checkpoint_type TEXT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id)
);
CREATE INDEX IF NOT EXISTS idx_lg_checkpoint_parent_checkpoint_id ON lg_checkpoint (parent_checkpoint_id);
CREATE INDEX IF NOT EXISTS idx_lgcp_list ON lg_checkpoint (created_at);
CREATE INDEX IF NOT EXISTS idx_lg_checkpoint_deleted_at ON lg_checkpoint (deleted_at);

CREATE TABLE IF NOT EXISTS lg_checkpoint_write (
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    checkpoint_ns TEXT NOT NULL DEFAULT '',
    checkpoint_id TEXT NOT NULL,
    write_idx BIGINT NOT NULL,
    value TEXT NOT NULL,
    value_type TEXT NOT NULL,
    channel TEXT NOT NULL,
    task_id TEXT NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx)
);
CREATE INDEX IF NOT EXISTS idx_lg_checkpoint_write_deleted_at ON lg_checkpoint_write (deleted_at);

CREATE TABLE IF NOT EXISTS crewai_agent_memory (
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    memory_data TEXT NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, thread_id)
);
CREATE INDEX IF NOT EXISTS idx_crewai_memory_list ON crewai_agent_memory (created_at);
CREATE INDEX IF NOT EXISTS idx_crewai_agent_memory_deleted_at ON crewai_agent_memory (deleted_at);

CREATE TABLE IF NOT EXISTS crewai_flow_state (
    user_id TEXT NOT NULL,
    thread_id TEXT NOT NULL,
    method_name TEXT NOT NULL,
    state_data TEXT NOT NULL,
    created_at TIMESTAMPTZ,
    updated_at TIMESTAMPTZ,
    deleted_at TIMESTAMPTZ,
    PRIMARY KEY (user_id, thread_id, method_name)
);
CREATE INDEX IF NOT EXISTS idx_crewai_flow_state_list ON crewai_flow_state (created_at);
CREATE INDEX IF NOT EXISTS idx_crewai_flow_state_deleted_at ON crewai_flow_state (deleted_at);

COMMENT ON TABLE agent IS 'An agent that the platform runs, and its configuration.';
COMMENT ON COLUMN agent.id IS 'Chosen by the application; unique over all users.';
COMMENT ON COLUMN agent.type IS 'How the agent is defined, in the words of the platform, such as Declarative or BYO.';
COMMENT ON COLUMN agent.config IS 'The agent''s configuration as JSON; NULL if the platform keeps none.';
COMMENT ON COLUMN agent.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE session IS 'A conversation of one user, usually with one agent. The same id may belong to several users.';
COMMENT ON COLUMN session.name IS 'A title for people; NULL if nobody gave one.';
COMMENT ON COLUMN session.agent_id IS 'The agent that the user talks to; NULL if it is not known.';
COMMENT ON COLUMN session.source IS 'Who started the session: user or agent. NULL counts as user.';
COMMENT ON COLUMN session.deleted_at IS 'NULL while the row is live. The id of a deleted session is not used again.';

COMMENT ON TABLE event IS 'One message or step of a session.';
COMMENT ON COLUMN event.id IS 'Chosen by the application; unique for the user.';
COMMENT ON COLUMN event.data IS 'The message as JSON text.';
COMMENT ON COLUMN event.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE task IS 'An A2A task: a unit of work that an agent does for a session.';
COMMENT ON COLUMN task.id IS 'Chosen by the application; unique over all users.';
COMMENT ON COLUMN task.data IS 'The A2A task as JSON text.';
COMMENT ON COLUMN task.deleted_at IS 'NULL while the row is live. The id of a deleted task is not used again.';

COMMENT ON TABLE push_notification IS 'Where to report the progress of a task: one A2A push notification configuration.';
COMMENT ON COLUMN push_notification.data IS 'The A2A push notification configuration as JSON text.';
COMMENT ON COLUMN push_notification.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE feedback IS 'What a user thinks of an answer.';
COMMENT ON COLUMN feedback.message_id IS 'The number of the message that is judged; NULL if it is not known.';
COMMENT ON COLUMN feedback.is_positive IS 'Whether the user was content with the answer.';
COMMENT ON COLUMN feedback.feedback_text IS 'The user''s own words.';
COMMENT ON COLUMN feedback.issue_type IS 'What was wrong: instructions, factual, incomplete or tool. NULL if nothing was named.';
COMMENT ON COLUMN feedback.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE tool IS 'A tool that a tool server offers.';
COMMENT ON COLUMN tool.id IS 'The name by which the tool server knows the tool.';
COMMENT ON COLUMN tool.server_name IS 'The name of the tool server.';
COMMENT ON COLUMN tool.group_kind IS 'The group and kind of the resource that defines the tool server, such as RemoteMCPServer.kagent.dev.';
COMMENT ON COLUMN tool.description IS 'What the tool does, in the words of its server.';
COMMENT ON COLUMN tool.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE toolserver IS 'A server that offers tools to agents.';
COMMENT ON COLUMN toolserver.group_kind IS 'The group and kind of the resource that defines the server, such as RemoteMCPServer.kagent.dev.';
COMMENT ON COLUMN toolserver.last_connected IS 'When the server was last reached; NULL if it never was.';
COMMENT ON COLUMN toolserver.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE lg_checkpoint IS 'The state of a LangGraph thread after one step.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_ns IS 'The namespace of the graph: empty for the root graph, a path for a subgraph.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_id IS 'Sorts as text in the order of creation.';
COMMENT ON COLUMN lg_checkpoint.parent_checkpoint_id IS 'The checkpoint before this one; NULL for the first of a thread.';
COMMENT ON COLUMN lg_checkpoint.metadata IS 'Base64 of a JSON object.';
COMMENT ON COLUMN lg_checkpoint.checkpoint IS 'Base64 of the serialised checkpoint.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_type IS 'The serialiser''s name for the format of checkpoint, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint.version IS 'The version of the row''s format.';
COMMENT ON COLUMN lg_checkpoint.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE lg_checkpoint_write IS 'A write to a LangGraph channel that is pending at a checkpoint.';
COMMENT ON COLUMN lg_checkpoint_write.checkpoint_ns IS 'The namespace of the graph: empty for the root graph, a path for a subgraph.';
COMMENT ON COLUMN lg_checkpoint_write.write_idx IS 'The position of the write among those of its checkpoint, and with it part of the key.';
COMMENT ON COLUMN lg_checkpoint_write.value IS 'Base64 of the serialised value.';
COMMENT ON COLUMN lg_checkpoint_write.value_type IS 'The serialiser''s name for the format of value, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint_write.channel IS 'The channel that is written to.';
COMMENT ON COLUMN lg_checkpoint_write.task_id IS 'The LangGraph task that wrote; not a row of the table task.';
COMMENT ON COLUMN lg_checkpoint_write.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE crewai_agent_memory IS 'What a CrewAI agent remembers of a thread.';
COMMENT ON COLUMN crewai_agent_memory.memory_data IS 'The memory as JSON text.';
COMMENT ON COLUMN crewai_agent_memory.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE crewai_flow_state IS 'The state of a CrewAI flow after one of its methods.';
COMMENT ON COLUMN crewai_flow_state.method_name IS 'The method of the flow after which the state was stored.';
COMMENT ON COLUMN crewai_flow_state.state_data IS 'The state as JSON text.';
COMMENT ON COLUMN crewai_flow_state.deleted_at IS 'NULL while the row is live.';
