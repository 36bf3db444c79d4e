-- Push notification configs: where to report on a task. A config belongs to its task, and through
-- it to a user, by the same rule as the task. The table's key is the id alone; a config whose id another task's config has
-- already is stored as `id<US>task_id` (US is the unit separator, U+001F), and read back as `id`.
-- py: file

-- name: UpsertPushNotification :one
-- Store a config of a user's task and bring a deleted one back. No row if the user has no such task,
-- or if somebody took the id just now. The task and its session are held until the config is stored, so
-- that who removes them sees it too: left behind it would be of whoever has the task's id next.
--
-- unscoped other: an id is taken whoever has it, and nothing else of the row is read
-- py: row PushNotification
WITH held_task AS MATERIALIZED (
    SELECT task.id, task.session_id FROM task
    WHERE
        task.id = @task_id::text
        AND task.deleted_at IS NULL
        AND (
            task.user_id = @user_id::text
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
-- Whether a user has this task.
SELECT EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = @task_id::text
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id::text
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
-- A config of a user's task, unless it is deleted.
-- py: row PushNotification
SELECT
    @id::text AS id, task_id, data, created_at, updated_at, deleted_at, protocol_version
FROM push_notification AS config
WHERE
    config.id IN (@id, @id || E'\x1f' || @task_id::text)
    AND config.task_id = @task_id
    AND config.deleted_at IS NULL
    AND EXISTS (
        SELECT 1 FROM task
        WHERE
            task.id = config.task_id
            AND task.deleted_at IS NULL
            AND (
                task.user_id = @user_id::text
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
-- The configs of a user's task in the order of their creation, from the given place on.
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
                task.user_id = @user_id::text
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
    > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
ORDER BY
    coalesce(config.created_at, '-infinity'::timestamptz), split_part(config.id, E'\x1f', 1)
LIMIT sqlc.narg('limit');

-- name: DeletePushNotifications :execrows
-- Mark one config of a user's task as deleted, or all of them where no id is given.
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
                task.user_id = @user_id::text
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
