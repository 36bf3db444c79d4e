-- Push configs: push notification configurations of A2A for tasks that may not be stored yet.
-- py: file

-- name: UpsertPushConfig :one
-- Store a user's config for a task.
--
-- No row if the task is stored and belongs to another user.
--
-- unscoped other: a task with this id belongs to another user, and no other column is read
-- py: row PushConfig
INSERT INTO agentrows_push_config AS config (task_id, user_id, config_id, data, created_at)
SELECT @task_id::text, @user_id::text, @config_id::text, @data::bytea, clock_timestamp()
WHERE NOT EXISTS (
    SELECT 1 FROM task AS other
    WHERE other.id = @task_id AND other.user_id IS DISTINCT FROM @user_id
)
ON CONFLICT (task_id, user_id, config_id) DO UPDATE SET
    data = excluded.data,
    created_at = excluded.created_at
RETURNING config.task_id, config.user_id, config.config_id, config.data, config.created_at;

-- name: ListPushConfigs :many
-- Return a user's configs for a task, oldest first.
-- py: row PushConfig
SELECT * FROM agentrows_push_config AS config
WHERE config.task_id = @task_id::text AND config.user_id = @user_id::text
ORDER BY config.created_at, config.config_id;

-- name: ListPushConfigsAllUsers :many
-- Return the configs of every user for a task, oldest first.
--
-- Once the task is stored with an owner, those of other users are left out.
--
-- unscoped: the sender of notifications has no user; each config was authorized when it was stored
-- py: row PushConfig
SELECT * FROM agentrows_push_config AS config
WHERE
    config.task_id = @task_id::text
    AND NOT EXISTS (
        SELECT 1 FROM task
        WHERE task.id = config.task_id AND task.user_id <> config.user_id
    )
ORDER BY config.created_at, config.user_id, config.config_id;

-- name: DeletePushConfigs :execrows
-- Delete one of a user's configs for a task, or all of them without an id.
DELETE FROM agentrows_push_config AS config
WHERE
    config.task_id = @task_id::text
    AND config.user_id = @user_id::text
    AND (sqlc.narg('config_id')::text IS NULL OR config.config_id = sqlc.narg('config_id'));
