-- Agents: one row each, visible to every user.
-- py: file

-- name: UpsertAgent :one
-- Store an agent under its id and restore a deleted one.
--
-- No row if the stored agent is the same already.
INSERT INTO agent (id, type, config, workload_type, created_at, updated_at)
VALUES (
    @id,
    @type,
    sqlc.narg('config')::json,
    coalesce(sqlc.narg('workload_type')::text, 'deployment'),
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (id) DO UPDATE SET
    type = excluded.type,
    config = CASE WHEN @set_config::boolean THEN excluded.config ELSE agent.config END,
    workload_type = CASE
        WHEN sqlc.narg('workload_type')::text IS NULL THEN agent.workload_type
        ELSE excluded.workload_type
    END,
    updated_at = excluded.updated_at,
    deleted_at = NULL
WHERE
    agent.deleted_at IS NOT NULL
    OR agent.type <> excluded.type
    OR (@set_config::boolean AND agent.config::text IS DISTINCT FROM excluded.config::text)
    OR agent.workload_type <> coalesce(sqlc.narg('workload_type')::text, agent.workload_type)
RETURNING *;

-- name: GetAgent :one
-- Return an agent.
--
-- No row if the agent is deleted.
-- py: lookup
SELECT * FROM agent
WHERE id = @id AND deleted_at IS NULL;

-- name: UpdateAgentConfig :one
-- Merge a JSON object into the config of an agent: its keys replace those of the stored object.
--
-- An agent without a config gets the object. No row if the agent is deleted, or its config is JSON
-- of another type.
UPDATE agent SET
    config = (
        CASE WHEN json_typeof(config) = 'object' THEN config::jsonb ELSE '{}'::jsonb END
        || @patch::jsonb
    )::json,
    updated_at = statement_timestamp()
WHERE
    id = @id
    AND deleted_at IS NULL
    AND coalesce(json_typeof(config), 'null') IN ('object', 'null')
RETURNING *;

-- name: ListAgents :many
-- Return agents in the order of their creation.
--
-- A page starts after the given position.
SELECT * FROM agent
WHERE
    deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz), id
LIMIT sqlc.narg('limit');

-- name: DeleteAgent :execrows
-- Mark an agent as deleted.
UPDATE agent
SET deleted_at = statement_timestamp()
WHERE id = @id AND deleted_at IS NULL;
