-- LangGraph checkpoints and their pending writes: what a thread of a user was at, step by step.
-- `metadata` is base64 of JSON, `checkpoint` and `value` are base64 of serialised bytes.
-- py: file

-- name: UpsertCheckpoint :exec
-- Store a checkpoint under its key and bring a deleted one back.
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
-- Store a task's writes to a checkpoint. The key has no task, so write_idx carries a hash of it: 43
-- bits of hash, then 20 bits of idx + 16. A write that is there stays as it is, except the special
-- ones (idx below 0), which are replaced, and deleted ones, which come back.
-- py: batch writes NewCheckpointWrite
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
-- A checkpoint of a user's thread, unless it is deleted. The CASE hides that condition from the
-- planner, which would take the list's index, where the id comes last, for as good as the key's.
SELECT * FROM lg_checkpoint
WHERE
    user_id = @user_id
    AND thread_id = @thread_id
    AND checkpoint_ns = @checkpoint_ns
    AND checkpoint_id = @checkpoint_id
    AND CASE WHEN deleted_at IS NULL THEN true ELSE false END;

-- name: ListCheckpoints :many
-- The checkpoints of a user's thread, newest first; `before` is the id of one to begin behind. Where
-- no checkpoint has that id, those with a smaller id: LangGraph's ids grow with time. The order's
-- first column is compared apart, because an index can begin there.
WITH place AS MATERIALIZED (
    SELECT coalesce(b.created_at, '-infinity'::timestamptz) AS time
    FROM lg_checkpoint AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = @thread_id
        AND b.checkpoint_ns = @checkpoint_ns
        AND b.checkpoint_id = sqlc.narg('before')::text
)
SELECT c.* FROM lg_checkpoint AS c
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
-- Of ListCheckpoints those whose metadata contains this. Metadata of another program that is not
-- base64 of UTF-8 of JSON, or is nested too deep for the server to parse, matches nothing. The CASE
-- hides the filter from the planner, which would expect it to match next to nothing, and decode and
-- sort the whole thread for a page.
WITH place AS MATERIALIZED (
    SELECT coalesce(b.created_at, '-infinity'::timestamptz) AS time
    FROM lg_checkpoint AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = @thread_id
        AND b.checkpoint_ns = @checkpoint_ns
        AND b.checkpoint_id = sqlc.narg('before')::text
)
SELECT c.* FROM lg_checkpoint AS c
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
-- The pending writes of some checkpoints of a thread, by checkpoint, task and index.
SELECT * FROM lg_checkpoint_write
WHERE
    user_id = @user_id
    AND thread_id = @thread_id
    AND checkpoint_ns = @checkpoint_ns
    AND checkpoint_id = ANY(@checkpoint_ids::text[])
    AND deleted_at IS NULL
ORDER BY checkpoint_id, task_id, write_idx;

-- name: DeleteCheckpoints :one
-- Mark the checkpoints of a user's thread as deleted, with their writes: all of them, those of one
-- namespace, or one.
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
