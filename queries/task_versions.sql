-- Tasks with a version, as A2A servers with several replicas need them, and the events of tasks.
--
-- Another writer of a task leaves the columns of this file unchanged: a task that save_task never
-- stored has no version, and its state is read from its data if that is JSON.
-- py: file

-- name: SaveTask :one
-- Store a user's task with its event, mark its session as active and return the new version.
--
-- No row if the task belongs to another user, is deleted, or is not at the given version. A task
-- without a version is at version 0, as one that is not stored. An event is never older than its
-- task, even after the clock was set back: readers leave out the events of an earlier task.
WITH stored AS (
    INSERT INTO task (
        id,
        data,
        session_id,
        created_at,
        updated_at,
        protocol_version,
        user_id,
        agentrows_version,
        agentrows_state,
        agentrows_status_ns
    )
    VALUES (
        @id::text,
        @data::text,
        sqlc.narg('session_id')::text,
        statement_timestamp(),
        statement_timestamp(),
        '1.0',
        @user_id::text,
        1,
        @state::text,
        sqlc.narg('status_ns')::bigint
    )
    ON CONFLICT (id) DO UPDATE SET
        data = excluded.data,
        session_id = excluded.session_id,
        updated_at = excluded.updated_at,
        protocol_version = excluded.protocol_version,
        agentrows_version = coalesce(task.agentrows_version, 0) + 1,
        agentrows_state = excluded.agentrows_state,
        agentrows_status_ns = excluded.agentrows_status_ns
    WHERE
        task.user_id = excluded.user_id
        AND task.deleted_at IS NULL
        AND (
            sqlc.narg('version')::bigint IS NULL
            OR coalesce(task.agentrows_version, 0) = sqlc.narg('version')::bigint
        )
    RETURNING id, session_id, user_id, created_at, agentrows_version AS version
),
touched AS (
    UPDATE session
    SET updated_at = statement_timestamp()
    FROM stored
    WHERE
        session.id = stored.session_id
        AND session.user_id = stored.user_id
        AND session.deleted_at IS NULL
),
recorded AS (
    INSERT INTO agentrows_task_event (task_id, user_id, version, data, created_at)
    SELECT
        @id,
        @user_id,
        stored.version,
        sqlc.narg('event')::bytea,
        greatest(statement_timestamp(), stored.created_at)
    FROM stored
    WHERE sqlc.narg('event') IS NOT NULL
)
SELECT stored.version AS "version!"
FROM stored
WHERE CASE
    WHEN @notify::boolean THEN pg_notify('agentrows_task_event', stored.id)::text IS NOT NULL
    ELSE true
END;

-- name: UpdateTask :one
-- Store a user's task that is stored already, as SaveTask does, and return the new version.
--
-- No row if the user has no such task, if it is not at the given version, or if it is in one of the
-- given states.
WITH stored AS (
    UPDATE task SET
        data = @data::text,
        session_id = sqlc.narg('session_id')::text,
        updated_at = statement_timestamp(),
        protocol_version = '1.0',
        agentrows_version = coalesce(task.agentrows_version, 0) + 1,
        agentrows_state = @state::text,
        agentrows_status_ns = sqlc.narg('status_ns')::bigint
    WHERE
        task.id = @id::text
        AND task.user_id = @user_id::text
        AND task.deleted_at IS NULL
        AND (
            sqlc.narg('version')::bigint IS NULL
            OR coalesce(task.agentrows_version, 0) = sqlc.narg('version')::bigint
        )
        AND CASE
            WHEN sqlc.narg('final_states')::text[] IS NULL THEN true
            ELSE coalesce(
                task.agentrows_state,
                CASE
                    WHEN pg_input_is_valid(task.data, 'jsonb')
                        THEN task.data::jsonb #>> '{status,state}'
                END,
                ''
            ) <> ALL(sqlc.narg('final_states')::text[])
        END
    RETURNING id, session_id, user_id, created_at, agentrows_version AS version
),
touched AS (
    UPDATE session
    SET updated_at = statement_timestamp()
    FROM stored
    WHERE
        session.id = stored.session_id
        AND session.user_id = stored.user_id
        AND session.deleted_at IS NULL
),
recorded AS (
    INSERT INTO agentrows_task_event (task_id, user_id, version, data, created_at)
    SELECT
        @id,
        @user_id,
        stored.version,
        sqlc.narg('event')::bytea,
        greatest(statement_timestamp(), stored.created_at)
    FROM stored
    WHERE sqlc.narg('event') IS NOT NULL
)
SELECT stored.version AS "version!"
FROM stored
WHERE CASE
    WHEN @notify::boolean THEN pg_notify('agentrows_task_event', stored.id)::text IS NOT NULL
    ELSE true
END;

-- name: FindVersionedTask :one
-- Return a user's task with its version.
--
-- No row if the task is deleted.
-- py: lookup
-- py: row VersionedTask
-- py: json data
-- py: doc VersionedTask A task with its version and the columns by which tasks are listed.
-- py: doc VersionedTask.id Chosen by the application; unique across all users.
-- py: doc VersionedTask.data The A2A task as JSON text.
-- py: doc VersionedTask.session_id The session of the task; None for a task outside of sessions.
-- py: doc VersionedTask.protocol_version The A2A version of data, such as 1.0; None for older rows.
-- py: doc VersionedTask.state The state of the task; None if another writer stored data that
-- py: doc VersionedTask.state contains no state.
-- py: doc VersionedTask.status_ns The time of the status in nanoseconds since 1970; None without a
-- py: doc VersionedTask.status_ns time, and for a task that another writer stored.
-- py: doc VersionedTask.version The number of times that save_task and cancel_task stored the task.
SELECT
    task.id,
    task.data,
    task.session_id,
    task.protocol_version,
    coalesce(
        task.agentrows_state,
        CASE
            WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
        END
    ) AS state,
    task.agentrows_status_ns AS status_ns,
    coalesce(task.agentrows_version, 0)::bigint AS "version!"
FROM task
WHERE
    task.id = @id::text
    AND task.user_id = @user_id
    AND task.deleted_at IS NULL;

-- name: ListUserTasks :many
-- Return a user's tasks, the latest status first, those without a time last.
--
-- A page starts after the given position. Ids are compared by code point, in descending order.
-- py: row VersionedTask
SELECT
    task.id,
    task.data,
    task.session_id,
    task.protocol_version,
    coalesce(
        task.agentrows_state,
        CASE
            WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
        END
    ) AS state,
    task.agentrows_status_ns AS status_ns,
    coalesce(task.agentrows_version, 0)::bigint AS "version!"
FROM task
WHERE
    task.user_id = @user_id
    AND task.deleted_at IS NULL
    AND (coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint), task.id COLLATE "C")
    < (@after_ns::bigint, @after_id)
    AND coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) >= @since_ns::bigint
    AND (
        sqlc.narg('states')::text[] IS NULL
        OR coalesce(
            task.agentrows_state,
            CASE
                WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
            END
        ) = ANY(sqlc.narg('states')::text[])
    )
ORDER BY coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) DESC, task.id COLLATE "C" DESC
LIMIT sqlc.narg('limit');

-- name: ListUserTasksOfSession :many
-- Return a user's tasks in a session, the latest status first, those without a time last.
--
-- A page starts after the given position. Ids are compared by code point, in descending order.
-- py: row VersionedTask
SELECT
    task.id,
    task.data,
    task.session_id,
    task.protocol_version,
    coalesce(
        task.agentrows_state,
        CASE
            WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
        END
    ) AS state,
    task.agentrows_status_ns AS status_ns,
    coalesce(task.agentrows_version, 0)::bigint AS "version!"
FROM task
WHERE
    task.user_id = @user_id
    AND task.session_id = @session_id
    AND task.deleted_at IS NULL
    AND (coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint), task.id COLLATE "C")
    < (@after_ns::bigint, @after_id)
    AND coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) >= @since_ns::bigint
    AND (
        sqlc.narg('states')::text[] IS NULL
        OR coalesce(
            task.agentrows_state,
            CASE
                WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
            END
        ) = ANY(sqlc.narg('states')::text[])
    )
ORDER BY coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) DESC, task.id COLLATE "C" DESC
LIMIT sqlc.narg('limit');

-- name: CountUserTasks :one
-- Count a user's tasks, at most `limit` of them.
SELECT count(*) AS tasks
FROM (
    SELECT 1 FROM task
    WHERE
        task.user_id = @user_id
        AND task.deleted_at IS NULL
        AND coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) >= @since_ns::bigint
        AND (
            sqlc.narg('states')::text[] IS NULL
            OR coalesce(
                task.agentrows_state,
                CASE
                    WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
                END
            ) = ANY(sqlc.narg('states')::text[])
        )
    LIMIT sqlc.narg('limit')
) AS matching;

-- name: CountUserTasksOfSession :one
-- Count a user's tasks in a session, at most `limit` of them.
SELECT count(*) AS tasks
FROM (
    SELECT 1 FROM task
    WHERE
        task.user_id = @user_id
        AND task.session_id = @session_id
        AND task.deleted_at IS NULL
        AND coalesce(task.agentrows_status_ns, '-9223372036854775808'::bigint) >= @since_ns::bigint
        AND (
            sqlc.narg('states')::text[] IS NULL
            OR coalesce(
                task.agentrows_state,
                CASE
                    WHEN pg_input_is_valid(task.data, 'jsonb') THEN task.data::jsonb #>> '{status,state}'
                END
            ) = ANY(sqlc.narg('states')::text[])
        )
    LIMIT sqlc.narg('limit')
) AS matching;

-- name: LockTask :one
-- Wait for concurrent writers of a user's task, and lock the task.
--
-- The next statement then sees the rows that these writers committed.
SELECT task.id FROM task
WHERE task.id = @id::text AND task.user_id = @user_id
FOR UPDATE;

-- name: PurgeTask :one
-- Delete a user's task, its events, and the push notification configs for it.
--
-- Run it after LockTask in the same transaction. Configs that the user registered are deleted even
-- if the task is not stored.
--
-- unscoped config: configs of other users for the task are deleted with the task
WITH purged AS (
    DELETE FROM task
    WHERE task.id = @id::text AND task.user_id = @user_id
    RETURNING task.id
),
purged_events AS (
    DELETE FROM agentrows_task_event AS event
    WHERE event.task_id = @id AND event.user_id = @user_id
),
purged_configs AS (
    DELETE FROM agentrows_push_config AS config
    WHERE
        config.task_id = @id
        AND (config.user_id = @user_id OR config.task_id IN (SELECT purged.id FROM purged))
),
purged_notifications AS (
    DELETE FROM push_notification
    WHERE push_notification.task_id IN (SELECT purged.id FROM purged)
)
SELECT count(*) AS purged FROM purged;

-- name: ListTaskEventsAllUsers :many
-- Return the events of a task after a version, in the order of the versions.
--
-- Events of a deleted task, and those of an earlier task with the same id, are left out.
--
-- unscoped: the application has found the task for its user before it follows the task
-- py: row TaskEvent
-- py: doc TaskEvent A change of a task.
-- py: doc TaskEvent.version The version of the task after the change.
-- py: doc TaskEvent.data The change in the form of the application.
SELECT event.version, event.data
FROM agentrows_task_event AS event
INNER JOIN task ON task.id = event.task_id AND task.user_id = event.user_id
WHERE
    event.task_id = @task_id::text
    AND event.version > @after::bigint
    AND event.created_at >= coalesce(task.created_at, '-infinity'::timestamptz)
    AND task.deleted_at IS NULL
ORDER BY event.version
LIMIT sqlc.narg('limit');

-- name: PruneTaskEvents :execrows
-- Delete events of tasks that are older than the retention, at most a batch.
--
-- unscoped: retention applies to every user
DELETE FROM agentrows_task_event AS event
WHERE event.id = ANY(ARRAY(
    SELECT expired.id FROM agentrows_task_event AS expired
    WHERE expired.created_at < statement_timestamp() - @retention::interval
    ORDER BY expired.created_at
    LIMIT @batch_size::bigint
));

-- name: CountExpiredTaskEvents :one
-- Count the events of tasks that are older than the retention.
--
-- unscoped: retention applies to every user
SELECT count(*) AS events FROM agentrows_task_event AS event
WHERE event.created_at < statement_timestamp() - @retention::interval;
