-- Import of LangGraph threads from other stores: rows with ids and times of their own.
-- py: file

-- name: InsertImportedValues :one
-- Store versions of values of channels and return the number of those that were new.
--
-- A stored version stays unchanged, and is locked: a sweep of values that no checkpoint names does
-- not delete it before the end of the transaction.
-- py: batch values ImportedValue
-- py: doc ImportedValue A version of the value of a channel, to store with `import_threads`.
-- py: doc ImportedValue.thread_id The LangGraph thread.
-- py: doc ImportedValue.checkpoint_ns The namespace of the graph: empty for the root graph.
-- py: doc ImportedValue.channel The channel of the value.
-- py: doc ImportedValue.version The version of the value; unique for the channel.
-- py: doc ImportedValue.type The serializer's name for the format of value, such as msgpack.
-- py: doc ImportedValue.value The serialized value.
WITH stored AS (
    INSERT INTO agentrows_checkpoint_blob (
        user_id,
        thread_id,
        checkpoint_ns,
        channel,
        version,
        type,
        value
    )
    SELECT
        @user_id::text,
        input.thread_id,
        input.checkpoint_ns,
        input.channel,
        input.version,
        input.type,
        input.value
    FROM (
        SELECT
            unnest(@thread_id::text[]) AS thread_id,
            unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
            unnest(@channel::text[]) AS channel,
            unnest(@version::text[]) AS version,
            unnest(@type::text[]) AS type,
            unnest(@value::bytea[]) AS value
    ) AS input
    ORDER BY input.thread_id, input.checkpoint_ns, input.channel, input.version
    ON CONFLICT (user_id, thread_id, checkpoint_ns, channel, version) DO UPDATE SET
        type = excluded.type
    WHERE false
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: LockNamedValues :many
-- Return the versions of values that are stored, and lock them against a sweep.
--
-- The LIMIT makes the planner look each of them up in the index, whatever its estimates.
-- py: row ChannelValueKey
-- py: doc ChannelValueKey The key of a version of the value of a channel.
SELECT
    input.thread_id AS "thread_id!",
    input.checkpoint_ns AS "checkpoint_ns!",
    input.channel AS "channel!",
    input.version AS "version!"
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@channel::text[]) AS channel,
        unnest(@version::text[]) AS version
    ORDER BY 1, 2, 3, 4
) AS input
CROSS JOIN LATERAL (
    SELECT b.type
    FROM agentrows_checkpoint_blob AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = input.thread_id
        AND b.checkpoint_ns = input.checkpoint_ns
        AND b.channel = input.channel
        AND b.version = input.version
    LIMIT 1
    FOR KEY SHARE
) AS stored;

-- name: InsertImportedCheckpoints :one
-- Store checkpoints with their times and return the number of those that were stored.
--
-- A time is not later than the clock of the server, which orders the checkpoints that follow.
-- `updated_at` equals `created_at` until another method stores the row again. Until then the row
-- is replaced by one with another content, or with the parent that `prune_thread` removed; every
-- other row stays unchanged, and so does a deleted one.
-- py: batch checkpoints ImportedCheckpoint
-- py: param parent_checkpoint_id text?[]
-- py: param run_id text?[]
-- py: param created_at timestamptz?[]
-- py: doc ImportedCheckpoint A checkpoint to store with `import_threads`.
-- py: doc ImportedCheckpoint.thread_id The LangGraph thread.
-- py: doc ImportedCheckpoint.checkpoint_ns The namespace of the graph: empty for the root graph.
-- py: doc ImportedCheckpoint.checkpoint_id The id of the checkpoint.
-- py: doc ImportedCheckpoint.parent_checkpoint_id The id of the previous checkpoint; None for the
-- py: doc ImportedCheckpoint.parent_checkpoint_id first one.
-- py: doc ImportedCheckpoint.checkpoint The checkpoint as JSON in UTF-8, without the values of the
-- py: doc ImportedCheckpoint.checkpoint channels in `versions`.
-- py: doc ImportedCheckpoint.metadata The text of a JSON object.
-- py: doc ImportedCheckpoint.versions The version of each channel with a value, as a JSON object.
-- py: doc ImportedCheckpoint.version The version of LangGraph's format of the checkpoint.
-- py: doc ImportedCheckpoint.run_id The run that stored the checkpoint; None if it is unknown.
-- py: doc ImportedCheckpoint.created_at The time of the checkpoint; None sorts as the oldest.
WITH stored AS (
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
        updated_at,
        agentrows_run_id,
        agentrows_checkpoint,
        agentrows_channels,
        agentrows_versions
    )
    SELECT
        @user_id::text,
        input.thread_id,
        input.checkpoint_ns,
        input.checkpoint_id,
        input.parent_checkpoint_id,
        translate(encode(convert_to(input.metadata, 'UTF8'), 'base64'), E'\n', ''),
        '',
        'agentrows+json',
        input.version,
        least(input.created_at, statement_timestamp()),
        least(input.created_at, statement_timestamp()),
        input.run_id,
        input.checkpoint,
        coalesce(named.channels, '{}'),
        coalesce(named.versions, '{}')
    FROM (
        SELECT
            unnest(@thread_id::text[]) AS thread_id,
            unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
            unnest(@checkpoint_id::text[]) AS checkpoint_id,
            unnest(@parent_checkpoint_id::text[]) AS parent_checkpoint_id,
            unnest(@checkpoint::bytea[]) AS checkpoint,
            unnest(@metadata::text[]) AS metadata,
            unnest(@versions::json[]) AS versions,
            unnest(@version::bigint[]) AS version,
            unnest(@run_id::text[]) AS run_id,
            unnest(@created_at::timestamptz[]) AS created_at
    ) AS input
    CROSS JOIN LATERAL (
        SELECT
            array_agg(each.channel ORDER BY each.channel COLLATE "C") AS channels,
            array_agg(each.version ORDER BY each.channel COLLATE "C") AS versions
        FROM json_each_text(input.versions) AS each (channel, version)
    ) AS named
    ORDER BY input.thread_id, input.checkpoint_ns, input.checkpoint_id
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        parent_checkpoint_id = excluded.parent_checkpoint_id,
        metadata = excluded.metadata,
        version = excluded.version,
        agentrows_run_id = excluded.agentrows_run_id,
        agentrows_checkpoint = excluded.agentrows_checkpoint,
        agentrows_channels = excluded.agentrows_channels,
        agentrows_versions = excluded.agentrows_versions
    WHERE
        lg_checkpoint.checkpoint_type = 'agentrows+json'
        AND lg_checkpoint.deleted_at IS NULL
        AND lg_checkpoint.updated_at IS NOT DISTINCT FROM lg_checkpoint.created_at
        AND (
            lg_checkpoint.agentrows_checkpoint,
            lg_checkpoint.metadata,
            lg_checkpoint.parent_checkpoint_id
        ) IS DISTINCT FROM (
            excluded.agentrows_checkpoint,
            excluded.metadata,
            excluded.parent_checkpoint_id
        )
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: InsertImportedWrites :one
-- Store pending writes with their times and return the number of those that were stored.
--
-- A stored write stays unchanged, except for a special one (idx below 0) that was imported and has
-- not been stored by another method since.
-- py: batch writes ImportedWrite
-- py: param created_at timestamptz?[]
-- py: doc ImportedWrite A pending write to store with `import_threads`.
-- py: doc ImportedWrite.thread_id The LangGraph thread.
-- py: doc ImportedWrite.checkpoint_ns The namespace of the graph: empty for the root graph.
-- py: doc ImportedWrite.checkpoint_id The checkpoint at which the write is pending.
-- py: doc ImportedWrite.task_id The LangGraph task of the write.
-- py: doc ImportedWrite.task_path The path of the task, which orders the writes of a checkpoint.
-- py: doc ImportedWrite.idx The index of the write in its task: -4 to -1 for special channels.
-- py: doc ImportedWrite.channel The channel of the write.
-- py: doc ImportedWrite.type The serializer's name for the format of value, such as msgpack.
-- py: doc ImportedWrite.value The serialized value.
-- py: doc ImportedWrite.created_at The time of the write's checkpoint; None if it is unknown.
WITH stored AS (
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
        updated_at,
        agentrows_task_path,
        agentrows_value
    )
    SELECT
        @user_id::text,
        input.thread_id,
        input.checkpoint_ns,
        input.checkpoint_id,
        (input.task_hash << 20) | (input.idx + 16),
        '',
        'agentrows+' || input.type,
        input.channel,
        input.task_id,
        least(input.created_at, statement_timestamp()),
        least(input.created_at, statement_timestamp()),
        input.task_path,
        input.value
    FROM (
        SELECT
            unnest(@thread_id::text[]) AS thread_id,
            unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
            unnest(@checkpoint_id::text[]) AS checkpoint_id,
            unnest(@task_id::text[]) AS task_id,
            unnest(@task_path::text[]) AS task_path,
            (
                'x' || substr(encode(sha256(convert_to(unnest(@task_id::text[]), 'UTF8')), 'hex'), 1, 11)
            )::bit(44)::bigint >> 1 AS task_hash,
            unnest(@idx::bigint[]) AS idx,
            unnest(@channel::text[]) AS channel,
            unnest(@type::text[]) AS type,
            unnest(@value::bytea[]) AS value,
            unnest(@created_at::timestamptz[]) AS created_at
    ) AS input
    ORDER BY input.thread_id, input.checkpoint_ns, input.checkpoint_id, input.task_id, input.idx
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
        value_type = excluded.value_type,
        channel = excluded.channel,
        agentrows_task_path = excluded.agentrows_task_path,
        agentrows_value = excluded.agentrows_value
    WHERE
        (lg_checkpoint_write.write_idx & 1048575) < 16
        AND lg_checkpoint_write.deleted_at IS NULL
        AND lg_checkpoint_write.updated_at = lg_checkpoint_write.created_at
        AND lg_checkpoint_write.created_at = excluded.created_at
        AND lg_checkpoint_write.agentrows_value IS DISTINCT FROM excluded.agentrows_value
    RETURNING 1
)
SELECT count(*) AS stored FROM stored;

-- name: ListCheckpointDigests :many
-- Return the keys of the checkpoints of a user's threads with digests, deleted ones included.
--
-- The subquery of each value, instead of a join, makes the planner look it up in the index.
-- py: row CheckpointDigest
-- py: doc CheckpointDigest The key of a checkpoint, and the digest of an imported one.
-- py: doc CheckpointDigest.is_deleted Whether the checkpoint is marked as deleted.
-- py: doc CheckpointDigest.missing_values The number of values that it names and that are missing.
-- py: doc CheckpointDigest.digest The SHA-256 of the checkpoint, its metadata and the id of its
-- py: doc CheckpointDigest.digest parent together, as imported; None if another method stored it.
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    (c.deleted_at IS NOT NULL)::boolean AS "is_deleted!",
    (
        SELECT count(*) FROM (
            SELECT
                unnest(c.agentrows_channels) AS channel,
                unnest(c.agentrows_versions) AS version
        ) AS named
        WHERE (
            SELECT b.type FROM agentrows_checkpoint_blob AS b
            WHERE
                b.user_id = @user_id
                AND b.thread_id = c.thread_id
                AND b.checkpoint_ns = c.checkpoint_ns
                AND b.channel = named.channel
                AND b.version = named.version
        ) IS NULL
    ) AS "missing_values!",
    CASE
        WHEN
            c.checkpoint_type = 'agentrows+json'
            AND c.updated_at IS NOT DISTINCT FROM c.created_at
            THEN sha256(
                c.agentrows_checkpoint
                || decode(c.metadata, 'base64')
                || convert_to(coalesce(c.parent_checkpoint_id, ''), 'UTF8')
            )
    END AS digest
FROM lg_checkpoint AS c
WHERE c.user_id = @user_id AND c.thread_id = ANY(@thread_ids::text[]);

-- name: ListWriteDigests :many
-- Return the keys of the writes of a user's threads with digests, deleted ones included.
-- py: row WriteDigest
-- py: doc WriteDigest The key of a write, and the digest of a special one.
-- py: doc WriteDigest.idx The index of the write in its task.
-- py: doc WriteDigest.is_deleted Whether the write is marked as deleted.
-- py: doc WriteDigest.digest The SHA-256 of the value of a special write (idx below 0); None for the
-- py: doc WriteDigest.digest others, and for a value that is not stored as bytes.
SELECT
    w.thread_id,
    w.checkpoint_ns,
    w.checkpoint_id,
    w.task_id,
    (w.write_idx & 1048575) - 16 AS "idx!",
    (w.deleted_at IS NOT NULL)::boolean AS "is_deleted!",
    CASE
        WHEN (w.write_idx & 1048575) < 16 AND w.value_type LIKE 'agentrows+%'
            THEN sha256(w.agentrows_value)
    END AS digest
FROM lg_checkpoint_write AS w
WHERE w.user_id = @user_id AND w.thread_id = ANY(@thread_ids::text[]);
