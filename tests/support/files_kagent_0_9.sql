-- The tables that the files of kagent 0.9 create at core 1 and vector 1, without tracking tables, and the
-- column of core 3. Its times are NOT NULL with a default, three numbers are integer, and workload_type
-- has no default. Source: go/core/pkg/migrations of github.com/kagent-dev/kagent, August 2026.

CREATE EXTENSION vector;

CREATE TABLE agent (
    id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    type text NOT NULL,
    config json,
    workload_type text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_agent_deleted_at ON agent (deleted_at);

CREATE TABLE session (
    id text NOT NULL,
    name text,
    user_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    agent_id text,
    source text,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX idx_session_name ON session (name);
CREATE INDEX idx_session_agent_id ON session (agent_id);
CREATE INDEX idx_session_source ON session (source);
CREATE INDEX idx_session_deleted_at ON session (deleted_at);

CREATE TABLE event (
    id text NOT NULL,
    session_id text,
    user_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    data text NOT NULL,
    PRIMARY KEY (id, user_id)
);
CREATE INDEX idx_event_session_id ON event (session_id);
CREATE INDEX idx_event_deleted_at ON event (deleted_at);

CREATE TABLE task (
    id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    data text NOT NULL,
    session_id text,
    PRIMARY KEY (id)
);
CREATE INDEX idx_task_session_id ON task (session_id);
CREATE INDEX idx_task_deleted_at ON task (deleted_at);

CREATE TABLE push_notification (
    id text,
    task_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    data text NOT NULL,
    PRIMARY KEY (id)
);
CREATE INDEX idx_push_notification_task_id ON push_notification (task_id);
CREATE INDEX idx_push_notification_deleted_at ON push_notification (deleted_at);

CREATE TABLE feedback (
    id bigserial,
    created_at timestamptz,
    updated_at timestamptz,
    deleted_at timestamptz,
    user_id text NOT NULL,
    message_id bigint,
    is_positive boolean DEFAULT false,
    feedback_text text NOT NULL,
    issue_type text,
    PRIMARY KEY (id)
);
CREATE INDEX idx_feedback_user_id ON feedback (user_id);
CREATE INDEX idx_feedback_message_id ON feedback (message_id);
CREATE INDEX idx_feedback_deleted_at ON feedback (deleted_at);

CREATE TABLE tool (
    id text NOT NULL,
    server_name text NOT NULL,
    group_kind text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    description text,
    PRIMARY KEY (id, server_name, group_kind)
);
CREATE INDEX idx_tool_deleted_at ON tool (deleted_at);

CREATE TABLE toolserver (
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    name text NOT NULL,
    group_kind text NOT NULL,
    description text,
    last_connected timestamptz,
    PRIMARY KEY (name, group_kind)
);
CREATE INDEX idx_toolserver_deleted_at ON toolserver (deleted_at);

CREATE TABLE lg_checkpoint (
    user_id text NOT NULL,
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    parent_checkpoint_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    metadata text NOT NULL,
    checkpoint text NOT NULL,
    checkpoint_type text NOT NULL,
    version integer DEFAULT 1,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id)
);
CREATE INDEX idx_lg_checkpoint_parent_checkpoint_id ON lg_checkpoint (parent_checkpoint_id);
CREATE INDEX idx_lgcp_list ON lg_checkpoint (created_at);
CREATE INDEX idx_lg_checkpoint_deleted_at ON lg_checkpoint (deleted_at);

CREATE TABLE lg_checkpoint_write (
    user_id text NOT NULL,
    thread_id text NOT NULL,
    checkpoint_ns text NOT NULL DEFAULT '',
    checkpoint_id text NOT NULL,
    write_idx integer NOT NULL,
    value text NOT NULL,
    value_type text NOT NULL,
    channel text NOT NULL,
    task_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    PRIMARY KEY (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx)
);
CREATE INDEX idx_lg_checkpoint_write_deleted_at ON lg_checkpoint_write (deleted_at);

CREATE TABLE crewai_agent_memory (
    user_id text NOT NULL,
    thread_id text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    memory_data text NOT NULL,
    PRIMARY KEY (user_id, thread_id)
);
CREATE INDEX idx_crewai_memory_list ON crewai_agent_memory (created_at);
CREATE INDEX idx_crewai_agent_memory_deleted_at ON crewai_agent_memory (deleted_at);

CREATE TABLE crewai_flow_state (
    user_id text NOT NULL,
    thread_id text NOT NULL,
    method_name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    state_data text NOT NULL,
    PRIMARY KEY (user_id, thread_id, method_name)
);
CREATE INDEX idx_crewai_flow_state_list ON crewai_flow_state (created_at);
CREATE INDEX idx_crewai_flow_state_deleted_at ON crewai_flow_state (deleted_at);

CREATE TABLE memory (
    id text,
    agent_name text,
    user_id text,
    content text,
    embedding vector(768),
    metadata text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    access_count integer DEFAULT 0,
    PRIMARY KEY (id)
);
CREATE INDEX idx_memory_agent_user ON memory (agent_name, user_id);
CREATE INDEX idx_memory_expires_at ON memory (expires_at);
