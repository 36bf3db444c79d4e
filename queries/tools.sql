-- Tools and the servers that offer them. The key of a tool is its id, server name and group kind;
-- the key of a server is its name and group kind.
-- py: file

-- name: UpsertTool :one
-- Store a tool and restore a deleted one; columns that are not set stay unchanged.
INSERT INTO tool (id, server_name, group_kind, description, created_at, updated_at)
VALUES (
    @id,
    @server_name,
    @group_kind,
    sqlc.narg('description'),
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (id, server_name, group_kind) DO UPDATE SET
    description = CASE
        WHEN @set_description::boolean THEN excluded.description ELSE tool.description
    END,
    updated_at = excluded.updated_at,
    deleted_at = NULL
RETURNING *;

-- name: FindTools :many
-- Return the tools with an id, of one server and group kind or of any.
--
-- At most two rows, enough to detect an ambiguous id.
SELECT * FROM tool
WHERE
    id = @id
    AND (sqlc.narg('server_name')::text IS NULL OR server_name = sqlc.narg('server_name'))
    AND (sqlc.narg('group_kind')::text IS NULL OR group_kind = sqlc.narg('group_kind'))
    AND deleted_at IS NULL
ORDER BY server_name, group_kind
LIMIT 2;

-- name: ListTools :many
-- Return all tools, ordered by key.
--
-- A page starts after the given position.
SELECT * FROM tool
WHERE
    deleted_at IS NULL
    AND (id, server_name, group_kind)
    > (@after_id::text, @after_server_name::text, @after_group_kind::text)
ORDER BY id, server_name, group_kind
LIMIT sqlc.narg('limit');

-- name: ListToolsForServer :many
-- Return the tools of a server, ordered by id.
--
-- A page starts after the given position.
SELECT * FROM tool
WHERE
    server_name = @server_name
    AND group_kind = @group_kind
    AND deleted_at IS NULL
    AND id > @after_id::text
ORDER BY id
LIMIT sqlc.narg('limit');

-- name: DeleteToolsForServer :execrows
-- Mark the tools of a server as deleted.
UPDATE tool
SET deleted_at = statement_timestamp()
WHERE server_name = @server_name AND group_kind = @group_kind AND deleted_at IS NULL;

-- name: LockToolsOfServer :one
-- Lock the tools of a server until the end of the transaction, and return the isolation level.
--
-- It is a statement of its own, because the snapshot of a statement is older than the locks of that
-- statement.
-- py: one!
-- py: row LockedTools
-- py: doc LockedTools The isolation level of a transaction that has locked the tools of a server.
-- py: doc LockedTools.isolation The name of the level as PostgreSQL writes it, such as read
-- py: doc LockedTools.isolation committed.
SELECT
    pg_advisory_xact_lock(
        hashtextextended(@group_kind || E'\x1f' || @server_name, 7237405416)
    )::text AS locked,
    current_setting('transaction_isolation')::text AS "isolation!";

-- name: RefreshToolsForServer :one
-- Replace the tools of a server with the given ones; only rows that differ are written.
-- py: batch tools NewTool
-- py: param description text?[]
-- py: row RefreshedTools
-- py: doc NewTool A tool to store with `refresh_tools_for_server`.
-- py: doc NewTool.id The tool's name on its server.
-- py: doc NewTool.description The server's description of the tool; None without one.
-- py: doc RefreshedTools The numbers of tools that a refresh of a server stored and deleted.
-- py: doc RefreshedTools.stored Tools that are new, changed or restored; unchanged ones are not
-- py: doc RefreshedTools.stored counted.
-- py: doc RefreshedTools.deleted Tools that were marked as deleted because the refresh left them
-- py: doc RefreshedTools.deleted out.
WITH input AS (
    SELECT unnest(@id::text[]) AS id, unnest(@description::text[]) AS description
),
deleted AS (
    UPDATE tool
    SET deleted_at = statement_timestamp()
    WHERE
        server_name = @server_name::text
        AND group_kind = @group_kind::text
        AND deleted_at IS NULL
        AND id NOT IN (SELECT id FROM input)
    RETURNING 1
),
stored AS (
    INSERT INTO tool (id, server_name, group_kind, description, created_at, updated_at)
    SELECT
        input.id,
        @server_name,
        @group_kind,
        input.description,
        statement_timestamp(),
        statement_timestamp()
    FROM input
    ORDER BY input.id
    ON CONFLICT (id, server_name, group_kind) DO UPDATE SET
        description = excluded.description,
        updated_at = excluded.updated_at,
        deleted_at = NULL
    WHERE
        tool.deleted_at IS NOT NULL
        OR tool.description IS DISTINCT FROM excluded.description
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM stored) AS stored,
    (SELECT count(*) FROM deleted) AS deleted;

-- name: UpsertToolServer :one
-- Store a tool server and restore a deleted one; columns that are not set stay unchanged.
INSERT INTO toolserver (name, group_kind, description, last_connected, created_at, updated_at)
VALUES (
    @name,
    @group_kind,
    sqlc.narg('description'),
    sqlc.narg('last_connected'),
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (name, group_kind) DO UPDATE SET
    description = CASE
        WHEN @set_description::boolean THEN excluded.description ELSE toolserver.description
    END,
    last_connected = CASE
        WHEN @set_last_connected::boolean THEN excluded.last_connected
        ELSE toolserver.last_connected
    END,
    updated_at = excluded.updated_at,
    deleted_at = NULL
RETURNING *;

-- name: FindToolServers :many
-- Return the servers with a name, of one group kind or of any.
--
-- At most two rows, enough to detect an ambiguous name.
SELECT * FROM toolserver
WHERE
    name = @name
    AND (sqlc.narg('group_kind')::text IS NULL OR group_kind = sqlc.narg('group_kind'))
    AND deleted_at IS NULL
ORDER BY group_kind
LIMIT 2;

-- name: ListToolServers :many
-- Return all servers, ordered by key.
--
-- A page starts after the given position.
SELECT * FROM toolserver
WHERE
    deleted_at IS NULL
    AND (name, group_kind) > (@after_name::text, @after_group_kind::text)
ORDER BY name, group_kind
LIMIT sqlc.narg('limit');

-- name: DeleteToolServer :execrows
-- Mark a server as deleted; its tools stay.
UPDATE toolserver
SET deleted_at = statement_timestamp()
WHERE name = @name AND group_kind = @group_kind AND deleted_at IS NULL;
