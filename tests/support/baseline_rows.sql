-- Rows for every table of core 1 and vector 1; those of the ORM's baseline with NULLs where the
-- migrations have to fill something in.

INSERT INTO agent (id, type, config, created_at) VALUES
    ('travel', 'Declarative', '{"model": "m"}', '2025-01-01'), ('byo', 'BYO', NULL, NULL);

INSERT INTO session (id, user_id, name, agent_id, source, deleted_at) VALUES
    ('s-one', 'mira', 'A trip', 'travel', 'user', NULL),
    ('s-both', 'mira', NULL, NULL, NULL, NULL),
    ('s-both', 'juno', NULL, NULL, NULL, NULL),
    ('s-both-once', 'mira', NULL, NULL, NULL, NULL),
    ('s-both-once', 'juno', NULL, NULL, NULL, '2025-02-01'),
    ('s-deleted', 'juno', NULL, NULL, 'agent', '2025-02-01');

INSERT INTO event (id, user_id, session_id, data) VALUES
    ('e-1', 'mira', 's-one', '{}'), ('e-1', 'juno', NULL, '{}');

INSERT INTO task (id, session_id, data) VALUES
    ('t-one-user', 's-one', '{"n": 1}'),
    ('t-two-users', 's-both', '{"n": 2}'),
    ('t-two-users-one-deleted', 's-both-once', '{"n": 3}'),
    ('t-deleted-session', 's-deleted', '{"n": 4}'),
    ('t-unknown-session', 's-nowhere', '{"n": 5}'),
    ('t-no-session', NULL, '{"n": 6}');

INSERT INTO push_notification (id, task_id, data) VALUES ('p-1', 't-one-user', '{}');

INSERT INTO feedback (user_id, is_positive, feedback_text, issue_type) VALUES
    ('mira', true, 'Good.', NULL), ('juno', false, 'Wrong city.', 'factual');

INSERT INTO tool (id, server_name, group_kind, description) VALUES ('search', 'web', 'a.b', NULL);
INSERT INTO toolserver (name, group_kind, last_connected) VALUES ('web', 'a.b', '2025-03-01');

INSERT INTO lg_checkpoint
    (user_id, thread_id, checkpoint_id, metadata, checkpoint, checkpoint_type, version) VALUES
    ('mira', 'th', 'c-1', 'e30=', 'AA==', 'msgpack', 1),
    ('mira', 'th', 'c-2', 'e30=', 'AQ==', 'msgpack', 3);
INSERT INTO lg_checkpoint_write
    (user_id, thread_id, checkpoint_id, write_idx, value, value_type, channel, task_id) VALUES
    ('mira', 'th', 'c-1', 0, 'AA==', 'msgpack', 'messages', 'lg-1');

INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data) VALUES ('mira', 'th', '{}');
INSERT INTO crewai_flow_state (user_id, thread_id, method_name, state_data) VALUES
    ('mira', 'th', 'start', '{}');

INSERT INTO memory (id, agent_name, user_id, content, embedding, access_count) VALUES
    ('m-1', 'travel', 'mira', 'Likes trains.', array_fill(0.5, ARRAY[768])::vector, 3),
    ('m-2', NULL, NULL, NULL, NULL, NULL);
