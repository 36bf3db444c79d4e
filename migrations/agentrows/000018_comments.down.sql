-- Restores the earlier comments of the tables.

COMMENT ON COLUMN agent.created_at IS NULL;
COMMENT ON COLUMN agent.updated_at IS NULL;
COMMENT ON COLUMN agent.type IS
'How the agent is defined, in the words of the platform, such as Declarative or BYO.';
COMMENT ON COLUMN agent.config IS
'The agent''s configuration as JSON; NULL if the platform keeps none.';
COMMENT ON COLUMN agent.id IS 'Chosen by the application; unique over all users.';
COMMENT ON COLUMN agent.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE session IS
'A conversation of one user, usually with one agent. The same id may belong to several users.';
COMMENT ON COLUMN session.id IS NULL;
COMMENT ON COLUMN session.user_id IS NULL;
COMMENT ON COLUMN session.name IS 'A title for people; NULL if nobody gave one.';
COMMENT ON COLUMN session.agent_id IS 'The agent that the user talks to; NULL if it is not known.';
COMMENT ON COLUMN session.source IS 'Who started the session: user or agent. NULL counts as user.';
COMMENT ON COLUMN session.created_at IS NULL;
COMMENT ON COLUMN session.updated_at IS NULL;
COMMENT ON COLUMN session.deleted_at IS
'NULL while the row is live. The id of a deleted session is not used again.';

COMMENT ON COLUMN event.user_id IS NULL;
COMMENT ON COLUMN event.session_id IS NULL;
COMMENT ON COLUMN event.created_at IS NULL;
COMMENT ON COLUMN event.deleted_at IS 'NULL while the row is live.';

COMMENT ON COLUMN task.id IS 'Chosen by the application; unique over all users.';
COMMENT ON COLUMN task.session_id IS NULL;
COMMENT ON COLUMN task.created_at IS NULL;
COMMENT ON COLUMN task.updated_at IS NULL;
COMMENT ON COLUMN task.deleted_at IS
'NULL while the row is live. The id of a deleted task is not used again.';
COMMENT ON COLUMN task.user_id IS
'The owner; NULL for an older row whose session does not tell it, which nobody sees.';
COMMENT ON COLUMN task.protocol_version IS
'The A2A version in which data is written, such as 1.0; NULL for a row older than this column.';

COMMENT ON TABLE push_notification IS
'Where to report the progress of a task: one A2A push notification configuration.';
COMMENT ON COLUMN push_notification.id IS NULL;
COMMENT ON COLUMN push_notification.task_id IS NULL;
COMMENT ON COLUMN push_notification.created_at IS NULL;
COMMENT ON COLUMN push_notification.updated_at IS NULL;
COMMENT ON COLUMN push_notification.data IS 'The A2A push notification configuration as JSON text.';
COMMENT ON COLUMN push_notification.deleted_at IS 'NULL while the row is live.';
COMMENT ON COLUMN push_notification.protocol_version IS
'The A2A version in which data is written, such as 1.0; NULL for a row older than this column.';

COMMENT ON TABLE feedback IS 'What a user thinks of an answer.';
COMMENT ON COLUMN feedback.id IS NULL;
COMMENT ON COLUMN feedback.user_id IS NULL;
COMMENT ON COLUMN feedback.message_id IS
'The number of the message that is judged; NULL if it is not known.';
COMMENT ON COLUMN feedback.is_positive IS 'Whether the user was content with the answer.';
COMMENT ON COLUMN feedback.issue_type IS
'What was wrong: instructions, factual, incomplete or tool. NULL if nothing was named.';
COMMENT ON COLUMN feedback.created_at IS NULL;
COMMENT ON COLUMN feedback.deleted_at IS 'NULL while the row is live.';

COMMENT ON COLUMN tool.id IS 'The name by which the tool server knows the tool.';
COMMENT ON COLUMN tool.description IS 'What the tool does, in the words of its server.';
COMMENT ON COLUMN tool.updated_at IS NULL;
COMMENT ON COLUMN tool.deleted_at IS 'NULL while the row is live.';

COMMENT ON COLUMN toolserver.name IS NULL;
COMMENT ON COLUMN toolserver.description IS NULL;
COMMENT ON COLUMN toolserver.updated_at IS NULL;
COMMENT ON COLUMN toolserver.deleted_at IS 'NULL while the row is live.';

COMMENT ON COLUMN lg_checkpoint.user_id IS NULL;
COMMENT ON COLUMN lg_checkpoint.thread_id IS NULL;
COMMENT ON COLUMN lg_checkpoint.checkpoint_id IS 'Sorts as text in the order of creation.';
COMMENT ON COLUMN lg_checkpoint.parent_checkpoint_id IS
'The checkpoint before this one; NULL for the first of a thread.';
COMMENT ON COLUMN lg_checkpoint.metadata IS 'Base64 of a JSON object.';
COMMENT ON COLUMN lg_checkpoint.checkpoint IS 'Base64 of the serialised checkpoint.';
COMMENT ON COLUMN lg_checkpoint.checkpoint_type IS
'The serialiser''s name for the format of checkpoint, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint.version IS 'The version of the row''s format.';
COMMENT ON COLUMN lg_checkpoint.created_at IS NULL;
COMMENT ON COLUMN lg_checkpoint.updated_at IS NULL;
COMMENT ON COLUMN lg_checkpoint.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE lg_checkpoint_write IS
'A write to a LangGraph channel that is pending at a checkpoint.';
COMMENT ON COLUMN lg_checkpoint_write.user_id IS NULL;
COMMENT ON COLUMN lg_checkpoint_write.thread_id IS NULL;
COMMENT ON COLUMN lg_checkpoint_write.checkpoint_id IS NULL;
COMMENT ON COLUMN lg_checkpoint_write.write_idx IS
'The position of the write among those of its checkpoint, and with it part of the key.';
COMMENT ON COLUMN lg_checkpoint_write.value IS 'Base64 of the serialised value.';
COMMENT ON COLUMN lg_checkpoint_write.value_type IS
'The serialiser''s name for the format of value, such as msgpack.';
COMMENT ON COLUMN lg_checkpoint_write.channel IS 'The channel that is written to.';
COMMENT ON COLUMN lg_checkpoint_write.task_id IS
'The LangGraph task that wrote; not a row of the table task.';
COMMENT ON COLUMN lg_checkpoint_write.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE crewai_agent_memory IS 'What a CrewAI agent remembers of a thread.';
COMMENT ON COLUMN crewai_agent_memory.user_id IS NULL;
COMMENT ON COLUMN crewai_agent_memory.thread_id IS NULL;
COMMENT ON COLUMN crewai_agent_memory.memory_data IS 'The memory as JSON text.';
COMMENT ON COLUMN crewai_agent_memory.created_at IS NULL;
COMMENT ON COLUMN crewai_agent_memory.updated_at IS NULL;
COMMENT ON COLUMN crewai_agent_memory.deleted_at IS 'NULL while the row is live.';

COMMENT ON COLUMN crewai_flow_state.user_id IS NULL;
COMMENT ON COLUMN crewai_flow_state.thread_id IS NULL;
COMMENT ON COLUMN crewai_flow_state.updated_at IS NULL;
COMMENT ON COLUMN crewai_flow_state.deleted_at IS 'NULL while the row is live.';

COMMENT ON TABLE session_share IS 'A link by which a user shares a session with others.';
COMMENT ON COLUMN session_share.id IS NULL;
COMMENT ON COLUMN session_share.token IS
'The secret part of the link; whoever has it may read the session.';
COMMENT ON COLUMN session_share.session_id IS NULL;
COMMENT ON COLUMN session_share.user_id IS 'The owner of the session, who shares it.';
COMMENT ON COLUMN session_share.read_only IS 'Whether the link only lets its holders read.';
COMMENT ON COLUMN session_share.created_at IS
'Without a time zone: in the time zone of the database session that inserted the row.';

COMMENT ON TABLE session_share_access IS 'That a user has opened a shared session.';
COMMENT ON COLUMN session_share_access.user_id IS 'Who opened the link.';
COMMENT ON COLUMN session_share_access.share_id IS NULL;
COMMENT ON COLUMN session_share_access.accessed_at IS
'Without a time zone: in the time zone of the database session that wrote it.';

COMMENT ON TABLE agentrows_feedback_key IS 'Which feedback a user stored under a key.';
COMMENT ON COLUMN agentrows_feedback_key.user_id IS NULL;
COMMENT ON COLUMN agentrows_feedback_key.feedback_id IS NULL;
COMMENT ON COLUMN agentrows_feedback_key.created_at IS NULL;
