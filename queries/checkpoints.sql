-- LangGraph checkpoints and their pending writes: the state of a thread after each step. `metadata`
-- is base64 of JSON; `checkpoint` and `value` are base64 of serialized bytes.
--
-- These queries name their columns: the columns of threads.sql are in an optional migration.
-- py: file

-- name: UpsertCheckpoint :exec
-- Store a checkpoint under its key and restore a deleted one.
INSERT INTO lg_checkpoint (
    user_id,
    thread_id,
    checkpoint_ns,
    checkpoint_id,
    parent_checkpoint_id,
    metadata,
    checkpoint,
    checkpoint_type,
    version,
    created_at,
    updated_at
)
VALUES (
    @user_id,
    @thread_id,
    @checkpoint_ns,
    @checkpoint_id,
    sqlc.narg('parent_checkpoint_id'),
    @metadata,
    @checkpoint,
    @checkpoint_type,
    @version,
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
    parent_checkpoint_id = excluded.parent_checkpoint_id,
    metadata = excluded.metadata,
    checkpoint = excluded.checkpoint,
    checkpoint_type = excluded.checkpoint_type,
    version = excluded.version,
    updated_at = excluded.updated_at,
    deleted_at = NULL;

-- name: UpsertCheckpointWrites :exec
-- Store the writes of a task to a checkpoint.
--
-- A stored write stays unchanged, except for special ones (idx below 0), which are replaced, and
-- deleted ones, which are restored. The key has no task id, so write_idx contains a hash of it: 43
-- bits of hash, then 20 bits of idx + 16.
-- py: batch writes NewCheckpointWrite
-- py: doc NewCheckpointWrite A pending write to store with `store_checkpoint_writes`.
-- py: doc NewCheckpointWrite.idx The index of the write in its task: -4 to -1 for LangGraph's
-- py: doc NewCheckpointWrite.idx special channels, 0 to 1,048,559 for the others.
-- py: doc NewCheckpointWrite.channel The channel of the write.
-- py: doc NewCheckpointWrite.value_type The serializer's name for the format of value, such as
-- py: doc NewCheckpointWrite.value_type msgpack.
-- py: doc NewCheckpointWrite.value Base64 of the serialized value.
INSERT INTO lg_checkpoint_write (
    user_id,
    thread_id,
    checkpoint_ns,
    checkpoint_id,
    write_idx,
    value,
    value_type,
    channel,
    task_id,
    created_at,
    updated_at
)
SELECT
    @user_id::text,
    @thread_id::text,
    @checkpoint_ns::text,
    @checkpoint_id::text,
    (@task_hash::bigint << 20) | (input.idx + 16),
    input.value,
    input.value_type,
    input.channel,
    @task_id::text,
    statement_timestamp(),
    statement_timestamp()
FROM (
    SELECT
        unnest(@idx::bigint[]) AS idx,
        unnest(@channel::text[]) AS channel,
        unnest(@value_type::text[]) AS value_type,
        unnest(@value::text[]) AS value
) AS input
ORDER BY input.idx
ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
    value = excluded.value,
    value_type = excluded.value_type,
    channel = excluded.channel,
    task_id = excluded.task_id,
    updated_at = excluded.updated_at,
    deleted_at = NULL
WHERE (excluded.write_idx & 1048575) < 16 OR lg_checkpoint_write.deleted_at IS NOT NULL;

-- name: GetCheckpoint :one
-- Return a checkpoint of a user's thread.
--
-- No row if the checkpoint is deleted. The CASE hides that condition from the planner, which would
-- otherwise choose the index of the list, where the id is the last column, over the primary key.
-- py: row Checkpoint
-- py: doc Checkpoint The state of a LangGraph thread after one step.
SELECT
    user_id,
    thread_id,
    checkpoint_ns,
    checkpoint_id,
    parent_checkpoint_id,
    metadata,
    checkpoint,
    checkpoint_type,
    version,
    created_at,
    updated_at,
    deleted_at
FROM lg_checkpoint
WHERE
    user_id = @user_id
    AND thread_id = @thread_id
    AND checkpoint_ns = @checkpoint_ns
    AND checkpoint_id = @checkpoint_id
    AND CASE WHEN deleted_at IS NULL THEN true ELSE false END;

-- name: ListCheckpoints :many
-- Return the checkpoints of a user's thread, newest first.
--
-- A page starts after the checkpoint with the id `before`. If no checkpoint has that id, it
-- contains the smaller ids: the ids of LangGraph grow with time. The first column of the order has
-- a condition of its own, so that an index scan can start there.
-- py: row Checkpoint
WITH place AS MATERIALIZED (
    SELECT coalesce(b.created_at, '-infinity'::timestamptz) AS time
    FROM lg_checkpoint AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = @thread_id
        AND b.checkpoint_ns = @checkpoint_ns
        AND b.checkpoint_id = sqlc.narg('before')::text
)
SELECT
    c.user_id,
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.metadata,
    c.checkpoint,
    c.checkpoint_type,
    c.version,
    c.created_at,
    c.updated_at,
    c.deleted_at
FROM lg_checkpoint AS c
WHERE
    c.user_id = @user_id
    AND c.thread_id = @thread_id
    AND c.checkpoint_ns = @checkpoint_ns
    AND c.deleted_at IS NULL
    AND coalesce(c.created_at, '-infinity'::timestamptz)
    <= coalesce((SELECT place.time FROM place), 'infinity'::timestamptz)
    AND (
        sqlc.narg('before') IS NULL
        OR CASE
            WHEN EXISTS (SELECT 1 FROM place)
                THEN
                    (coalesce(c.created_at, '-infinity'::timestamptz), c.checkpoint_id)
                    < ((SELECT place.time FROM place), sqlc.narg('before'))
            ELSE c.checkpoint_id < sqlc.narg('before')
        END
    )
ORDER BY coalesce(c.created_at, '-infinity'::timestamptz) DESC, c.checkpoint_id DESC
LIMIT sqlc.narg('limit');

-- name: FilterCheckpoints :many
-- Return the checkpoints of ListCheckpoints that contain a JSON object in their metadata.
--
-- Metadata of another program that is not base64 of JSON in UTF-8, or is nested too deep for the
-- server to parse, does not match. The CASE hides the filter from the planner, which would
-- otherwise estimate that hardly any row matches, then decode and sort the whole thread for one
-- page.
-- py: row Checkpoint
WITH place AS MATERIALIZED (
    SELECT coalesce(b.created_at, '-infinity'::timestamptz) AS time
    FROM lg_checkpoint AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = @thread_id
        AND b.checkpoint_ns = @checkpoint_ns
        AND b.checkpoint_id = sqlc.narg('before')::text
)
SELECT
    c.user_id,
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.metadata,
    c.checkpoint,
    c.checkpoint_type,
    c.version,
    c.created_at,
    c.updated_at,
    c.deleted_at
FROM lg_checkpoint AS c
WHERE
    c.user_id = @user_id
    AND c.thread_id = @thread_id
    AND c.checkpoint_ns = @checkpoint_ns
    AND c.deleted_at IS NULL
    AND coalesce(c.created_at, '-infinity'::timestamptz)
    <= coalesce((SELECT place.time FROM place), 'infinity'::timestamptz)
    AND (
        sqlc.narg('before') IS NULL
        OR CASE
            WHEN EXISTS (SELECT 1 FROM place)
                THEN
                    (coalesce(c.created_at, '-infinity'::timestamptz), c.checkpoint_id)
                    < ((SELECT place.time FROM place), sqlc.narg('before'))
            ELSE c.checkpoint_id < sqlc.narg('before')
        END
    )
    AND CASE
        WHEN (
            SELECT
                CASE
                    WHEN
                        (
                        length(json.value) - length(translate(json.value, '[{', '')) < 5000
                        OR (
                            SELECT coalesce(max(nested.depth), 0)
                            FROM (
                                SELECT
                                    sum(CASE WHEN bracket.sign IN ('[', '{') THEN 1 ELSE -1 END)
                                        OVER (ORDER BY bracket.place) AS depth
                                FROM unnest(
                                    string_to_array(
                                        regexp_replace(
                                            json.value, '"(?:[^"\\]|\\.)*\\?(?:"|$)|[^][{}"]+', '', 'g'
                                        ),
                                        NULL
                                    )
                                ) WITH ORDINALITY AS bracket (sign, place)
                            ) AS nested
                        ) < 5000
                    )
                        AND pg_input_is_valid(json.value, 'jsonb')
                        THEN json.value::jsonb
                END
            FROM (
                SELECT
                    CASE
                        WHEN
                            encode(raw.value, 'hex') ~ (
                                '^(0[1-9a-f]|[1-7].|(c[2-9a-f]|d.)[89ab].|e0[ab].[89ab].'
                                || '|e[1-9abcef][89ab].[89ab].|ed[89].[89ab].'
                                || '|f0[9ab].[89ab].[89ab].|f[123][89ab].[89ab].[89ab].'
                                || '|f48.[89ab].[89ab].)*$'
                            )
                            THEN convert_from(raw.value, 'UTF8')
                    END AS value
                FROM (
                    SELECT
                        CASE
                            WHEN
                                translate(c.metadata, E' \t\r\n', '') ~ (
                                    '^([A-Za-z0-9+/]{4})*'
                                    || '([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$'
                                )
                                THEN decode(c.metadata, 'base64')
                        END AS value
                ) AS raw
            ) AS json
        ) @> @metadata::jsonb THEN true
        ELSE false
    END
ORDER BY coalesce(c.created_at, '-infinity'::timestamptz) DESC, c.checkpoint_id DESC
LIMIT sqlc.narg('limit');

-- name: ListCheckpointWrites :many
-- Return the pending writes of checkpoints of a thread, ordered by checkpoint, task and index.
-- py: row CheckpointWrite
-- py: doc CheckpointWrite A pending write to a channel of LangGraph, at a checkpoint.
SELECT
    user_id,
    thread_id,
    checkpoint_ns,
    checkpoint_id,
    write_idx,
    value,
    value_type,
    channel,
    task_id,
    created_at,
    updated_at,
    deleted_at
FROM lg_checkpoint_write
WHERE
    user_id = @user_id
    AND thread_id = @thread_id
    AND checkpoint_ns = @checkpoint_ns
    AND checkpoint_id = ANY(@checkpoint_ids::text[])
    AND deleted_at IS NULL
ORDER BY checkpoint_id, task_id, write_idx;

-- name: DeleteCheckpoints :one
-- Mark checkpoints of a user's thread and their writes as deleted.
--
-- Without a namespace or an id the query covers all namespaces or all ids. The result counts
-- checkpoints and writes.
WITH writes AS (
    UPDATE lg_checkpoint_write
    SET deleted_at = statement_timestamp()
    WHERE
        user_id = @user_id::text
        AND thread_id = @thread_id::text
        AND (sqlc.narg('checkpoint_ns')::text IS NULL OR checkpoint_ns = sqlc.narg('checkpoint_ns'))
        AND (sqlc.narg('checkpoint_id')::text IS NULL OR checkpoint_id = sqlc.narg('checkpoint_id'))
        AND deleted_at IS NULL
    RETURNING 1
),
checkpoints AS (
    UPDATE lg_checkpoint
    SET deleted_at = statement_timestamp()
    WHERE
        user_id = @user_id
        AND thread_id = @thread_id
        AND (sqlc.narg('checkpoint_ns')::text IS NULL OR checkpoint_ns = sqlc.narg('checkpoint_ns'))
        AND (sqlc.narg('checkpoint_id')::text IS NULL OR checkpoint_id = sqlc.narg('checkpoint_id'))
        AND deleted_at IS NULL
    RETURNING 1
)
SELECT (SELECT count(*) FROM checkpoints) + (SELECT count(*) FROM writes) AS deleted;
