-- Threads of langgraph-checkpoint-postgres in another database, for `agentrows import langgraph`.
-- These queries only read. LIMIT and OFFSET in a LATERAL subquery make the planner look each key up in
-- the index, whatever its estimates: with a join it may read a whole thread for each of its rows.
-- py: file

-- name: ListSourceColumns :many
-- Return the columns of the tables of langgraph-checkpoint-postgres that the source has.
SELECT
    class.relname::text AS "table_name!",
    attribute.attname::text AS "column_name!"
FROM pg_catalog.pg_class AS class
JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE
    class.oid IN (
        to_regclass('checkpoint_migrations'),
        to_regclass('checkpoints'),
        to_regclass('checkpoint_blobs'),
        to_regclass('checkpoint_writes')
    )
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped
ORDER BY class.relname, attribute.attnum;

-- name: CountSourceRows :one
-- Return the number of threads, checkpoints and writes of the source, and its newest migration.
-- py: one!
-- py: row SourceCounts
-- py: doc SourceCounts The number of rows of a source.
-- py: doc SourceCounts.stray_writes The writes of threads without a checkpoint.
-- py: doc SourceCounts.version The newest migration of langgraph-checkpoint-postgres.
SELECT
    (SELECT count(DISTINCT c.thread_id) FROM checkpoints AS c) AS "threads!",
    (SELECT count(*) FROM checkpoints) AS "checkpoints!",
    (SELECT count(*) FROM checkpoint_writes) AS "writes!",
    (
        SELECT count(*) FROM checkpoint_writes AS w
        WHERE NOT EXISTS (SELECT 1 FROM checkpoints AS c WHERE c.thread_id = w.thread_id)
    ) AS "stray_writes!",
    (SELECT max(m.v) FROM checkpoint_migrations AS m) AS version;

-- name: ListSourceThreads :many
-- Return a page of threads, ordered by id.
-- py: row SourceThread
-- py: doc SourceThread A thread of a source.
-- py: doc SourceThread.checkpoints The number of its checkpoints.
-- py: doc SourceThread.owners The different texts and numbers under `owner_key` in the metadata of
-- py: doc SourceThread.owners its checkpoints; none without a key.
-- py: doc SourceThread.metadata The metadata of its newest checkpoint, of the root graph if there
-- py: doc SourceThread.metadata is one, as JSON text.
-- py: column owners text[]
SELECT
    page.thread_id,
    page.checkpoints AS "checkpoints!",
    coalesce(owned.owners, '{}') AS owners,
    newest.metadata AS "metadata!"
FROM (
    SELECT
        c.thread_id,
        count(*) AS checkpoints
    FROM checkpoints AS c
    WHERE sqlc.narg('after')::text IS NULL OR c.thread_id > sqlc.narg('after')
    GROUP BY c.thread_id
    ORDER BY c.thread_id
    LIMIT sqlc.arg('limit')
) AS page
CROSS JOIN LATERAL (
    SELECT array_agg(DISTINCT c.metadata ->> sqlc.narg('owner_key')::text) AS owners
    FROM checkpoints AS c
    WHERE
        c.thread_id = page.thread_id
        AND jsonb_typeof(c.metadata -> sqlc.narg('owner_key')::text) IN ('string', 'number')
        AND c.metadata ->> sqlc.narg('owner_key')::text <> ''
) AS owned
CROSS JOIN LATERAL (
    SELECT c.metadata::text AS metadata
    FROM checkpoints AS c
    WHERE c.thread_id = page.thread_id
    ORDER BY c.checkpoint_ns <> '', c.checkpoint_id DESC
    LIMIT 1
) AS newest
ORDER BY page.thread_id;

-- name: ListSourceCheckpoints :many
-- Return the keys of the checkpoints of threads, in the order in which LangGraph stored them.
-- py: row SourceCheckpointKey
-- py: doc SourceCheckpointKey The key of a checkpoint of a source.
-- py: doc SourceCheckpointKey.ts The time of the checkpoint, as LangGraph wrote it.
-- py: doc SourceCheckpointKey.size The approximate number of bytes of the row.
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.checkpoint ->> 'ts' AS ts,
    (pg_column_size(c.checkpoint) + pg_column_size(c.metadata))::bigint AS "size!"
FROM checkpoints AS c
WHERE c.thread_id = ANY(@thread_ids::text[])
ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id;

-- name: DigestSourceCheckpoints :many
-- Return the SHA-256 of the checkpoint, the metadata and the id of the parent together.
-- py: row SourceDigest
-- py: doc SourceDigest The digest of a checkpoint of a source.
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    sha256(
        convert_to(
            (c.checkpoint || jsonb_build_object('channel_values', coalesce(unversioned.object, '{}')))::text,
            'UTF8'
        )
        || convert_to(c.metadata::text, 'UTF8')
        || convert_to(coalesce(c.parent_checkpoint_id, ''), 'UTF8')
    ) AS "digest!"
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id
) AS input
CROSS JOIN LATERAL (
    SELECT stored.*
    FROM checkpoints AS stored
    WHERE
        stored.thread_id = input.thread_id
        AND stored.checkpoint_ns = input.checkpoint_ns
        AND stored.checkpoint_id = input.checkpoint_id
    LIMIT 1
) AS c
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(v.channel, v.value) AS object
    FROM
        jsonb_each(
            CASE
                WHEN jsonb_typeof(c.checkpoint -> 'channel_values') = 'object'
                    THEN c.checkpoint -> 'channel_values'
            END
        ) AS v (channel, value)
    WHERE c.checkpoint -> 'channel_versions' ->> v.channel IS NULL
) AS unversioned;

-- name: ListSourceWrites :many
-- Return the keys of the writes of threads.
-- py: row SourceWriteKey
-- py: doc SourceWriteKey The key of a write of a source.
-- py: doc SourceWriteKey.digest The SHA-256 of the value of a special write (idx below 0), which
-- py: doc SourceWriteKey.digest LangGraph replaces; None for the others, which never change.
-- py: doc SourceWriteKey.size The number of bytes of the value.
SELECT
    w.thread_id,
    w.checkpoint_ns,
    w.checkpoint_id,
    w.task_id,
    w.idx,
    CASE WHEN w.idx < 0 THEN sha256(w.blob) END AS digest,
    octet_length(w.blob)::bigint AS "size!"
FROM checkpoint_writes AS w
WHERE w.thread_id = ANY(@thread_ids::text[])
ORDER BY w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx;

-- name: ReadSourceCheckpoints :many
-- Return checkpoints as they are stored in the target.
--
-- The source has a text, a number, a boolean and NULL in the checkpoint, and other values as blobs.
-- The target has each value of a versioned channel once per version, so these are taken out of the
-- checkpoint and returned as JSON texts. A blob of the type `empty` is no value, and a blob counts
-- more than a value in the checkpoint, which is a mark then.
-- py: row SourceCheckpoint
-- py: doc SourceCheckpoint A checkpoint of a source.
-- py: doc SourceCheckpoint.checkpoint JSON in UTF-8, without the values of versioned channels.
-- py: doc SourceCheckpoint.metadata A JSON object, as text.
-- py: doc SourceCheckpoint.run_id The run that stored the checkpoint; None without one.
-- py: doc SourceCheckpoint.version The version of LangGraph's format; None without one.
-- py: doc SourceCheckpoint.blob_channels The channels with a blob.
-- py: doc SourceCheckpoint.blob_versions Their versions, in the same order.
-- py: doc SourceCheckpoint.blob_sizes The number of bytes of each blob, in the same order.
-- py: doc SourceCheckpoint.inline_channels The other channels with a value.
-- py: doc SourceCheckpoint.inline_versions Their versions, in the same order.
-- py: doc SourceCheckpoint.inline_values Their values as JSON texts, in the same order.
-- py: column blob_channels text[]
-- py: column blob_versions text[]
-- py: column blob_sizes bigint[]
-- py: column inline_channels text[]
-- py: column inline_versions text[]
-- py: column inline_values text[]
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    nullif(c.parent_checkpoint_id, '') AS parent_checkpoint_id,
    CASE
        WHEN jsonb_typeof(c.checkpoint -> 'v') = 'number'
            THEN round((c.checkpoint ->> 'v')::numeric)::bigint
    END AS version,
    convert_to(
        (c.checkpoint || jsonb_build_object('channel_values', coalesce(unversioned.object, '{}')))::text,
        'UTF8'
    ) AS "checkpoint!",
    c.metadata::text AS "metadata!",
    c.metadata ->> 'run_id' AS run_id,
    coalesce(blobs.channels, '{}') AS blob_channels,
    coalesce(blobs.versions, '{}') AS blob_versions,
    coalesce(blobs.sizes, '{}') AS blob_sizes,
    coalesce(inline.channels, '{}') AS inline_channels,
    coalesce(inline.versions, '{}') AS inline_versions,
    coalesce(inline.texts, '{}') AS inline_values
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id
) AS input
CROSS JOIN LATERAL (
    SELECT stored.*
    FROM checkpoints AS stored
    WHERE
        stored.thread_id = input.thread_id
        AND stored.checkpoint_ns = input.checkpoint_ns
        AND stored.checkpoint_id = input.checkpoint_id
    LIMIT 1
) AS c
CROSS JOIN LATERAL (
    SELECT
        array_agg(v.channel) AS channels,
        array_agg(v.version) AS versions,
        array_agg(b.size) AS sizes
    FROM
        jsonb_each_text(
            CASE
                WHEN jsonb_typeof(c.checkpoint -> 'channel_versions') = 'object'
                    THEN c.checkpoint -> 'channel_versions'
            END
        ) AS v (channel, version)
    CROSS JOIN LATERAL (
        SELECT octet_length(stored.blob)::bigint AS size
        FROM checkpoint_blobs AS stored
        WHERE
            stored.thread_id = c.thread_id
            AND stored.checkpoint_ns = c.checkpoint_ns
            AND stored.channel = v.channel
            AND stored.version = v.version
            AND stored.type <> 'empty'
            AND stored.blob IS NOT NULL
        LIMIT 1
    ) AS b
) AS blobs
CROSS JOIN LATERAL (
    SELECT
        array_agg(v.channel) AS channels,
        array_agg(c.checkpoint -> 'channel_versions' ->> v.channel) AS versions,
        array_agg(v.value::text) AS texts
    FROM
        jsonb_each(
            CASE
                WHEN jsonb_typeof(c.checkpoint -> 'channel_values') = 'object'
                    THEN c.checkpoint -> 'channel_values'
            END
        ) AS v (channel, value)
    WHERE
        c.checkpoint -> 'channel_versions' ->> v.channel IS NOT NULL
        AND v.channel <> ALL(coalesce(blobs.channels, '{}'))
) AS inline
CROSS JOIN LATERAL (
    SELECT jsonb_object_agg(v.channel, v.value) AS object
    FROM
        jsonb_each(
            CASE
                WHEN jsonb_typeof(c.checkpoint -> 'channel_values') = 'object'
                    THEN c.checkpoint -> 'channel_values'
            END
        ) AS v (channel, value)
    WHERE c.checkpoint -> 'channel_versions' ->> v.channel IS NULL
) AS unversioned
ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id;

-- name: ReadSourceValues :many
-- Return the blobs of versions of channels.
-- py: row SourceValue
-- py: doc SourceValue A version of the value of a channel of a source.
SELECT
    b.thread_id,
    b.checkpoint_ns,
    b.channel,
    b.version,
    b.type,
    b.blob AS "value!"
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@channel::text[]) AS channel,
        unnest(@version::text[]) AS version
) AS input
CROSS JOIN LATERAL (
    SELECT stored.*
    FROM checkpoint_blobs AS stored
    WHERE
        stored.thread_id = input.thread_id
        AND stored.checkpoint_ns = input.checkpoint_ns
        AND stored.channel = input.channel
        AND stored.version = input.version
        AND stored.type <> 'empty'
        AND stored.blob IS NOT NULL
    LIMIT 1
) AS b;

-- name: ReadSourceWrites :many
-- Return the writes of checkpoints.
-- py: row SourceWrite
-- py: doc SourceWrite A pending write of a source.
SELECT
    w.thread_id,
    w.checkpoint_ns,
    w.checkpoint_id,
    w.task_id,
    w.task_path,
    w.idx,
    w.channel,
    w.type,
    w.blob AS value
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id
) AS input
CROSS JOIN LATERAL (
    SELECT stored.*
    FROM checkpoint_writes AS stored
    WHERE
        stored.thread_id = input.thread_id
        AND stored.checkpoint_ns = input.checkpoint_ns
        AND stored.checkpoint_id = input.checkpoint_id
    OFFSET 0
) AS w
ORDER BY w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.task_id, w.idx;
