-- Tasks: the work that an agent does for a session. A task without an owner, written by an older
-- release, belongs to the only user that ever had a session with its session id, unless that
-- session is newer than the task.
-- py: file

-- name: UpsertTask :one
-- Store a user's task and mark its session as active.
--
-- No row if the task belongs to another user, or is deleted: its id cannot be reused.
-- py: row Task
-- py: json data
-- py: doc Task An A2A task: a unit of work that an agent does for a session.
-- py: doc Task.id Chosen by the application; unique across all users.
-- py: doc Task.data The A2A task as JSON text.
-- py: doc Task.session_id The session of the task; NULL for a task outside of sessions.
-- py: doc Task.created_at When the task was first stored; NULL sorts as the oldest.
-- py: doc Task.updated_at When the task was last stored.
-- py: doc Task.deleted_at When the task was deleted, after which its id cannot be reused; NULL while
-- py: doc Task.deleted_at the row is live.
-- py: doc Task.protocol_version The A2A version of data, such as 1.0; NULL for a row older than this
-- py: doc Task.protocol_version column.
-- py: doc Task.user_id The owner of the task; NULL for a row older than this column whose session
-- py: doc Task.user_id does not determine the owner.
WITH stored AS (
    INSERT INTO task (
        id, data, session_id, created_at, updated_at, protocol_version, user_id
    )
    VALUES (
        @id::text,
        @data::text,
        sqlc.narg('session_id')::text,
        statement_timestamp(),
        statement_timestamp(),
        '1.0',
        @user_id::text
    )
    ON CONFLICT (id) DO UPDATE SET
        data = excluded.data,
        session_id = CASE
            WHEN @set_session_id::boolean THEN excluded.session_id ELSE task.session_id
        END,
        updated_at = excluded.updated_at,
        protocol_version = excluded.protocol_version,
        user_id = excluded.user_id
    WHERE
        task.deleted_at IS NULL
        AND (
            task.user_id = excluded.user_id
            OR (task.user_id IS NULL AND EXISTS (
                SELECT 1 FROM session AS s
                WHERE s.id = task.session_id
                HAVING
                    count(*) = 1
                    AND min(s.user_id) = excluded.user_id
                    AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                    <= coalesce(task.created_at, '-infinity'::timestamptz)
            ))
        )
    RETURNING
        id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
),
touched AS (
    UPDATE session
    SET updated_at = statement_timestamp()
    FROM stored
    WHERE
        session.id = stored.session_id
        AND session.user_id = stored.user_id
        AND session.deleted_at IS NULL
)
SELECT id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
FROM stored;

-- name: IsTaskDeleted :one
-- Return whether the task with this id is deleted.
--
-- No row if the id was never used.
--
-- unscoped: explains why an id cannot be stored, and returns no other column
SELECT deleted_at IS NOT NULL AS is_deleted FROM task
WHERE task.id = @id;

-- name: GetTask :one
-- Return a user's task.
--
-- No row if the task is deleted.
-- py: lookup
-- py: row Task
SELECT id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
FROM task
WHERE
    task.id = @id
    AND task.deleted_at IS NULL
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
    );

-- name: ListTasks :many
-- Return a user's tasks in a session, oldest first.
--
-- A page starts after the given position. The tasks with an owner and those without one are each
-- read from an index in the order of the page, which other users' tasks in the session do not
-- lengthen.
-- py: row Task
SELECT id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
FROM (
    (
        SELECT id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
        FROM task
        WHERE
            task.session_id = @session_id
            AND task.user_id = @user_id
            AND task.deleted_at IS NULL
            AND (coalesce(task.created_at, '-infinity'::timestamptz), task.id)
            > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
        ORDER BY coalesce(task.created_at, '-infinity'::timestamptz), task.id
        LIMIT sqlc.narg('limit')
    )
    UNION ALL
    (
        SELECT id, data, session_id, created_at, updated_at, deleted_at, protocol_version, user_id
        FROM task
        WHERE
            task.session_id = @session_id
            AND task.user_id IS NULL
            AND task.deleted_at IS NULL
            AND EXISTS (
                SELECT 1 FROM session AS s
                WHERE s.id = task.session_id
                HAVING
                    count(*) = 1
                    AND min(s.user_id) = @user_id
                    AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                    <= coalesce(task.created_at, '-infinity'::timestamptz)
            )
            AND (coalesce(task.created_at, '-infinity'::timestamptz), task.id)
            > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
        ORDER BY coalesce(task.created_at, '-infinity'::timestamptz), task.id
        LIMIT sqlc.narg('limit')
    )
) AS own
ORDER BY coalesce(own.created_at, '-infinity'::timestamptz), own.id
LIMIT sqlc.narg('limit');

-- name: DeleteTask :execrows
-- Mark a user's task as deleted; its id cannot be reused.
UPDATE task
SET deleted_at = statement_timestamp()
WHERE
    task.id = @id
    AND task.deleted_at IS NULL
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
    );
