-- Push notification configs: the addresses to which the progress of a task is reported. A config
-- belongs to its task, and through the task to a user. The table's key is the id alone: if another
-- task's config has the id, a config is stored as `id<US>task_id` (US is the unit separator,
-- U+001F) and returned as `id`.
-- py: file

-- name: UpsertPushNotification :one
-- Store a config of a user's task and restore a deleted one.
--
-- No row if the user has no such task, or if a concurrent config of another task took the id. The
-- task and its session are locked until the config is committed, so that a concurrent delete sees
-- the config; otherwise the config would attach to the next task with this id.
--
-- unscoped other: an id is in use under any owner, and no other column is read
-- py: row PushNotification
-- py: json data
WITH held_task AS MATERIALIZED (
    SELECT task.id, task.session_id FROM task
    WHERE
        task.id = @task_id::text
        AND task.deleted_at IS NULL
        AND (
            task.user_id = @user_id
            OR (
                task.user_id IS NULL
                AND EXISTS (
                    SELECT 1 FROM session AS s
                    WHERE s.id = task.session_id
                    HAVING
                        count(*) = 1
                        AND min(s.user_id) = @user_id
                        AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                        <= coalesce(task.created_at, '-infinity'::timestamptz)
                )
            )
        )
    FOR KEY SHARE
),
held_session AS MATERIALIZED (
    SELECT session.id FROM session
    WHERE
        session.id = (SELECT session_id FROM held_task)
        AND session.user_id = @user_id
    FOR KEY SHARE
)
INSERT INTO push_notification AS config (
    id, task_id, data, created_at, updated_at, protocol_version
)
SELECT
    CASE
        WHEN EXISTS (
            SELECT 1 FROM push_notification AS other
            WHERE
                (other.id = @id::text AND other.task_id <> @task_id::text)
                OR other.id = @id || E'\x1f' || @task_id
        ) THEN @id || E'\x1f' || @task_id
        ELSE @id
    END,
    held.id,
    @data::text,
    statement_timestamp(),
    statement_timestamp(),
    '1.0'
FROM held_task AS held
LEFT JOIN held_session ON true
ON CONFLICT (id) DO UPDATE SET
    data = excluded.data,
    updated_at = excluded.updated_at,
    deleted_at = NULL,
    protocol_version = excluded.protocol_version
WHERE config.task_id = excluded.task_id
RETURNING
    split_part(config.id, E'\x1f', 1) AS id,
    config.task_id,
    config.data,
    config.created_at,
    config.updated_at,
    config.deleted_at,
    config.protocol_version;

-- name: HasTask :one
-- Return whether a user has a task.
SELECT EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = @task_id::text
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id
                OR (
                    task.user_id IS NULL
                    AND EXISTS (
                        SELECT 1 FROM session AS s
                        WHERE s.id = task.session_id
                        HAVING
                            count(*) = 1
                            AND min(s.user_id) = @user_id
                            AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                            <= coalesce(task.created_at, '-infinity'::timestamptz)
                    )
                )
            )
    ) AS has_task;

-- name: GetPushNotification :one
-- Return a config of a user's task.
--
-- No row if the config is deleted.
-- py: row PushNotification
SELECT
    @id::text AS id, task_id, data, created_at, updated_at, deleted_at, protocol_version
FROM push_notification AS config
WHERE
    config.id IN (@id, @id || E'\x1f' || @task_id)
    AND config.task_id = @task_id
    AND config.deleted_at IS NULL
    AND EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = config.task_id
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id
                OR (
                    task.user_id IS NULL
                    AND EXISTS (
                        SELECT 1 FROM session AS s
                        WHERE s.id = task.session_id
                        HAVING
                            count(*) = 1
                            AND min(s.user_id) = @user_id
                            AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                            <= coalesce(task.created_at, '-infinity'::timestamptz)
                    )
                )
            )
    );

-- name: ListPushNotifications :many
-- Return the configs of a user's task, oldest first.
--
-- A page starts after the given position.
-- py: row PushNotification
SELECT
    split_part(config.id, E'\x1f', 1) AS id,
    task_id,
    data,
    created_at,
    updated_at,
    deleted_at,
    protocol_version
FROM push_notification AS config
WHERE
    config.task_id = @task_id::text
    AND config.deleted_at IS NULL
    AND EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = config.task_id
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id
                OR (
                    task.user_id IS NULL
                    AND EXISTS (
                        SELECT 1 FROM session AS s
                        WHERE s.id = task.session_id
                        HAVING
                            count(*) = 1
                            AND min(s.user_id) = @user_id
                            AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                            <= coalesce(task.created_at, '-infinity'::timestamptz)
                    )
                )
            )
    )
    AND (coalesce(config.created_at, '-infinity'::timestamptz), split_part(config.id, E'\x1f', 1))
    > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY
    coalesce(config.created_at, '-infinity'::timestamptz), split_part(config.id, E'\x1f', 1)
LIMIT sqlc.narg('limit');

-- name: DeletePushNotifications :execrows
-- Mark one config of a user's task as deleted, or all of them without an id.
UPDATE push_notification AS config
SET deleted_at = statement_timestamp()
WHERE
    config.task_id = @task_id::text
    AND (
        sqlc.narg('id')::text IS NULL
        OR config.id IN (sqlc.narg('id'), sqlc.narg('id') || E'\x1f' || @task_id)
    )
    AND config.deleted_at IS NULL
    AND EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = config.task_id
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id
                OR (
                    task.user_id IS NULL
                    AND EXISTS (
                        SELECT 1 FROM session AS s
                        WHERE s.id = task.session_id
                        HAVING
                            count(*) = 1
                            AND min(s.user_id) = @user_id
                            AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                            <= coalesce(task.created_at, '-infinity'::timestamptz)
                    )
                )
            )
    );
