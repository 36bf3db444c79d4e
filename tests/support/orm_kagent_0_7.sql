-- A database that the ORM of an older release than kagent 0.8 made, and to which that of 0.8 added
-- session.source: the tables of core 1 and vector 1, without tracking tables. Columns stand in another
-- order, two are nullable, feedback has the wider key, which an ORM does not change, memory.id has no
-- default, and there is no HNSW index.

CREATE EXTENSION vector;

CREATE TABLE agent (
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    id text,
    config json,
    type text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_agent_deleted_at ON agent (deleted_at);

CREATE TABLE session (
    user_id text NOT NULL,
    id text NOT NULL,
    agent_id text,
    name text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    source text,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX idx_session_name ON session (name);
CREATE INDEX idx_session_agent_id ON session (agent_id);
CREATE INDEX idx_session_source ON session (source);
CREATE INDEX idx_session_deleted_at ON session (deleted_at);

CREATE TABLE event (
    data text NOT NULL,
    created_at timestamptz,
    id text NOT NULL,
    session_id text,
    user_id text NOT NULL,
    deleted_at timestamptz,
    updated_at timestamptz,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX idx_event_session_id ON event (session_id);
CREATE INDEX idx_event_deleted_at ON event (deleted_at);

CREATE TABLE task (
    session_id text,
    id text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    data text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_task_session_id ON task (session_id);
CREATE INDEX idx_task_deleted_at ON task (deleted_at);

CREATE TABLE push_notification (
    id text,
    data text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    task_id text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_push_notification_task_id ON push_notification (task_id);
CREATE INDEX idx_push_notification_deleted_at ON push_notification (deleted_at);

CREATE TABLE feedback (
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    feedback_text text NOT NULL,
    id bigserial,
    is_positive boolean DEFAULT false,
    issue_type text,
    message_id bigint,
    user_id text NOT NULL,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX idx_feedback_user_id ON feedback (user_id);
CREATE INDEX idx_feedback_message_id ON feedback (message_id);
CREATE INDEX idx_feedback_deleted_at ON feedback (deleted_at);

CREATE TABLE tool (
    description text,
    group_kind text NOT NULL,
    server_name text NOT NULL,
    id text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (id, server_name, group_kind)
);
CREATE INDEX idx_tool_deleted_at ON tool (deleted_at);

CREATE TABLE toolserver (
    last_connected timestamptz,
    group_kind text NOT NULL,
    description text,
    name text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (name, group_kind)
);
CREATE INDEX idx_toolserver_deleted_at ON toolserver (deleted_at);

CREATE TABLE lg_checkpoint (
    version bigint DEFAULT 1,
    user_id text NOT NULL,
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    parent_checkpoint_id text,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    metadata text NOT NULL,
    checkpoint text NOT NULL,
    checkpoint_type text NOT NULL,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id)
);
CREATE INDEX idx_lg_checkpoint_parent_checkpoint_id ON lg_checkpoint (parent_checkpoint_id);
CREATE INDEX idx_lgcp_list ON lg_checkpoint (created_at);
CREATE INDEX idx_lg_checkpoint_deleted_at ON lg_checkpoint (deleted_at);

CREATE TABLE lg_checkpoint_write (
    task_id text NOT NULL,
    channel text NOT NULL,
    value_type text NOT NULL,
    value text NOT NULL,
    write_idx bigint NOT NULL,
    checkpoint_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    thread_id text NOT NULL,
    user_id text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx)
);
CREATE INDEX idx_lg_checkpoint_write_deleted_at ON lg_checkpoint_write (deleted_at);

CREATE TABLE crewai_agent_memory (
    memory_data text NOT NULL,
    thread_id text NOT NULL,
    user_id text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (user_id, thread_id)
);
CREATE INDEX idx_crewai_memory_list ON crewai_agent_memory (created_at);
CREATE INDEX idx_crewai_agent_memory_deleted_at ON crewai_agent_memory (deleted_at);

CREATE TABLE crewai_flow_state (
    state_data text NOT NULL,
    method_name text NOT NULL,
    thread_id text NOT NULL,
    user_id text NOT NULL,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    PRIMARY KEY (user_id, thread_id, method_name)
);
CREATE INDEX idx_crewai_flow_state_list ON crewai_flow_state (created_at);
CREATE INDEX idx_crewai_flow_state_deleted_at ON crewai_flow_state (deleted_at);

CREATE TABLE memory (
    embedding vector(768),
    content text,
    id text,
    user_id text,
    agent_name text,
    created_at timestamptz,
    expires_at timestamptz,
    access_count bigint DEFAULT 0,
    metadata text,
    PRIMARY KEY (id)
);
CREATE INDEX idx_memory_agent_user ON memory (agent_name, user_id);
CREATE INDEX idx_memory_expires_at ON memory (expires_at);
