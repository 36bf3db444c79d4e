-- Users: export and removal of all rows of one user.
-- py: file

-- name: ExportUser :many
-- Return every row of a user except those of optional tables and checkpoints, as lines of JSON.
--
-- A line contains the table and the row with all of its columns; deleted rows are included. Tasks
-- without an owner follow the rule of tasks.sql. Columns with more than 100 MB together are null in
-- the line, and `large_columns` and `large_values` contain them unencoded: JSON needs up to 6 bytes
-- for a character, and a value of PostgreSQL has at most 1 GiB.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
-- py: doc ExportedRow A row of an export.
-- py: doc ExportedRow.line The table and the row as JSON; large columns are null in it.
-- py: doc ExportedRow.large_columns The names of the large columns; None without one.
-- py: doc ExportedRow.large_values The values of the large columns, in the same order; None without
-- py: doc ExportedRow.large_values one.
SELECT
    json_build_object('table', 'session', 'row', to_json(each))::text AS "line!",
    NULL::text[] AS large_columns,
    NULL::text[] AS large_values
FROM session AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT
    json_build_object(
        'table', 'event',
        'row', CASE
            WHEN octet_length(each.data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.data) > 100000000 THEN '{data}'::text[] END,
    CASE
        WHEN octet_length(each.data) > 100000000 THEN ARRAY[each.data]
    END
FROM event AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object(
        'table', 'task',
        'row', CASE
            WHEN octet_length(task.data) > 100000000
                THEN to_json(jsonb_populate_record(task, '{"data": null}'::jsonb))
            ELSE to_json(task)
        END
    )::text,
    CASE WHEN octet_length(task.data) > 100000000 THEN '{data}'::text[] END,
    CASE
        WHEN octet_length(task.data) > 100000000 THEN ARRAY[task.data]
    END
FROM task
WHERE
    task.user_id = @user_id
    OR (task.user_id IS NULL AND EXISTS (
        SELECT 1 FROM session AS s
        WHERE s.id = task.session_id
        HAVING
            count(*) = 1
            AND min(s.user_id) = @user_id
            AND min(coalesce(s.created_at, '-infinity'::timestamptz))
            <= coalesce(task.created_at, '-infinity'::timestamptz)
    ))
UNION ALL
SELECT
    json_build_object(
        'table', 'push_notification',
        'row', CASE
            WHEN octet_length(config.data) > 100000000
                THEN to_json(jsonb_populate_record(config, '{"data": null}'::jsonb))
            ELSE to_json(config)
        END
    )::text,
    CASE WHEN octet_length(config.data) > 100000000 THEN '{data}'::text[] END,
    CASE
        WHEN octet_length(config.data) > 100000000 THEN ARRAY[config.data]
    END
FROM push_notification AS config
WHERE EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = config.task_id
            AND (
                task.user_id = @user_id
                OR (task.user_id IS NULL AND EXISTS (
                    SELECT 1 FROM session AS s
                    WHERE s.id = task.session_id
                    HAVING
                        count(*) = 1
                        AND min(s.user_id) = @user_id
                        AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                        <= coalesce(task.created_at, '-infinity'::timestamptz)
                ))
            )
    )
UNION ALL
SELECT
    json_build_object(
        'table', 'feedback',
        'row', CASE
            WHEN octet_length(each.feedback_text) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"feedback_text": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.feedback_text) > 100000000 THEN '{feedback_text}'::text[] END,
    CASE
        WHEN octet_length(each.feedback_text) > 100000000 THEN ARRAY[each.feedback_text]
    END
FROM feedback AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object(
        'table', 'crewai_agent_memory',
        'row', CASE
            WHEN octet_length(each.memory_data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"memory_data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.memory_data) > 100000000 THEN '{memory_data}'::text[] END,
    CASE
        WHEN octet_length(each.memory_data) > 100000000 THEN ARRAY[each.memory_data]
    END
FROM crewai_agent_memory AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object(
        'table', 'crewai_flow_state',
        'row', CASE
            WHEN octet_length(each.state_data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"state_data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.state_data) > 100000000 THEN '{state_data}'::text[] END,
    CASE
        WHEN octet_length(each.state_data) > 100000000 THEN ARRAY[each.state_data]
    END
FROM crewai_flow_state AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object('table', 'session_share', 'row', to_json(each))::text,
    NULL::text[],
    NULL::text[]
FROM session_share AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object('table', 'session_share_access', 'row', to_json(each))::text,
    NULL::text[],
    NULL::text[]
FROM session_share_access AS each
WHERE each.user_id = @user_id;

-- name: ExportCheckpoints :many
-- Return the checkpoints and writes of a user in the form of ExportUser, from a database without the
-- columns of ExportThreads.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object(
        'table', 'lg_checkpoint',
        'row', CASE
            WHEN coalesce(octet_length(each.metadata), 0) + coalesce(octet_length(each.checkpoint), 0) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"metadata": null, "checkpoint": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text AS "line!",
    CASE WHEN coalesce(octet_length(each.metadata), 0) + coalesce(octet_length(each.checkpoint), 0) > 100000000 THEN '{metadata,checkpoint}'::text[] END AS large_columns,
    CASE
        WHEN coalesce(octet_length(each.metadata), 0) + coalesce(octet_length(each.checkpoint), 0) > 100000000 THEN ARRAY[each.metadata, each.checkpoint]
    END AS large_values
FROM lg_checkpoint AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT
    json_build_object(
        'table', 'lg_checkpoint_write',
        'row', CASE
            WHEN octet_length(each.value) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"value": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.value) > 100000000 THEN '{value}'::text[] END,
    CASE
        WHEN octet_length(each.value) > 100000000 THEN ARRAY[each.value]
    END
FROM lg_checkpoint_write AS each
WHERE each.user_id = @user_id;

-- name: ExportThreads :many
-- Return the checkpoints, writes and values of channels of a user in the form of ExportUser.
--
-- Bytes are text as PostgreSQL writes them: \x, then two hexadecimal digits for each byte.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object(
        'table', 'lg_checkpoint',
        'row', CASE
            WHEN octet_length(each.metadata) + octet_length(each.checkpoint) + 2 * coalesce(octet_length(each.agentrows_checkpoint), 0) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"metadata": null, "checkpoint": null, "agentrows_checkpoint": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text AS "line!",
    CASE WHEN octet_length(each.metadata) + octet_length(each.checkpoint) + 2 * coalesce(octet_length(each.agentrows_checkpoint), 0) > 100000000 THEN '{metadata,checkpoint,agentrows_checkpoint}'::text[] END AS large_columns,
    CASE
        WHEN octet_length(each.metadata) + octet_length(each.checkpoint) + 2 * coalesce(octet_length(each.agentrows_checkpoint), 0) > 100000000 THEN ARRAY[each.metadata, each.checkpoint, '\x' || encode(each.agentrows_checkpoint, 'hex')]
    END AS large_values
FROM lg_checkpoint AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT
    json_build_object(
        'table', 'lg_checkpoint_write',
        'row', CASE
            WHEN octet_length(each.value) + 2 * coalesce(octet_length(each.agentrows_value), 0) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"value": null, "agentrows_value": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.value) + 2 * coalesce(octet_length(each.agentrows_value), 0) > 100000000 THEN '{value,agentrows_value}'::text[] END,
    CASE
        WHEN octet_length(each.value) + 2 * coalesce(octet_length(each.agentrows_value), 0) > 100000000 THEN ARRAY[each.value, '\x' || encode(each.agentrows_value, 'hex')]
    END
FROM lg_checkpoint_write AS each
WHERE each.user_id = @user_id
UNION ALL
SELECT
    json_build_object(
        'table', 'agentrows_checkpoint_blob',
        'row', CASE
            WHEN 2 * coalesce(octet_length(each.value), 0) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"value": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN 2 * coalesce(octet_length(each.value), 0) > 100000000 THEN '{value}'::text[] END,
    CASE
        WHEN 2 * coalesce(octet_length(each.value), 0) > 100000000 THEN ARRAY['\x' || encode(each.value, 'hex')]
    END
FROM agentrows_checkpoint_blob AS each
WHERE each.user_id = @user_id;

-- name: ExportMemories :many
-- Return every memory of a user, in the form of ExportUser.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object(
        'table', 'memory',
        'row', CASE
            WHEN coalesce(octet_length(memory.content), 0) + coalesce(octet_length(memory.metadata), 0) > 100000000
                THEN to_json(jsonb_populate_record(memory, '{"content": null, "metadata": null}'::jsonb))
            ELSE to_json(memory)
        END
    )::text AS "line!",
    CASE WHEN coalesce(octet_length(memory.content), 0) + coalesce(octet_length(memory.metadata), 0) > 100000000 THEN '{content,metadata}'::text[] END AS large_columns,
    CASE
        WHEN coalesce(octet_length(memory.content), 0) + coalesce(octet_length(memory.metadata), 0) > 100000000 THEN ARRAY[memory.content, memory.metadata]
    END AS large_values
FROM memory
WHERE memory.user_id = @user_id;

-- name: ExportOwnMemories :many
-- Return the memories of a user in agentrows_memory, of every model, in the form of ExportUser.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object(
        'table', 'agentrows_memory',
        'row', CASE
            WHEN octet_length(each.content) + coalesce(octet_length(each.metadata), 0) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"content": null, "metadata": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text AS "line!",
    CASE WHEN octet_length(each.content) + coalesce(octet_length(each.metadata), 0) > 100000000 THEN '{content,metadata}'::text[] END AS large_columns,
    CASE
        WHEN octet_length(each.content) + coalesce(octet_length(each.metadata), 0) > 100000000 THEN ARRAY[each.content, each.metadata]
    END AS large_values
FROM agentrows_memory AS each
WHERE each.user_id = @user_id::text;

-- name: ExportFeedbackKeys :many
-- Return the idempotency keys of a user, in the form of ExportUser.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_feedback_key', 'row', to_json(each))::text AS "line!"
FROM agentrows_feedback_key AS each
WHERE each.user_id = @user_id::text;

-- name: ExportFeedbackTargets :many
-- Return the targets of a user's feedback, in the form of ExportUser.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_feedback_target', 'row', to_json(each))::text AS "line!"
FROM agentrows_feedback_target AS each
WHERE each.user_id = @user_id::text;

-- name: ExportStates :many
-- Return the states of a user and of the user's sessions, in the form of ExportUser.
--
-- A state is at most 256 MB of jsonb, which is part of the line as it is.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_session_state', 'row', to_json(each))::text AS "line!"
FROM agentrows_session_state AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT json_build_object('table', 'agentrows_user_state', 'row', to_json(each))::text
FROM agentrows_user_state AS each
WHERE each.user_id = @user_id::text;

-- name: ExportStoreItems :many
-- Return the store items of a user, in the form of ExportUser.
--
-- A value may contain line ends between its parts, because the type json keeps the text.
-- py: iterator
SELECT
    translate(
        json_build_object('table', 'agentrows_store_item', 'row', to_json(each))::text, E'\r\n', '  '
    ) AS "line!"
FROM agentrows_store_item AS each
WHERE each.user_id = @user_id::text;

-- name: ExportStoreVectors :many
-- Return the vectors of a user's store items, in the form of ExportUser.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_store_vector', 'row', to_json(each))::text AS "line!"
FROM agentrows_store_vector AS each
WHERE each.user_id = @user_id::text;

-- name: ExportTaskEvents :many
-- Return the events of a user's tasks, in the form of ExportUser.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_task_event', 'row', to_json(each))::text AS "line!"
FROM agentrows_task_event AS each
WHERE each.user_id = @user_id::text;

-- name: ExportPushConfigs :many
-- Return the push notification configs that a user registered, in the form of ExportUser.
-- py: iterator
SELECT
    json_build_object('table', 'agentrows_push_config', 'row', to_json(each))::text AS "line!"
FROM agentrows_push_config AS each
WHERE each.user_id = @user_id::text;

-- name: ExportTranscripts :many
-- Return the transcripts of a user and their entries, in the form of ExportUser.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object('table', 'agentrows_transcript', 'row', to_json(each))::text AS "line!",
    NULL::text[] AS large_columns,
    NULL::text[] AS large_values
FROM agentrows_transcript AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT
    json_build_object(
        'table', 'agentrows_transcript_entry',
        'row', CASE
            WHEN octet_length(each.data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.data) > 100000000 THEN '{data}'::text[] END,
    CASE WHEN octet_length(each.data) > 100000000 THEN ARRAY[each.data] END
FROM agentrows_transcript_entry AS each
WHERE each.user_id = @user_id;

-- name: ExportHistories :many
-- Return the histories of a user and their entries, in the form of ExportUser.
-- py: iterator
-- py: row ExportedRow
-- py: column large_values text?[]?
-- py: column large_columns text[]?
SELECT
    json_build_object(
        'table', 'agentrows_history',
        'row', CASE
            WHEN octet_length(each.data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text AS "line!",
    CASE WHEN octet_length(each.data) > 100000000 THEN '{data}'::text[] END AS large_columns,
    CASE WHEN octet_length(each.data) > 100000000 THEN ARRAY[each.data] END AS large_values
FROM agentrows_history AS each
WHERE each.user_id = @user_id::text
UNION ALL
SELECT
    json_build_object(
        'table', 'agentrows_history_entry',
        'row', CASE
            WHEN octet_length(each.data) > 100000000
                THEN to_json(jsonb_populate_record(each, '{"data": null}'::jsonb))
            ELSE to_json(each)
        END
    )::text,
    CASE WHEN octet_length(each.data) > 100000000 THEN '{data}'::text[] END,
    CASE WHEN octet_length(each.data) > 100000000 THEN ARRAY[each.data] END
FROM agentrows_history_entry AS each
WHERE each.user_id = @user_id;

-- name: FindUncoveredTables :many
-- Return the tables with a column user_id that are not tables of this release.
--
-- They are in the schema of `session`: tables of a newer release, and of the application.
SELECT c.relname::text AS "name!"
FROM pg_catalog.pg_class AS c
INNER JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
WHERE
    a.attname = 'user_id'
    AND NOT a.attisdropped
    AND c.relkind IN ('r', 'p', 'f')
    AND NOT c.relispartition
    AND c.relnamespace = (
        SELECT s.relnamespace FROM pg_catalog.pg_class AS s WHERE s.oid = to_regclass('session')
    )
    AND c.relname NOT IN (
        'session',
        'event',
        'task',
        'feedback',
        'agentrows_checkpoint_blob',
        'agentrows_feedback_key',
        'agentrows_feedback_target',
        'agentrows_session_state',
        'agentrows_user_state',
        'agentrows_store_item',
        'agentrows_store_vector',
        'agentrows_memory',
        'agentrows_task_event',
        'agentrows_push_config',
        'agentrows_transcript',
        'agentrows_transcript_entry',
        'agentrows_history',
        'agentrows_history_entry',
        'lg_checkpoint',
        'lg_checkpoint_write',
        'crewai_agent_memory',
        'crewai_flow_state',
        'session_share',
        'session_share_access'
    )
ORDER BY c.relname;

-- name: LockTasksOfUser :one
-- Wait for concurrent writers of a user's tasks, and lock the tasks.
--
-- Lock tasks before sessions, which is the order of the writers.
SELECT count(*) AS locked
FROM (
    SELECT id FROM task
    WHERE user_id = @user_id
    ORDER BY id
    FOR UPDATE
) AS locked;

-- name: LockSessionsOfUser :one
-- Wait for concurrent writers of a user's sessions, and lock the sessions.
--
-- The next statement then sees the rows that these writers committed.
SELECT count(*) AS locked
FROM (
    SELECT id FROM session
    WHERE user_id = @user_id::text
    ORDER BY id
    FOR UPDATE
) AS locked;

-- name: LockCheckpointsOfUser :one
-- Lock the checkpoints of a user in the order of their keys.
--
-- It waits for the writers of their children, so that the next statement sees these.
SELECT count(*) AS locked
FROM (
    SELECT checkpoint_id FROM lg_checkpoint
    WHERE user_id = @user_id::text
    ORDER BY thread_id, checkpoint_ns, checkpoint_id
    FOR UPDATE
) AS locked;

-- name: ListThreadsWithValues :many
-- Return the threads of a user with values of channels.
SELECT DISTINCT thread_id FROM agentrows_checkpoint_blob
WHERE user_id = @user_id::text
ORDER BY thread_id;

-- name: LockMemoriesOfUser :one
-- Lock the memories of a user, in the order in which searches lock them.
SELECT count(*) AS locked
FROM (
    SELECT id FROM memory
    WHERE user_id = @user_id
    ORDER BY id
    FOR UPDATE
) AS locked;

-- name: EraseUser :one
-- Delete every row of a user except memories, and the rows that depend on them.
--
-- Deleted rows are included. A task without an owner is deleted if it is the user's by the rule of
-- tasks.sql. If it may belong to another user, it gets an empty owner and stays hidden: the rows
-- that prove the ambiguity are being deleted.
--
-- unscoped ambiguous: a task that may be the user's is hidden from all users
-- unscoped other: the owner of a task depends on the other users of its session id
-- unscoped access: records of access to the user's shares are deleted with the shares
-- py: row ErasedUser
-- py: doc ErasedUser The numbers of rows that an erasure of a user removed, by table.
-- py: doc ErasedUser.hidden_tasks Tasks that may belong to another user: they stay, hidden from all
-- py: doc ErasedUser.hidden_tasks users.
-- py: doc ErasedUser.push_notifications Push notification configs of the user's tasks.
-- py: doc ErasedUser.share_accesses Records of the user's access to shares, and of any access to the
-- py: doc ErasedUser.share_accesses user's shares.
-- py: doc ErasedUser.checkpoint_values Values of channels of LangGraph threads.
-- py: doc ErasedUser.feedback_keys Idempotency keys of the feedback.
-- py: doc ErasedUser.feedback_targets Links of the feedback to events and tasks.
-- py: doc ErasedUser.session_states States of the user's sessions with applications.
-- py: doc ErasedUser.user_states States that the user's sessions with an application share.
-- py: doc ErasedUser.store_items JSON documents by namespace and key.
-- py: doc ErasedUser.own_memories Memories in agentrows_memory, of every model.
-- py: doc ErasedUser.store_vectors Vectors of these documents.
-- py: doc ErasedUser.task_events Events of the user's tasks.
-- py: doc ErasedUser.push_configs Push notification configs that the user registered, and those of
-- py: doc ErasedUser.push_configs others for the user's tasks.
-- py: doc ErasedUser.transcripts Transcripts of sessions and of their subagents.
-- py: doc ErasedUser.transcript_entries Entries of these transcripts.
-- py: doc ErasedUser.histories Histories of conversations of Pydantic AI.
-- py: doc ErasedUser.history_entries Messages of these histories.
-- py: doc ErasedUser.uncovered_tables Tables of another release or of the application that have a
-- py: doc ErasedUser.uncovered_tables column user_id; their rows stay.
WITH erased_tasks AS (
    DELETE FROM task
    WHERE
        task.user_id = @user_id
        OR (task.user_id IS NULL AND EXISTS (
            SELECT 1 FROM session AS s
            WHERE s.id = task.session_id
            HAVING
                count(*) = 1
                AND min(s.user_id) = @user_id
                AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                <= coalesce(task.created_at, '-infinity'::timestamptz)
        ))
    RETURNING task.id
),
hidden_tasks AS (
    UPDATE task AS ambiguous SET user_id = ''
    FROM session AS own
    WHERE
        own.user_id = @user_id
        AND ambiguous.session_id = own.id
        AND ambiguous.user_id IS NULL
        AND (
            coalesce(own.created_at, '-infinity'::timestamptz)
            > coalesce(ambiguous.created_at, '-infinity'::timestamptz)
            OR EXISTS (
                SELECT 1 FROM session AS other
                WHERE other.id = own.id AND other.user_id <> own.user_id
            )
        )
    RETURNING 1
),
erased_push_notifications AS (
    DELETE FROM push_notification
    WHERE task_id IN (SELECT id FROM erased_tasks)
    RETURNING 1
),
erased_events AS (
    DELETE FROM event
    WHERE user_id = @user_id
    RETURNING 1
),
erased_feedback AS (
    DELETE FROM feedback
    WHERE user_id = @user_id
    RETURNING 1
),
erased_checkpoints AS (
    DELETE FROM lg_checkpoint
    WHERE user_id = @user_id
    RETURNING 1
),
erased_checkpoint_writes AS (
    DELETE FROM lg_checkpoint_write
    WHERE user_id = @user_id
    RETURNING 1
),
erased_crewai_memories AS (
    DELETE FROM crewai_agent_memory
    WHERE user_id = @user_id
    RETURNING 1
),
erased_crewai_flow_states AS (
    DELETE FROM crewai_flow_state
    WHERE user_id = @user_id
    RETURNING 1
),
erased_share_accesses AS (
    DELETE FROM session_share_access AS access
    WHERE
        access.user_id = @user_id
        OR access.share_id IN (SELECT id FROM session_share WHERE user_id = @user_id)
    RETURNING 1
),
erased_shares AS (
    DELETE FROM session_share
    WHERE user_id = @user_id
    RETURNING 1
),
erased_sessions AS (
    DELETE FROM session
    WHERE user_id = @user_id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM erased_sessions)::bigint AS "sessions!",
    (SELECT count(*) FROM erased_events)::bigint AS "events!",
    (SELECT count(*) FROM erased_tasks)::bigint AS "tasks!",
    (SELECT count(*) FROM hidden_tasks)::bigint AS "hidden_tasks!",
    (SELECT count(*) FROM erased_push_notifications)::bigint AS "push_notifications!",
    (SELECT count(*) FROM erased_feedback)::bigint AS "feedback!",
    (SELECT count(*) FROM erased_checkpoints)::bigint AS "checkpoints!",
    (SELECT count(*) FROM erased_checkpoint_writes)::bigint AS "checkpoint_writes!",
    (SELECT count(*) FROM erased_crewai_memories)::bigint AS "crewai_memories!",
    (SELECT count(*) FROM erased_crewai_flow_states)::bigint AS "crewai_flow_states!",
    (SELECT count(*) FROM erased_shares)::bigint AS "shares!",
    (SELECT count(*) FROM erased_share_accesses)::bigint AS "share_accesses!",
    0::bigint AS "checkpoint_values!",
    0::bigint AS "feedback_keys!",
    0::bigint AS "feedback_targets!",
    0::bigint AS "session_states!",
    0::bigint AS "user_states!",
    0::bigint AS "task_events!",
    0::bigint AS "push_configs!",
    0::bigint AS "transcripts!",
    0::bigint AS "transcript_entries!",
    0::bigint AS "histories!",
    0::bigint AS "history_entries!",
    0::bigint AS "memories!",
    0::bigint AS "own_memories!",
    0::bigint AS "store_items!",
    0::bigint AS "store_vectors!",
    ARRAY[]::text[] AS "uncovered_tables!";

-- name: EraseFeedbackKeys :execrows
-- Delete the idempotency keys of a user.
DELETE FROM agentrows_feedback_key
WHERE user_id = @user_id::text;

-- name: EraseFeedbackTargets :execrows
-- Delete the links of a user's feedback to events and tasks.
--
-- Run it after EraseUser: feedback that was stored since then keeps its target.
DELETE FROM agentrows_feedback_target AS target
WHERE
    target.user_id = @user_id::text
    AND NOT EXISTS (
        SELECT 1 FROM feedback
        WHERE feedback.id = target.feedback_id AND feedback.user_id = @user_id::text
    );

-- name: EraseSessionStates :execrows
-- Delete the states of a user's sessions.
--
-- Run it after EraseUser: a session that was created since then keeps its state.
DELETE FROM agentrows_session_state AS s
WHERE
    s.user_id = @user_id::text
    AND NOT EXISTS (
        SELECT 1 FROM session
        WHERE
            session.user_id = @user_id::text
            AND session.id IN (s.session_id, s.session_id || E'\x1f' || s.app_name)
            AND session.agent_id = s.app_name
    );

-- name: EraseUserStates :execrows
-- Delete the states that the sessions of a user share.
DELETE FROM agentrows_user_state
WHERE user_id = @user_id::text;

-- name: EraseTaskEvents :execrows
-- Delete the events of a user's tasks.
--
-- Run it after EraseUser: a task that was stored since then keeps its events.
DELETE FROM agentrows_task_event AS event
WHERE
    event.user_id = @user_id::text
    AND NOT EXISTS (
        SELECT 1 FROM task
        WHERE task.id = event.task_id AND task.user_id = @user_id::text
    );

-- name: ErasePushConfigs :execrows
-- Delete the push notification configs that a user registered, and those for the user's tasks.
--
-- Run it before EraseUser, which deletes the tasks.
--
-- unscoped config: configs of other users for a task of the user are deleted with the task
DELETE FROM agentrows_push_config AS config
WHERE
    config.user_id = @user_id::text
    OR config.task_id IN (SELECT task.id FROM task WHERE task.user_id = @user_id);

-- name: LockTranscriptsOfUser :many
-- Lock the transcripts of a user, and return their numbers.
--
-- It waits for concurrent writers, so that the next statement sees their entries.
SELECT t.id FROM agentrows_transcript AS t
WHERE t.user_id = @user_id::text
ORDER BY t.id
FOR UPDATE;

-- name: EraseMemories :execrows
-- Delete every memory of a user.
DELETE FROM memory
WHERE user_id = @user_id;

-- name: LockOwnMemoriesOfUser :one
-- Lock the memories of a user in agentrows_memory in the order in which writers lock them.
SELECT count(*) AS locked
FROM (
    SELECT id FROM agentrows_memory
    WHERE user_id = @user_id::text
    ORDER BY id, model
    FOR UPDATE
) AS locked;

-- name: EraseOwnMemories :execrows
-- Delete every memory of a user in agentrows_memory, of every model.
DELETE FROM agentrows_memory
WHERE user_id = @user_id::text;

-- name: LockStoreItemsOfUser :one
-- Lock the store items of a user in the order in which writers lock them.
SELECT count(*) AS locked
FROM (
    SELECT key FROM agentrows_store_item
    WHERE user_id = @user_id::text
    ORDER BY namespace, key
    FOR UPDATE
) AS locked;

-- name: EraseStoreItems :execrows
-- Delete every store item of a user.
DELETE FROM agentrows_store_item
WHERE user_id = @user_id::text;

-- name: EraseStoreVectors :execrows
-- Delete the vectors of a user's store items.
--
-- Run it after EraseStoreItems: its snapshot then contains the vectors that a concurrent writer
-- stored before the items were locked.
DELETE FROM agentrows_store_vector
WHERE user_id = @user_id::text;
