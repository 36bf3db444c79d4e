-- Documents the columns of the core tables that users of the library read.

COMMENT ON COLUMN agent.created_at IS 'When the agent was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN agent.updated_at IS 'When the agent was last changed.';
COMMENT ON COLUMN agent.type IS
'The kind of definition, as the platform names it, such as Declarative or BYO.';
COMMENT ON COLUMN agent.config IS 'The configuration as JSON; NULL without one.';
COMMENT ON COLUMN agent.id IS 'Chosen by the application; unique across all users.';
COMMENT ON COLUMN agent.deleted_at IS 'When the agent was deleted; NULL while the row is live.';

COMMENT ON TABLE session IS
'A conversation of one user, usually with one agent. Several users may have sessions with the same id.';
COMMENT ON COLUMN session.id IS 'Chosen by the application; unique for the user.';
COMMENT ON COLUMN session.user_id IS 'The owner of the session.';
COMMENT ON COLUMN session.name IS 'The title of the session; NULL without one.';
COMMENT ON COLUMN session.agent_id IS 'The agent of the conversation; NULL if it is unknown.';
COMMENT ON COLUMN session.source IS
'The starter of the session: user or agent. NULL counts as user.';
COMMENT ON COLUMN session.created_at IS
'When the session was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN session.updated_at IS
'When the session was last active: stored, or given an event or a task.';
COMMENT ON COLUMN session.deleted_at IS
'When the session was deleted, after which its id cannot be reused; NULL while the row is live.';

COMMENT ON COLUMN event.user_id IS 'The owner of the event.';
COMMENT ON COLUMN event.session_id IS
'The session of the event, of the same user; NULL for an event outside of sessions.';
COMMENT ON COLUMN event.created_at IS
'When the event was stored, which orders the events of a session; NULL sorts as the oldest.';
COMMENT ON COLUMN event.deleted_at IS
'When the event was deleted, after which its id cannot be reused; NULL while the row is live.';

COMMENT ON COLUMN task.id IS 'Chosen by the application; unique across all users.';
COMMENT ON COLUMN task.session_id IS
'The session of the task; NULL for a task outside of sessions.';
COMMENT ON COLUMN task.created_at IS 'When the task was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN task.updated_at IS 'When the task was last stored.';
COMMENT ON COLUMN task.deleted_at IS
'When the task was deleted, after which its id cannot be reused; NULL while the row is live.';
COMMENT ON COLUMN task.user_id IS
'The owner of the task; NULL for a row older than this column whose session does not determine the owner.';
COMMENT ON COLUMN task.protocol_version IS
'The A2A version of data, such as 1.0; NULL for a row older than this column.';

COMMENT ON TABLE push_notification IS
'A push notification configuration of A2A: the address to which the progress of a task is reported.';
COMMENT ON COLUMN push_notification.id IS 'Chosen by the application; unique for the task.';
COMMENT ON COLUMN push_notification.task_id IS 'The task that is reported.';
COMMENT ON COLUMN push_notification.created_at IS
'When the config was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN push_notification.updated_at IS 'When the config was last stored.';
COMMENT ON COLUMN push_notification.data IS
'The push notification configuration of A2A as JSON text.';
COMMENT ON COLUMN push_notification.deleted_at IS
'When the config was deleted; NULL while the row is live.';
COMMENT ON COLUMN push_notification.protocol_version IS
'The A2A version of data, such as 1.0; NULL for a row older than this column.';

COMMENT ON TABLE feedback IS 'A user''s verdict on a message of an agent.';
COMMENT ON COLUMN feedback.id IS 'Assigned by the database.';
COMMENT ON COLUMN feedback.user_id IS 'The author of the feedback.';
COMMENT ON COLUMN feedback.message_id IS 'The number of the message; NULL if it is unknown.';
COMMENT ON COLUMN feedback.is_positive IS 'Whether the user was content with the message.';
COMMENT ON COLUMN feedback.issue_type IS
'The kind of problem: instructions, factual, incomplete or tool. NULL without one.';
COMMENT ON COLUMN feedback.created_at IS 'When the feedback was stored; NULL sorts as the oldest.';
COMMENT ON COLUMN feedback.deleted_at IS
'When the feedback was deleted; NULL while the row is live.';

COMMENT ON COLUMN tool.id IS 'The tool''s name on its server.';
COMMENT ON COLUMN tool.description IS 'The server''s description of the tool; NULL without one.';
COMMENT ON COLUMN tool.updated_at IS 'When the tool was last stored.';
COMMENT ON COLUMN tool.deleted_at IS 'When the tool was deleted; NULL while the row is live.';

COMMENT ON COLUMN toolserver.name IS 'The name of the server; unique in its group kind.';
COMMENT ON COLUMN toolserver.description IS 'A description of the server; NULL without one.';
COMMENT ON COLUMN toolserver.updated_at IS 'When the server was last stored.';
COMMENT ON COLUMN toolserver.deleted_at IS
'When the server was deleted; NULL while the row is live.';

COMMENT ON COLUMN lg_checkpoint.user_id IS 'The owner of the thread.';
COMMENT ON COLUMN lg_checkpoint.thread_id IS
'The LangGraph thread, usually the id of a session of the user.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_id IS
'Chosen by LangGraph; grows with time within a thread, as text.';
COMMENT ON COLUMN lg_checkpoint.parent_checkpoint_id IS
'The previous checkpoint; NULL for the first one of a thread.';
COMMENT ON COLUMN lg_checkpoint.metadata IS 'Base64 of the text of a JSON object.';
COMMENT ON COLUMN lg_checkpoint.checkpoint IS 'Base64 of the serialized checkpoint.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_type IS
'The serializer''s name for the format of checkpoint, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint.version IS 'The version of the format of the row.';
COMMENT ON COLUMN lg_checkpoint.created_at IS
'When the checkpoint was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN lg_checkpoint.updated_at IS 'When the checkpoint was last stored.';
COMMENT ON COLUMN lg_checkpoint.deleted_at IS
'When the checkpoint was deleted; NULL while the row is live.';

COMMENT ON TABLE lg_checkpoint_write IS
'A pending write to a channel of LangGraph, at a checkpoint.';
COMMENT ON COLUMN lg_checkpoint_write.user_id IS 'The owner of the thread.';
COMMENT ON COLUMN lg_checkpoint_write.thread_id IS
'The LangGraph thread, usually the id of a session of the user.';
COMMENT ON COLUMN lg_checkpoint_write.checkpoint_id IS
'The checkpoint at which the write is pending.';
COMMENT ON COLUMN lg_checkpoint_write.write_idx IS
'The index of the write, plus 16, in the lowest 20 bits; a hash of task_id in the other bits.';
COMMENT ON COLUMN lg_checkpoint_write.value IS 'Base64 of the serialized value.';
COMMENT ON COLUMN lg_checkpoint_write.value_type IS
'The serializer''s name for the format of value, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint_write.channel IS 'The channel of the write.';
COMMENT ON COLUMN lg_checkpoint_write.task_id IS
'The LangGraph task of the write; not a row of the table task.';
COMMENT ON COLUMN lg_checkpoint_write.deleted_at IS
'When the write was deleted; NULL while the row is live.';

COMMENT ON TABLE crewai_agent_memory IS 'The long-term memory of a CrewAI crew for one thread.';
COMMENT ON COLUMN crewai_agent_memory.user_id IS 'The owner of the thread.';
COMMENT ON COLUMN crewai_agent_memory.thread_id IS
'The thread of the crew, usually the id of a session of the user.';
COMMENT ON COLUMN crewai_agent_memory.memory_data IS
'The memory as JSON text, searched by its keys task_description and score.';
COMMENT ON COLUMN crewai_agent_memory.created_at IS
'When the memory was first stored; NULL sorts as the oldest.';
COMMENT ON COLUMN crewai_agent_memory.updated_at IS 'When the memory was last stored.';
COMMENT ON COLUMN crewai_agent_memory.deleted_at IS
'When the memory was deleted; NULL while the row is live.';

COMMENT ON COLUMN crewai_flow_state.user_id IS 'The owner of the thread.';
COMMENT ON COLUMN crewai_flow_state.thread_id IS
'The thread of the flow, usually the id of a session of the user.';
COMMENT ON COLUMN crewai_flow_state.updated_at IS
'When the state was last stored; the newest one is the current state.';
COMMENT ON COLUMN crewai_flow_state.deleted_at IS
'When the state was deleted; NULL while the row is live.';

COMMENT ON TABLE session_share IS 'A share of a session: a token that lets other users open it.';
COMMENT ON COLUMN session_share.id IS 'Assigned by the database; grows with time.';
COMMENT ON COLUMN session_share.token IS 'The secret token, or its digest if tokens are hashed.';
COMMENT ON COLUMN session_share.session_id IS 'The shared session, of the same user.';
COMMENT ON COLUMN session_share.user_id IS 'The owner of the session.';
COMMENT ON COLUMN session_share.read_only IS 'Whether the token only permits reading.';
COMMENT ON COLUMN session_share.created_at IS
'When the session was shared, without a time zone: in UTC, or in the time zone of another writer.';

COMMENT ON TABLE session_share_access IS
'An access to a shared session: one row for each user and share.';
COMMENT ON COLUMN session_share_access.user_id IS 'The user that opened the share.';
COMMENT ON COLUMN session_share_access.share_id IS 'The share that was opened.';
COMMENT ON COLUMN session_share_access.accessed_at IS
'When the user last opened the share, without a time zone: in UTC, or in the time zone of another writer.';

COMMENT ON TABLE agentrows_feedback_key IS
'The feedback that a user stored under an idempotency key.';
COMMENT ON COLUMN agentrows_feedback_key.user_id IS 'The author of the feedback.';
COMMENT ON COLUMN agentrows_feedback_key.feedback_id IS
'The row of feedback that was stored under the key.';
COMMENT ON COLUMN agentrows_feedback_key.created_at IS 'When the key was first used.';
