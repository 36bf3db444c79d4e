-- LangGraph threads: checkpoints and pending writes as bytes, with the values of channels stored once
-- per version, and the deletion of whole threads, runs and channel values.
--
-- Rows of this layout have a type that begins with `agentrows+`, and only that prefix determines the
-- layout of a row: an upsert of another writer leaves the other columns behind. Rows without the
-- prefix contain base64 text, as in checkpoints.sql.
--
-- A writer locks the own checkpoint and its parent, then stores the writes of its step in the order
-- of their keys, then locks the older values, then the new values in the order of their keys, and
-- stores the checkpoint last; so does a copy. A deletion locks and deletes the checkpoints first,
-- then locks the writes in the order of their keys and deletes them; then it locks the values that
-- no checkpoint names, and deletes those of them that no checkpoint names in the snapshot of the
-- next statement. A value that a writer has locked is therefore either named by the time that it
-- would be deleted, or missing for the writer.
-- py: file

-- name: StoreThreadCheckpoint :many
-- Store a checkpoint of a thread, with new values of channels; restore a deleted one.
--
-- If a named value is neither given nor stored, nothing is stored, and the result contains the
-- channel. A value of `optional_versions` is named if it is stored. The row locks keep the values
-- from being deleted until the checkpoint is visible. The counts order the steps: a CTE without a
-- reference to another one could run before it.
-- py: batch values NewChannelValue
-- py: doc NewChannelValue A value of a channel to store with `store_thread_checkpoint`.
-- py: doc NewChannelValue.channel The channel of the value.
-- py: doc NewChannelValue.type The serializer's name for the format of value, such as msgpack.
-- py: doc NewChannelValue.value The serialized value.
WITH family AS MATERIALIZED (
    SELECT c.checkpoint_id FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id::text
        AND c.thread_id = @thread_id::text
        AND c.checkpoint_ns = @checkpoint_ns::text
        AND c.checkpoint_id IN (@checkpoint_id::text, sqlc.narg('parent_checkpoint_id')::text)
    ORDER BY c.checkpoint_id
    FOR KEY SHARE
),
required AS MATERIALIZED (
    SELECT each.key::text AS channel, each.value::text AS version
    FROM json_each_text(@versions::json) AS each
    WHERE (SELECT count(*) FROM family) >= 0
),
given AS MATERIALIZED (
    SELECT
        unnest(@channel::text[]) AS channel,
        unnest(@type::text[]) AS type,
        unnest(@value::bytea[]) AS value
),
older AS MATERIALIZED (
    SELECT locked.channel, locked.version
    FROM (
        SELECT required.channel, required.version FROM required
        WHERE required.channel NOT IN (SELECT given.channel FROM given)
        UNION ALL
        SELECT each.key, each.value FROM json_each_text(@optional_versions::json) AS each
        WHERE (SELECT count(*) FROM family) >= 0
        ORDER BY channel
    ) AS lacking
    CROSS JOIN LATERAL (
        SELECT blob.channel, blob.version FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = @thread_id
            AND blob.checkpoint_ns = @checkpoint_ns
            AND blob.channel = lacking.channel
            AND blob.version = lacking.version
        FOR KEY SHARE
    ) AS locked
),
named AS MATERIALIZED (
    SELECT older.channel, older.version FROM older
    UNION ALL
    SELECT required.channel, required.version FROM required
    INNER JOIN given ON given.channel = required.channel
),
missing AS MATERIALIZED (
    SELECT required.channel FROM required
    WHERE required.channel NOT IN (SELECT named.channel FROM named)
),
stored_values AS (
    INSERT INTO agentrows_checkpoint_blob AS blob (
        user_id,
        thread_id,
        checkpoint_ns,
        channel,
        version,
        type,
        value
    )
    SELECT @user_id, @thread_id, @checkpoint_ns, given.channel, required.version, given.type, given.value
    FROM given
    INNER JOIN required ON required.channel = given.channel
    WHERE NOT EXISTS (SELECT 1 FROM missing) AND (SELECT count(*) FROM older) >= 0
    ORDER BY given.channel
    ON CONFLICT (user_id, thread_id, checkpoint_ns, channel, version) DO UPDATE SET
        type = excluded.type,
        value = excluded.value
    WHERE blob.type <> excluded.type OR blob.value <> excluded.value
    RETURNING 1
),
stored_checkpoint AS (
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
        agentrows_run_id,
        agentrows_checkpoint,
        agentrows_channels,
        agentrows_versions,
        created_at,
        updated_at
    )
    SELECT
        @user_id,
        @thread_id,
        @checkpoint_ns,
        @checkpoint_id,
        sqlc.narg('parent_checkpoint_id'),
        @metadata::text,
        '',
        'agentrows+' || @checkpoint_type,
        @version::bigint,
        sqlc.narg('run_id')::text,
        @checkpoint::bytea,
        array(SELECT named.channel FROM named ORDER BY named.channel),
        array(SELECT named.version FROM named ORDER BY named.channel),
        statement_timestamp(),
        statement_timestamp()
    WHERE NOT EXISTS (SELECT 1 FROM missing) AND (SELECT count(*) FROM stored_values) >= 0
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        parent_checkpoint_id = excluded.parent_checkpoint_id,
        metadata = excluded.metadata,
        checkpoint = excluded.checkpoint,
        checkpoint_type = excluded.checkpoint_type,
        version = excluded.version,
        agentrows_run_id = excluded.agentrows_run_id,
        agentrows_checkpoint = excluded.agentrows_checkpoint,
        agentrows_channels = excluded.agentrows_channels,
        agentrows_versions = excluded.agentrows_versions,
        updated_at = excluded.updated_at,
        deleted_at = NULL
)
SELECT missing.channel::text AS "channel!" FROM missing;

-- name: StoreThreadWrites :exec
-- Store the writes of a task to a checkpoint, as UpsertCheckpointWrites does, with values as bytes.
-- py: batch writes NewThreadWrite
-- py: doc NewThreadWrite A pending write to store with `store_thread_writes`.
-- py: doc NewThreadWrite.idx The index of the write in its task: -4 to -1 for LangGraph's special
-- py: doc NewThreadWrite.idx channels, 0 to 1,048,559 for the others.
-- py: doc NewThreadWrite.channel The channel of the write.
-- py: doc NewThreadWrite.type The serializer's name for the format of value, such as msgpack.
-- py: doc NewThreadWrite.value The serialized value.
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
    agentrows_task_path,
    agentrows_value,
    created_at,
    updated_at
)
SELECT
    @user_id::text,
    @thread_id::text,
    @checkpoint_ns::text,
    @checkpoint_id::text,
    (@task_hash::bigint << 20) | (input.idx + 16),
    '',
    'agentrows+' || input.type,
    input.channel,
    @task_id::text,
    @task_path::text,
    input.value,
    statement_timestamp(),
    statement_timestamp()
FROM (
    SELECT
        unnest(@idx::bigint[]) AS idx,
        unnest(@channel::text[]) AS channel,
        unnest(@type::text[]) AS type,
        unnest(@value::bytea[]) AS value
) AS input
ORDER BY input.idx
ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
    value = excluded.value,
    value_type = excluded.value_type,
    channel = excluded.channel,
    task_id = excluded.task_id,
    agentrows_task_path = excluded.agentrows_task_path,
    agentrows_value = excluded.agentrows_value,
    updated_at = excluded.updated_at,
    deleted_at = NULL
WHERE (excluded.write_idx & 1048575) < 16 OR lg_checkpoint_write.deleted_at IS NOT NULL;

-- name: StoreTaskWrites :exec
-- Store the writes of several tasks of a user in one statement, each as StoreThreadWrites does.
--
-- The arrays have a row for each write. No two of them may be the same write of a checkpoint.
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
    agentrows_task_path,
    agentrows_value,
    created_at,
    updated_at
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
    input.task_path,
    input.value,
    statement_timestamp(),
    statement_timestamp()
FROM (
    SELECT
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id,
        unnest(@task_hash::bigint[]) AS task_hash,
        unnest(@task_id::text[]) AS task_id,
        unnest(@task_path::text[]) AS task_path,
        unnest(@idx::bigint[]) AS idx,
        unnest(@channel::text[]) AS channel,
        unnest(@type::text[]) AS type,
        unnest(@value::bytea[]) AS value
) AS input
ORDER BY input.thread_id, input.checkpoint_ns, input.checkpoint_id, input.task_hash, input.idx
ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
    value = excluded.value,
    value_type = excluded.value_type,
    channel = excluded.channel,
    task_id = excluded.task_id,
    agentrows_task_path = excluded.agentrows_task_path,
    agentrows_value = excluded.agentrows_value,
    updated_at = excluded.updated_at,
    deleted_at = NULL
WHERE (excluded.write_idx & 1048575) < 16 OR lg_checkpoint_write.deleted_at IS NOT NULL;

-- name: StoreThreadStep :many
-- Store a checkpoint as StoreThreadCheckpoint does, and writes of tasks to its namespace.
--
-- The writes are stored also if a value is missing, and the checkpoint is not. They come before the
-- values, because a deletion of the thread locks rows in this order.
WITH family AS MATERIALIZED (
    SELECT c.checkpoint_id FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id::text
        AND c.thread_id = @thread_id::text
        AND c.checkpoint_ns = @checkpoint_ns::text
        AND c.checkpoint_id IN (@checkpoint_id::text, sqlc.narg('parent_checkpoint_id')::text)
    ORDER BY c.checkpoint_id
    FOR KEY SHARE
),
stored_writes AS (
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
        agentrows_task_path,
        agentrows_value,
        created_at,
        updated_at
    )
    SELECT
        @user_id,
        @thread_id,
        @checkpoint_ns,
        input.checkpoint_id,
        (input.task_hash << 20) | (input.idx + 16),
        '',
        'agentrows+' || input.type,
        input.channel,
        input.task_id,
        input.task_path,
        input.value,
        statement_timestamp(),
        statement_timestamp()
    FROM (
        SELECT
            unnest(@write_checkpoint_id::text[]) AS checkpoint_id,
            unnest(@task_hash::bigint[]) AS task_hash,
            unnest(@task_id::text[]) AS task_id,
            unnest(@task_path::text[]) AS task_path,
            unnest(@idx::bigint[]) AS idx,
            unnest(@write_channel::text[]) AS channel,
            unnest(@write_type::text[]) AS type,
            unnest(@write_value::bytea[]) AS value
    ) AS input
    WHERE (SELECT count(*) FROM family) >= 0
    ORDER BY input.checkpoint_id, input.task_hash, input.idx
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
        value = excluded.value,
        value_type = excluded.value_type,
        channel = excluded.channel,
        task_id = excluded.task_id,
        agentrows_task_path = excluded.agentrows_task_path,
        agentrows_value = excluded.agentrows_value,
        updated_at = excluded.updated_at,
        deleted_at = NULL
    WHERE (excluded.write_idx & 1048575) < 16 OR lg_checkpoint_write.deleted_at IS NOT NULL
    RETURNING 1
),
required AS MATERIALIZED (
    SELECT each.key::text AS channel, each.value::text AS version
    FROM json_each_text(@versions::json) AS each
    WHERE (SELECT count(*) FROM stored_writes) >= 0
),
given AS MATERIALIZED (
    SELECT
        unnest(@channel::text[]) AS channel,
        unnest(@type::text[]) AS type,
        unnest(@value::bytea[]) AS value
),
older AS MATERIALIZED (
    SELECT locked.channel, locked.version
    FROM (
        SELECT required.channel, required.version FROM required
        WHERE required.channel NOT IN (SELECT given.channel FROM given)
        UNION ALL
        SELECT each.key, each.value FROM json_each_text(@optional_versions::json) AS each
        WHERE (SELECT count(*) FROM stored_writes) >= 0
        ORDER BY channel
    ) AS lacking
    CROSS JOIN LATERAL (
        SELECT blob.channel, blob.version FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = @thread_id
            AND blob.checkpoint_ns = @checkpoint_ns
            AND blob.channel = lacking.channel
            AND blob.version = lacking.version
        FOR KEY SHARE
    ) AS locked
),
named AS MATERIALIZED (
    SELECT older.channel, older.version FROM older
    UNION ALL
    SELECT required.channel, required.version FROM required
    INNER JOIN given ON given.channel = required.channel
),
missing AS MATERIALIZED (
    SELECT required.channel FROM required
    WHERE required.channel NOT IN (SELECT named.channel FROM named)
),
stored_values AS (
    INSERT INTO agentrows_checkpoint_blob AS blob (
        user_id,
        thread_id,
        checkpoint_ns,
        channel,
        version,
        type,
        value
    )
    SELECT @user_id, @thread_id, @checkpoint_ns, given.channel, required.version, given.type, given.value
    FROM given
    INNER JOIN required ON required.channel = given.channel
    WHERE NOT EXISTS (SELECT 1 FROM missing) AND (SELECT count(*) FROM older) >= 0
    ORDER BY given.channel
    ON CONFLICT (user_id, thread_id, checkpoint_ns, channel, version) DO UPDATE SET
        type = excluded.type,
        value = excluded.value
    WHERE blob.type <> excluded.type OR blob.value <> excluded.value
    RETURNING 1
),
stored_checkpoint AS (
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
        agentrows_run_id,
        agentrows_checkpoint,
        agentrows_channels,
        agentrows_versions,
        created_at,
        updated_at
    )
    SELECT
        @user_id,
        @thread_id,
        @checkpoint_ns,
        @checkpoint_id,
        sqlc.narg('parent_checkpoint_id'),
        @metadata::text,
        '',
        'agentrows+' || @checkpoint_type,
        @version::bigint,
        sqlc.narg('run_id')::text,
        @checkpoint::bytea,
        array(SELECT named.channel FROM named ORDER BY named.channel),
        array(SELECT named.version FROM named ORDER BY named.channel),
        statement_timestamp(),
        statement_timestamp()
    WHERE NOT EXISTS (SELECT 1 FROM missing) AND (SELECT count(*) FROM stored_values) >= 0
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        parent_checkpoint_id = excluded.parent_checkpoint_id,
        metadata = excluded.metadata,
        checkpoint = excluded.checkpoint,
        checkpoint_type = excluded.checkpoint_type,
        version = excluded.version,
        agentrows_run_id = excluded.agentrows_run_id,
        agentrows_checkpoint = excluded.agentrows_checkpoint,
        agentrows_channels = excluded.agentrows_channels,
        agentrows_versions = excluded.agentrows_versions,
        updated_at = excluded.updated_at,
        deleted_at = NULL
)
SELECT missing.channel::text AS "channel!" FROM missing;

-- name: FindThreadCheckpoint :one
-- Return a checkpoint of a thread with its values and writes, all of one snapshot.
--
-- No row if the checkpoint is deleted; the CASE hides that condition from the planner, as in
-- GetCheckpoint. The LIMIT in a subquery keeps it one index look-up for each value.
-- py: row ThreadCheckpoint
-- py: doc ThreadCheckpoint A checkpoint of a thread with the values of its channels and its writes.
-- py: doc ThreadCheckpoint.checkpoint_type The serializer's name for the format of checkpoint, such
-- py: doc ThreadCheckpoint.checkpoint_type as msgpack.
-- py: doc ThreadCheckpoint.checkpoint The serialized checkpoint; without the values of its channels
-- py: doc ThreadCheckpoint.checkpoint if value_channels contains them.
-- py: doc ThreadCheckpoint.metadata The text of a JSON object.
-- py: doc ThreadCheckpoint.value_channels The channels whose values are stored separately; empty if
-- py: doc ThreadCheckpoint.value_channels checkpoint contains all values.
-- py: doc ThreadCheckpoint.value_types The format of each value, in the order of value_channels.
-- py: doc ThreadCheckpoint.values The serialized values, in the order of value_channels.
-- py: doc ThreadCheckpoint.missing_channels Always empty: a checkpoint without one of its values is
-- py: doc ThreadCheckpoint.missing_channels an error.
-- py: doc ThreadCheckpoint.write_task_paths The path of the task of each write; empty if it is
-- py: doc ThreadCheckpoint.write_task_paths unknown. The lists of writes have one order, which is
-- py: doc ThreadCheckpoint.write_task_paths not defined.
-- py: doc ThreadCheckpoint.write_idxs The index of each write in its task.
-- py: doc ThreadCheckpoint.write_values The serialized value of each write.
-- py: doc ThreadCheckpoint.send_task_paths The path of the task of each write on `__pregel_tasks`
-- py: doc ThreadCheckpoint.send_task_paths at the parent, if version is below 4.
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.version,
    c.created_at,
    c.checkpoint_type,
    CASE
        WHEN starts_with(c.checkpoint_type, 'agentrows+') THEN c.agentrows_checkpoint
        ELSE convert_to(c.checkpoint, 'UTF8')
    END AS "checkpoint!",
    c.metadata,
    coalesce(stored.channels, '{}')::text[] AS "value_channels!",
    coalesce(stored.types, '{}')::text[] AS "value_types!",
    coalesce(stored.values, '{}')::bytea[] AS "values!",
    coalesce(stored.missing, '{}')::text[] AS "missing_channels!",
    coalesce(writes.task_paths, '{}')::text[] AS "write_task_paths!",
    coalesce(writes.task_ids, '{}')::text[] AS "write_task_ids!",
    coalesce(writes.idxs, '{}')::bigint[] AS "write_idxs!",
    coalesce(writes.channels, '{}')::text[] AS "write_channels!",
    coalesce(writes.types, '{}')::text[] AS "write_types!",
    coalesce(writes.values, '{}')::bytea[] AS "write_values!",
    coalesce(sends.task_paths, '{}')::text[] AS "send_task_paths!",
    coalesce(sends.task_ids, '{}')::text[] AS "send_task_ids!",
    coalesce(sends.idxs, '{}')::bigint[] AS "send_idxs!",
    coalesce(sends.types, '{}')::text[] AS "send_types!",
    coalesce(sends.values, '{}')::bytea[] AS "send_values!"
FROM lg_checkpoint AS c
LEFT JOIN LATERAL (
    SELECT
        array_agg(named.channel) FILTER (WHERE b.type IS NOT NULL) AS channels,
        array_agg(b.type) FILTER (WHERE b.type IS NOT NULL) AS types,
        array_agg(b.value) FILTER (WHERE b.type IS NOT NULL) AS values,
        array_agg(named.channel) FILTER (WHERE b.type IS NULL) AS missing
    FROM (SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version) AS named
    LEFT JOIN LATERAL (
        SELECT blob.type, blob.value FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = c.thread_id
            AND blob.checkpoint_ns = c.checkpoint_ns
            AND blob.channel = named.channel
            AND blob.version = named.version
        LIMIT 1
    ) AS b ON true
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.channel) AS channels,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.checkpoint_id
        AND w.deleted_at IS NULL
) AS writes ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        c.version < 4
        AND w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.parent_checkpoint_id
        AND w.channel = '__pregel_tasks'
        AND w.deleted_at IS NULL
) AS sends ON true
WHERE
    c.user_id = @user_id
    AND c.thread_id = @thread_id
    AND c.checkpoint_ns = @checkpoint_ns
    AND c.checkpoint_id = @checkpoint_id
    AND CASE WHEN c.deleted_at IS NULL THEN true ELSE false END;

-- name: ListNamespaceCheckpoints :many
-- Return the checkpoints of one namespace of a thread, newest first.
--
-- Pages are those of ListCheckpoints, with values and writes as in FindThreadCheckpoint.
-- py: row ThreadCheckpoint
WITH place AS MATERIALIZED (
    SELECT coalesce(b.created_at, '-infinity'::timestamptz) AS time
    FROM lg_checkpoint AS b
    WHERE
        b.user_id = @user_id
        AND b.thread_id = @thread_id
        AND b.checkpoint_ns = @checkpoint_ns
        AND b.checkpoint_id = sqlc.narg('before')::text
),
page AS MATERIALIZED (
    SELECT
        c.user_id,
        c.thread_id,
        c.checkpoint_ns,
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.version,
        c.created_at,
        c.checkpoint_type,
        c.checkpoint,
        c.metadata,
        c.agentrows_checkpoint,
        c.agentrows_channels,
        c.agentrows_versions
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
    LIMIT sqlc.narg('limit')
)
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.version,
    c.created_at,
    c.checkpoint_type,
    CASE
        WHEN starts_with(c.checkpoint_type, 'agentrows+') THEN c.agentrows_checkpoint
        ELSE convert_to(c.checkpoint, 'UTF8')
    END AS "checkpoint!",
    c.metadata,
    coalesce(stored.channels, '{}')::text[] AS "value_channels!",
    coalesce(stored.types, '{}')::text[] AS "value_types!",
    coalesce(stored.values, '{}')::bytea[] AS "values!",
    coalesce(stored.missing, '{}')::text[] AS "missing_channels!",
    coalesce(writes.task_paths, '{}')::text[] AS "write_task_paths!",
    coalesce(writes.task_ids, '{}')::text[] AS "write_task_ids!",
    coalesce(writes.idxs, '{}')::bigint[] AS "write_idxs!",
    coalesce(writes.channels, '{}')::text[] AS "write_channels!",
    coalesce(writes.types, '{}')::text[] AS "write_types!",
    coalesce(writes.values, '{}')::bytea[] AS "write_values!",
    coalesce(sends.task_paths, '{}')::text[] AS "send_task_paths!",
    coalesce(sends.task_ids, '{}')::text[] AS "send_task_ids!",
    coalesce(sends.idxs, '{}')::bigint[] AS "send_idxs!",
    coalesce(sends.types, '{}')::text[] AS "send_types!",
    coalesce(sends.values, '{}')::bytea[] AS "send_values!"
FROM page AS c
LEFT JOIN LATERAL (
    SELECT
        array_agg(named.channel) FILTER (WHERE b.type IS NOT NULL) AS channels,
        array_agg(b.type) FILTER (WHERE b.type IS NOT NULL) AS types,
        array_agg(b.value) FILTER (WHERE b.type IS NOT NULL) AS values,
        array_agg(named.channel) FILTER (WHERE b.type IS NULL) AS missing
    FROM (SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version) AS named
    LEFT JOIN LATERAL (
        SELECT blob.type, blob.value FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = c.thread_id
            AND blob.checkpoint_ns = c.checkpoint_ns
            AND blob.channel = named.channel
            AND blob.version = named.version
        LIMIT 1
    ) AS b ON true
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.channel) AS channels,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.checkpoint_id
        AND w.deleted_at IS NULL
) AS writes ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        c.version < 4
        AND w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.parent_checkpoint_id
        AND w.channel = '__pregel_tasks'
        AND w.deleted_at IS NULL
) AS sends ON true
ORDER BY coalesce(c.created_at, '-infinity'::timestamptz) DESC, c.checkpoint_id DESC;

-- name: ListThreadCheckpoints :many
-- Return a user's checkpoints of any thread and namespace, newest first.
--
-- A checkpoint is before the id `before` by the place of that id in its own thread and namespace;
-- if no checkpoint there has that id, by its id.
-- py: row ThreadCheckpoint
WITH page AS MATERIALIZED (
    SELECT
        c.user_id,
        c.thread_id,
        c.checkpoint_ns,
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.version,
        c.created_at,
        c.checkpoint_type,
        c.checkpoint,
        c.metadata,
        c.agentrows_checkpoint,
        c.agentrows_channels,
        c.agentrows_versions
    FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id
        AND (sqlc.narg('thread_id')::text IS NULL OR c.thread_id = sqlc.narg('thread_id'))
        AND (sqlc.narg('checkpoint_ns')::text IS NULL OR c.checkpoint_ns = sqlc.narg('checkpoint_ns'))
        AND (sqlc.narg('checkpoint_id')::text IS NULL OR c.checkpoint_id = sqlc.narg('checkpoint_id'))
        AND c.deleted_at IS NULL
        AND (
            sqlc.narg('before')::text IS NULL
            OR coalesce(
                (
                    SELECT
                        (coalesce(c.created_at, '-infinity'::timestamptz), c.checkpoint_id)
                        < (coalesce(b.created_at, '-infinity'::timestamptz), b.checkpoint_id)
                    FROM lg_checkpoint AS b
                    WHERE
                        b.user_id = @user_id
                        AND b.thread_id = c.thread_id
                        AND b.checkpoint_ns = c.checkpoint_ns
                        AND b.checkpoint_id = sqlc.narg('before')
                ),
                c.checkpoint_id < sqlc.narg('before')
            )
        )
    ORDER BY
        coalesce(c.created_at, '-infinity'::timestamptz) DESC,
        c.checkpoint_id DESC,
        c.thread_id DESC,
        c.checkpoint_ns DESC
    LIMIT sqlc.narg('limit')
)
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.version,
    c.created_at,
    c.checkpoint_type,
    CASE
        WHEN starts_with(c.checkpoint_type, 'agentrows+') THEN c.agentrows_checkpoint
        ELSE convert_to(c.checkpoint, 'UTF8')
    END AS "checkpoint!",
    c.metadata,
    coalesce(stored.channels, '{}')::text[] AS "value_channels!",
    coalesce(stored.types, '{}')::text[] AS "value_types!",
    coalesce(stored.values, '{}')::bytea[] AS "values!",
    coalesce(stored.missing, '{}')::text[] AS "missing_channels!",
    coalesce(writes.task_paths, '{}')::text[] AS "write_task_paths!",
    coalesce(writes.task_ids, '{}')::text[] AS "write_task_ids!",
    coalesce(writes.idxs, '{}')::bigint[] AS "write_idxs!",
    coalesce(writes.channels, '{}')::text[] AS "write_channels!",
    coalesce(writes.types, '{}')::text[] AS "write_types!",
    coalesce(writes.values, '{}')::bytea[] AS "write_values!",
    coalesce(sends.task_paths, '{}')::text[] AS "send_task_paths!",
    coalesce(sends.task_ids, '{}')::text[] AS "send_task_ids!",
    coalesce(sends.idxs, '{}')::bigint[] AS "send_idxs!",
    coalesce(sends.types, '{}')::text[] AS "send_types!",
    coalesce(sends.values, '{}')::bytea[] AS "send_values!"
FROM page AS c
LEFT JOIN LATERAL (
    SELECT
        array_agg(named.channel) FILTER (WHERE b.type IS NOT NULL) AS channels,
        array_agg(b.type) FILTER (WHERE b.type IS NOT NULL) AS types,
        array_agg(b.value) FILTER (WHERE b.type IS NOT NULL) AS values,
        array_agg(named.channel) FILTER (WHERE b.type IS NULL) AS missing
    FROM (SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version) AS named
    LEFT JOIN LATERAL (
        SELECT blob.type, blob.value FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = c.thread_id
            AND blob.checkpoint_ns = c.checkpoint_ns
            AND blob.channel = named.channel
            AND blob.version = named.version
        LIMIT 1
    ) AS b ON true
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.channel) AS channels,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.checkpoint_id
        AND w.deleted_at IS NULL
) AS writes ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        c.version < 4
        AND w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.parent_checkpoint_id
        AND w.channel = '__pregel_tasks'
        AND w.deleted_at IS NULL
) AS sends ON true
ORDER BY
    coalesce(c.created_at, '-infinity'::timestamptz) DESC,
    c.checkpoint_id DESC,
    c.thread_id DESC,
    c.checkpoint_ns DESC;

-- name: FilterThreadCheckpoints :many
-- Return the checkpoints of ListThreadCheckpoints that contain a JSON object in their metadata.
--
-- Metadata that cannot be read as JSON does not match, as in FilterCheckpoints.
-- py: row ThreadCheckpoint
WITH page AS MATERIALIZED (
    SELECT
        c.user_id,
        c.thread_id,
        c.checkpoint_ns,
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.version,
        c.created_at,
        c.checkpoint_type,
        c.checkpoint,
        c.metadata,
        c.agentrows_checkpoint,
        c.agentrows_channels,
        c.agentrows_versions
    FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id
        AND (sqlc.narg('thread_id')::text IS NULL OR c.thread_id = sqlc.narg('thread_id'))
        AND (sqlc.narg('checkpoint_ns')::text IS NULL OR c.checkpoint_ns = sqlc.narg('checkpoint_ns'))
        AND (sqlc.narg('checkpoint_id')::text IS NULL OR c.checkpoint_id = sqlc.narg('checkpoint_id'))
        AND c.deleted_at IS NULL
        AND (
            sqlc.narg('before')::text IS NULL
            OR coalesce(
                (
                    SELECT
                        (coalesce(c.created_at, '-infinity'::timestamptz), c.checkpoint_id)
                        < (coalesce(b.created_at, '-infinity'::timestamptz), b.checkpoint_id)
                    FROM lg_checkpoint AS b
                    WHERE
                        b.user_id = @user_id
                        AND b.thread_id = c.thread_id
                        AND b.checkpoint_ns = c.checkpoint_ns
                        AND b.checkpoint_id = sqlc.narg('before')
                ),
                c.checkpoint_id < sqlc.narg('before')
            )
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
    ORDER BY
        coalesce(c.created_at, '-infinity'::timestamptz) DESC,
        c.checkpoint_id DESC,
        c.thread_id DESC,
        c.checkpoint_ns DESC
    LIMIT sqlc.narg('limit')
)
SELECT
    c.thread_id,
    c.checkpoint_ns,
    c.checkpoint_id,
    c.parent_checkpoint_id,
    c.version,
    c.created_at,
    c.checkpoint_type,
    CASE
        WHEN starts_with(c.checkpoint_type, 'agentrows+') THEN c.agentrows_checkpoint
        ELSE convert_to(c.checkpoint, 'UTF8')
    END AS "checkpoint!",
    c.metadata,
    coalesce(stored.channels, '{}')::text[] AS "value_channels!",
    coalesce(stored.types, '{}')::text[] AS "value_types!",
    coalesce(stored.values, '{}')::bytea[] AS "values!",
    coalesce(stored.missing, '{}')::text[] AS "missing_channels!",
    coalesce(writes.task_paths, '{}')::text[] AS "write_task_paths!",
    coalesce(writes.task_ids, '{}')::text[] AS "write_task_ids!",
    coalesce(writes.idxs, '{}')::bigint[] AS "write_idxs!",
    coalesce(writes.channels, '{}')::text[] AS "write_channels!",
    coalesce(writes.types, '{}')::text[] AS "write_types!",
    coalesce(writes.values, '{}')::bytea[] AS "write_values!",
    coalesce(sends.task_paths, '{}')::text[] AS "send_task_paths!",
    coalesce(sends.task_ids, '{}')::text[] AS "send_task_ids!",
    coalesce(sends.idxs, '{}')::bigint[] AS "send_idxs!",
    coalesce(sends.types, '{}')::text[] AS "send_types!",
    coalesce(sends.values, '{}')::bytea[] AS "send_values!"
FROM page AS c
LEFT JOIN LATERAL (
    SELECT
        array_agg(named.channel) FILTER (WHERE b.type IS NOT NULL) AS channels,
        array_agg(b.type) FILTER (WHERE b.type IS NOT NULL) AS types,
        array_agg(b.value) FILTER (WHERE b.type IS NOT NULL) AS values,
        array_agg(named.channel) FILTER (WHERE b.type IS NULL) AS missing
    FROM (SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version) AS named
    LEFT JOIN LATERAL (
        SELECT blob.type, blob.value FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = c.thread_id
            AND blob.checkpoint_ns = c.checkpoint_ns
            AND blob.channel = named.channel
            AND blob.version = named.version
        LIMIT 1
    ) AS b ON true
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.channel) AS channels,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.checkpoint_id
        AND w.deleted_at IS NULL
) AS writes ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        c.version < 4
        AND w.user_id = @user_id
        AND w.thread_id = c.thread_id
        AND w.checkpoint_ns = c.checkpoint_ns
        AND w.checkpoint_id = c.parent_checkpoint_id
        AND w.channel = '__pregel_tasks'
        AND w.deleted_at IS NULL
) AS sends ON true
ORDER BY
    coalesce(c.created_at, '-infinity'::timestamptz) DESC,
    c.checkpoint_id DESC,
    c.thread_id DESC,
    c.checkpoint_ns DESC;

-- name: ListChannelHistory :many
-- Return the ancestors of a checkpoint with the writes and the stored values of channels, nearest
-- first.
--
-- The path starts at the parent, of the newest checkpoint without an id. It ends when each channel
-- has a stored value, after `limit` ancestors, or after 64 ancestors whose checkpoint contains all
-- values, because their content is not known here. An ancestor has only the channels without a
-- value in a nearer one.
--
-- py: row ThreadAncestor
-- py: doc ThreadAncestor An ancestor of a checkpoint, with the writes and values of some channels.
-- py: doc ThreadAncestor.checkpoint_type The serializer's name for the format of checkpoint.
-- py: doc ThreadAncestor.checkpoint The serialized checkpoint if it contains all values; else empty.
-- py: doc ThreadAncestor.value_channels The channels whose value is stored here and in no nearer
-- py: doc ThreadAncestor.value_channels ancestor.
-- py: doc ThreadAncestor.missing_channels Always empty: an ancestor without one of its values is an
-- py: doc ThreadAncestor.missing_channels error.
-- py: doc ThreadAncestor.write_task_paths The path of the task of each write; empty if it is
-- py: doc ThreadAncestor.write_task_paths unknown. The lists of writes have one order, which is not
-- py: doc ThreadAncestor.write_task_paths defined.
WITH RECURSIVE descendant AS MATERIALIZED (
    (
        SELECT c.parent_checkpoint_id FROM lg_checkpoint AS c
        WHERE
            c.user_id = @user_id::text
            AND c.thread_id = @thread_id::text
            AND c.checkpoint_ns = @checkpoint_ns::text
            AND c.checkpoint_id = sqlc.narg('checkpoint_id')::text
            AND CASE WHEN c.deleted_at IS NULL THEN true ELSE false END
    )
    UNION ALL
    (
        SELECT c.parent_checkpoint_id FROM lg_checkpoint AS c
        WHERE
            sqlc.narg('checkpoint_id') IS NULL
            AND c.user_id = @user_id
            AND c.thread_id = @thread_id
            AND c.checkpoint_ns = @checkpoint_ns
            AND c.deleted_at IS NULL
        ORDER BY coalesce(c.created_at, '-infinity'::timestamptz) DESC, c.checkpoint_id DESC
        LIMIT 1
    )
),
path AS (
    SELECT
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.checkpoint_type,
        c.checkpoint,
        c.channels,
        c.versions,
        1::bigint AS depth,
        c.is_whole AS whole_count,
        @channels::text[] AS wanted
    FROM descendant
    CROSS JOIN LATERAL (
        SELECT
            a.checkpoint_id,
            a.parent_checkpoint_id,
            a.checkpoint_type,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN '' ELSE a.checkpoint END AS checkpoint,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN a.agentrows_channels ELSE '{}'::text[] END AS channels,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN a.agentrows_versions ELSE '{}'::text[] END AS versions,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN 0::bigint ELSE 1::bigint END AS is_whole
        FROM lg_checkpoint AS a
        WHERE
            a.user_id = @user_id
            AND a.thread_id = @thread_id
            AND a.checkpoint_ns = @checkpoint_ns
            AND a.checkpoint_id = descendant.parent_checkpoint_id
            AND CASE WHEN a.deleted_at IS NULL THEN true ELSE false END
        LIMIT 1
    ) AS c
    UNION ALL
    SELECT
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.checkpoint_type,
        c.checkpoint,
        c.channels,
        c.versions,
        path.depth + 1,
        path.whole_count + c.is_whole,
        array(
            SELECT open.channel FROM unnest(path.wanted) AS open (channel)
            WHERE open.channel <> ALL(path.channels)
        )
    FROM path
    CROSS JOIN LATERAL (
        SELECT
            a.checkpoint_id,
            a.parent_checkpoint_id,
            a.checkpoint_type,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN '' ELSE a.checkpoint END AS checkpoint,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN a.agentrows_channels ELSE '{}'::text[] END AS channels,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN a.agentrows_versions ELSE '{}'::text[] END AS versions,
            CASE WHEN starts_with(a.checkpoint_type, 'agentrows+') THEN 0::bigint ELSE 1::bigint END AS is_whole
        FROM lg_checkpoint AS a
        WHERE
            a.user_id = @user_id
            AND a.thread_id = @thread_id
            AND a.checkpoint_ns = @checkpoint_ns
            AND a.checkpoint_id = path.parent_checkpoint_id
            AND CASE WHEN a.deleted_at IS NULL THEN true ELSE false END
        LIMIT 1
    ) AS c
    WHERE
        path.depth < sqlc.arg('limit')::bigint
        AND path.whole_count < 64
        AND NOT (path.wanted <@ path.channels)
)
SELECT
    path.checkpoint_id,
    path.parent_checkpoint_id,
    path.checkpoint_type,
    convert_to(path.checkpoint, 'UTF8') AS "checkpoint!",
    coalesce(stored.channels, '{}')::text[] AS "value_channels!",
    coalesce(stored.types, '{}')::text[] AS "value_types!",
    coalesce(stored.values, '{}')::bytea[] AS "values!",
    coalesce(stored.missing, '{}')::text[] AS "missing_channels!",
    coalesce(writes.task_paths, '{}')::text[] AS "write_task_paths!",
    coalesce(writes.task_ids, '{}')::text[] AS "write_task_ids!",
    coalesce(writes.idxs, '{}')::bigint[] AS "write_idxs!",
    coalesce(writes.channels, '{}')::text[] AS "write_channels!",
    coalesce(writes.types, '{}')::text[] AS "write_types!",
    coalesce(writes.values, '{}')::bytea[] AS "write_values!"
FROM path
LEFT JOIN LATERAL (
    SELECT
        array_agg(named.channel) FILTER (WHERE b.type IS NOT NULL) AS channels,
        array_agg(b.type) FILTER (WHERE b.type IS NOT NULL) AS types,
        array_agg(b.value) FILTER (WHERE b.type IS NOT NULL) AS values,
        array_agg(named.channel) FILTER (WHERE b.type IS NULL) AS missing
    FROM (SELECT unnest(path.channels) AS channel, unnest(path.versions) AS version) AS named
    LEFT JOIN LATERAL (
        SELECT blob.type, blob.value FROM agentrows_checkpoint_blob AS blob
        WHERE
            blob.user_id = @user_id
            AND blob.thread_id = @thread_id
            AND blob.checkpoint_ns = @checkpoint_ns
            AND blob.channel = named.channel
            AND blob.version = named.version
        LIMIT 1
    ) AS b ON true
    WHERE named.channel = ANY(path.wanted)
) AS stored ON true
LEFT JOIN LATERAL (
    SELECT
        array_agg(coalesce(w.agentrows_task_path, '')) AS task_paths,
        array_agg(w.task_id) AS task_ids,
        array_agg((w.write_idx & 1048575) - 16) AS idxs,
        array_agg(w.channel) AS channels,
        array_agg(w.value_type) AS types,
        array_agg(
            CASE
                WHEN starts_with(w.value_type, 'agentrows+') THEN w.agentrows_value
                ELSE convert_to(w.value, 'UTF8')
            END
        ) AS values
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = @thread_id
        AND w.checkpoint_ns = @checkpoint_ns
        AND w.checkpoint_id = path.checkpoint_id
        AND w.channel = ANY(path.wanted)
        AND w.deleted_at IS NULL
) AS writes ON true
ORDER BY path.depth;

-- name: ListThreadHeads :many
-- Return the newest checkpoint of each namespace of a thread, with the ids of the others.
-- py: row ThreadHead
-- py: doc ThreadHead The newest checkpoint of a namespace of a thread.
-- py: doc ThreadHead.checkpoint_type The serializer's name for the format of checkpoint.
-- py: doc ThreadHead.checkpoint The serialized checkpoint if it contains all values; else empty.
-- py: doc ThreadHead.metadata The text of a JSON object.
-- py: doc ThreadHead.channels The channels whose values are stored separately.
-- py: doc ThreadHead.parent_has_sends Whether the parent has writes on `__pregel_tasks`, which a
-- py: doc ThreadHead.parent_has_sends checkpoint with a version below 4 needs.
-- py: doc ThreadHead.checkpoint_ids The ids of all checkpoints of the namespace, the newest included.
SELECT
    head.checkpoint_ns,
    head.checkpoint_id,
    head.parent_checkpoint_id,
    head.version,
    head.checkpoint_type,
    CASE
        WHEN starts_with(head.checkpoint_type, 'agentrows+') THEN ''::bytea
        ELSE convert_to(head.checkpoint, 'UTF8')
    END AS "checkpoint!",
    head.metadata,
    CASE
        WHEN starts_with(head.checkpoint_type, 'agentrows+') THEN head.agentrows_channels
        ELSE '{}'::text[]
    END AS "channels!",
    EXISTS (
        SELECT 1 FROM lg_checkpoint_write AS w
        WHERE
            w.user_id = @user_id
            AND w.thread_id = @thread_id
            AND w.checkpoint_ns = head.checkpoint_ns
            AND w.checkpoint_id = head.parent_checkpoint_id
            AND w.channel = '__pregel_tasks'
            AND w.deleted_at IS NULL
    ) AS "parent_has_sends!",
    namespaces.ids AS "checkpoint_ids!"
FROM (
    SELECT c.checkpoint_ns, array_agg(c.checkpoint_id) AS ids FROM lg_checkpoint AS c
    WHERE c.user_id = @user_id AND c.thread_id = @thread_id AND c.deleted_at IS NULL
    GROUP BY c.checkpoint_ns
) AS namespaces
CROSS JOIN LATERAL (
    SELECT
        c.checkpoint_ns,
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.version,
        c.checkpoint_type,
        c.checkpoint,
        c.metadata,
        c.agentrows_channels
    FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id
        AND c.thread_id = @thread_id
        AND c.checkpoint_ns = namespaces.checkpoint_ns
        AND c.deleted_at IS NULL
    ORDER BY coalesce(c.created_at, '-infinity'::timestamptz) DESC, c.checkpoint_id DESC
    LIMIT 1
) AS head
ORDER BY head.checkpoint_ns;

-- name: ListThreads :many
-- Return a user's threads, the most recently stored first.
--
-- pg_column_size is the size on disk; it reads no large value.
-- py: row Thread
-- py: doc Thread A LangGraph thread of a user.
-- py: doc Thread.last_stored When a checkpoint of the thread was last stored; None sorts as the
-- py: doc Thread.last_stored oldest.
-- py: doc Thread.checkpoints The number of its checkpoints, in all namespaces.
-- py: doc Thread.stored_bytes The size of its checkpoints, values and writes on disk, deleted ones
-- py: doc Thread.stored_bytes included, without indexes.
WITH page AS MATERIALIZED (
    SELECT threads.thread_id, threads.last_stored, threads.checkpoints
    FROM (
        SELECT
            c.thread_id,
            max(greatest(c.updated_at, c.created_at)) AS last_stored,
            count(*) AS checkpoints
        FROM lg_checkpoint AS c
        WHERE c.user_id = @user_id AND c.deleted_at IS NULL
        GROUP BY c.thread_id
    ) AS threads
    WHERE
        (coalesce(threads.last_stored, '-infinity'::timestamptz), threads.thread_id)
        < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::text)
    ORDER BY
        coalesce(threads.last_stored, '-infinity'::timestamptz) DESC,
        threads.thread_id DESC
    LIMIT sqlc.narg('limit')
)
SELECT
    page.thread_id,
    page.last_stored,
    page.checkpoints AS "checkpoints!",
    (
        (
            SELECT
                coalesce(sum(
                    pg_column_size(c.metadata)
                    + pg_column_size(c.checkpoint)
                    + coalesce(pg_column_size(c.agentrows_checkpoint), 0)
                    + coalesce(pg_column_size(c.agentrows_channels), 0)
                    + coalesce(pg_column_size(c.agentrows_versions), 0)
                ), 0)
            FROM lg_checkpoint AS c
            WHERE c.user_id = @user_id AND c.thread_id = page.thread_id
        )
        + (
            SELECT
                coalesce(sum(
                    pg_column_size(w.value) + coalesce(pg_column_size(w.agentrows_value), 0)
                ), 0)
            FROM lg_checkpoint_write AS w
            WHERE w.user_id = @user_id AND w.thread_id = page.thread_id
        )
        + (
            SELECT coalesce(sum(pg_column_size(b.value)), 0) FROM agentrows_checkpoint_blob AS b
            WHERE b.user_id = @user_id AND b.thread_id = page.thread_id
        )
    )::bigint AS "stored_bytes!"
FROM page
ORDER BY coalesce(page.last_stored, '-infinity'::timestamptz) DESC, page.thread_id DESC;

-- name: LockCheckpointsOfThreads :one
-- Lock the checkpoints of threads of a user in the order of their keys.
--
-- It waits for the writers of their children, so that the next statement sees these.
-- py: one!
-- py: row LockedCheckpoints
-- py: doc LockedCheckpoints The isolation level of a transaction that has locked checkpoints.
-- py: doc LockedCheckpoints.isolation The name of the level as PostgreSQL writes it, such as read
-- py: doc LockedCheckpoints.isolation committed.
SELECT
    count(*) AS locked,
    current_setting('transaction_isolation')::text AS "isolation!"
FROM (
    SELECT c.checkpoint_id FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id
        AND c.thread_id = ANY(@thread_ids::text[])
    ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id
    FOR UPDATE
) AS locked;

-- name: DeleteThreads :one
-- Delete every checkpoint and write of threads of a user, and count the checkpoints.
--
-- Run it after LockCheckpointsOfThreads in the same transaction, and delete the values after it.
WITH locked_writes AS MATERIALIZED (
    SELECT w.write_idx FROM lg_checkpoint_write AS w
    WHERE w.user_id = @user_id::text AND w.thread_id = ANY(@thread_ids::text[])
    ORDER BY w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.write_idx
    FOR UPDATE
),
deleted_writes AS (
    DELETE FROM lg_checkpoint_write
    WHERE
        user_id = @user_id
        AND thread_id = ANY(@thread_ids)
        AND (SELECT count(*) FROM locked_writes) >= 0
),
deleted AS (
    DELETE FROM lg_checkpoint
    WHERE user_id = @user_id AND thread_id = ANY(@thread_ids)
    RETURNING 1
)
SELECT count(*) AS deleted FROM deleted;

-- name: LockCheckpointsOfRuns :one
-- Lock the checkpoints of runs of a user in the order of their keys.
-- py: one!
-- py: row LockedCheckpoints
SELECT
    count(*) AS locked,
    current_setting('transaction_isolation')::text AS "isolation!"
FROM (
    SELECT c.checkpoint_id FROM lg_checkpoint AS c
    WHERE
        c.user_id = @user_id
        AND c.agentrows_run_id = ANY(@run_ids::text[])
    ORDER BY c.thread_id, c.checkpoint_ns, c.checkpoint_id
    FOR UPDATE
) AS locked;

-- name: DeleteRuns :many
-- Delete the checkpoints of runs of a user with their writes; return how many of each thread.
--
-- Run it after LockCheckpointsOfRuns in the same transaction, and delete the values after it.
-- py: row ThreadDeletion
-- py: doc ThreadDeletion The number of deleted checkpoints of a thread.
WITH deleted AS (
    DELETE FROM lg_checkpoint
    WHERE user_id = @user_id::text AND agentrows_run_id = ANY(@run_ids::text[])
    RETURNING thread_id, checkpoint_ns, checkpoint_id
),
locked_writes AS MATERIALIZED (
    SELECT w.write_idx FROM lg_checkpoint_write AS w
    INNER JOIN deleted
        ON
            deleted.thread_id = w.thread_id
            AND deleted.checkpoint_ns = w.checkpoint_ns
            AND deleted.checkpoint_id = w.checkpoint_id
    WHERE w.user_id = @user_id
    ORDER BY w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.write_idx
    FOR UPDATE OF w
),
deleted_writes AS (
    DELETE FROM lg_checkpoint_write AS w USING deleted
    WHERE
        w.user_id = @user_id
        AND w.thread_id = deleted.thread_id
        AND w.checkpoint_ns = deleted.checkpoint_ns
        AND w.checkpoint_id = deleted.checkpoint_id
        AND (SELECT count(*) FROM locked_writes) >= 0
)
SELECT deleted.thread_id, count(*) AS deleted FROM deleted
GROUP BY deleted.thread_id;

-- name: LockCheckpoints :one
-- Lock these checkpoints of a thread in the order of their keys.
-- py: one!
-- py: row LockedCheckpoints
WITH given AS MATERIALIZED (
    SELECT
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id
)
SELECT
    count(*) AS locked,
    current_setting('transaction_isolation')::text AS "isolation!"
FROM (
    SELECT c.checkpoint_id FROM lg_checkpoint AS c
    INNER JOIN given
        ON given.checkpoint_ns = c.checkpoint_ns AND given.checkpoint_id = c.checkpoint_id
    WHERE c.user_id = @user_id AND c.thread_id = @thread_id
    ORDER BY c.checkpoint_ns, c.checkpoint_id
    FOR UPDATE OF c
) AS locked;

-- name: PruneThread :one
-- Delete these checkpoints of a thread with their writes, except ancestors of new checkpoints.
--
-- A checkpoint that is in neither list was stored meanwhile. The kept checkpoints whose parent is
-- deleted get none. Run it after LockCheckpoints in the same transaction, and delete the values
-- after it.
WITH RECURSIVE pruned AS MATERIALIZED (
    SELECT
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@checkpoint_id::text[]) AS checkpoint_id
),
kept AS MATERIALIZED (
    SELECT
        unnest(@kept_ns::text[]) AS checkpoint_ns,
        unnest(@kept_id::text[]) AS checkpoint_id
),
spared AS (
    SELECT pruned.checkpoint_ns, pruned.checkpoint_id
    FROM lg_checkpoint AS c
    INNER JOIN pruned
        ON pruned.checkpoint_ns = c.checkpoint_ns AND pruned.checkpoint_id = c.parent_checkpoint_id
    WHERE
        c.user_id = @user_id
        AND c.thread_id = @thread_id
        AND c.deleted_at IS NULL
        AND NOT EXISTS (
            SELECT 1 FROM pruned AS own
            WHERE own.checkpoint_ns = c.checkpoint_ns AND own.checkpoint_id = c.checkpoint_id
        )
        AND NOT EXISTS (
            SELECT 1 FROM kept AS own
            WHERE own.checkpoint_ns = c.checkpoint_ns AND own.checkpoint_id = c.checkpoint_id
        )
    UNION
    SELECT pruned.checkpoint_ns, pruned.checkpoint_id
    FROM spared
    INNER JOIN lg_checkpoint AS c
        ON c.checkpoint_ns = spared.checkpoint_ns AND c.checkpoint_id = spared.checkpoint_id
    INNER JOIN pruned
        ON pruned.checkpoint_ns = c.checkpoint_ns AND pruned.checkpoint_id = c.parent_checkpoint_id
    WHERE c.user_id = @user_id AND c.thread_id = @thread_id
),
deleted AS (
    DELETE FROM lg_checkpoint AS c USING pruned
    WHERE
        c.user_id = @user_id
        AND c.thread_id = @thread_id
        AND c.checkpoint_ns = pruned.checkpoint_ns
        AND c.checkpoint_id = pruned.checkpoint_id
        AND NOT EXISTS (
            SELECT 1 FROM spared
            WHERE
                spared.checkpoint_ns = c.checkpoint_ns AND spared.checkpoint_id = c.checkpoint_id
        )
    RETURNING c.checkpoint_ns, c.checkpoint_id
),
locked_writes AS MATERIALIZED (
    SELECT w.write_idx FROM lg_checkpoint_write AS w
    INNER JOIN deleted
        ON deleted.checkpoint_ns = w.checkpoint_ns AND deleted.checkpoint_id = w.checkpoint_id
    WHERE w.user_id = @user_id AND w.thread_id = @thread_id
    ORDER BY w.checkpoint_ns, w.checkpoint_id, w.write_idx
    FOR UPDATE OF w
),
deleted_writes AS (
    DELETE FROM lg_checkpoint_write AS w USING deleted
    WHERE
        w.user_id = @user_id
        AND w.thread_id = @thread_id
        AND w.checkpoint_ns = deleted.checkpoint_ns
        AND w.checkpoint_id = deleted.checkpoint_id
        AND (SELECT count(*) FROM locked_writes) >= 0
),
cut AS (
    UPDATE lg_checkpoint AS c SET parent_checkpoint_id = NULL
    FROM kept, deleted
    WHERE
        c.user_id = @user_id
        AND c.thread_id = @thread_id
        AND c.checkpoint_ns = kept.checkpoint_ns
        AND c.checkpoint_id = kept.checkpoint_id
        AND deleted.checkpoint_ns = c.checkpoint_ns
        AND deleted.checkpoint_id = c.parent_checkpoint_id
)
SELECT count(*) AS deleted FROM deleted;

-- name: LockUnnamedValues :many
-- Lock channel values of these threads that no checkpoint names, at most `batch_size`, in the order
-- of their keys.
--
-- It waits for the writers of checkpoints that name them. Rows that are marked as deleted count.
--
-- unscoped blob: only the values of the list before it, which is bound, are locked
-- py: row ValueKey
-- py: doc ValueKey The key of a version of the value of a channel.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
),
unnamed AS MATERIALIZED (
    SELECT b.user_id, b.thread_id, b.checkpoint_ns, b.channel, b.version
    FROM agentrows_checkpoint_blob AS b
    INNER JOIN given ON given.user_id = b.user_id AND given.thread_id = b.thread_id
    EXCEPT
    SELECT c.user_id, c.thread_id, c.checkpoint_ns, named.channel, named.version
    FROM lg_checkpoint AS c
    INNER JOIN given ON given.user_id = c.user_id AND given.thread_id = c.thread_id
    CROSS JOIN LATERAL (
        SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version
    ) AS named
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
)
SELECT locked.user_id, locked.thread_id, locked.checkpoint_ns, locked.channel, locked.version
FROM (
    SELECT u.user_id, u.thread_id, u.checkpoint_ns, u.channel, u.version FROM unnamed AS u
    ORDER BY u.user_id, u.thread_id, u.checkpoint_ns, u.channel, u.version
    LIMIT @batch_size::bigint
) AS batch
CROSS JOIN LATERAL (
    SELECT blob.user_id, blob.thread_id, blob.checkpoint_ns, blob.channel, blob.version
    FROM agentrows_checkpoint_blob AS blob
    WHERE
        blob.user_id = batch.user_id
        AND blob.thread_id = batch.thread_id
        AND blob.checkpoint_ns = batch.checkpoint_ns
        AND blob.channel = batch.channel
        AND blob.version = batch.version
    FOR UPDATE
) AS locked;

-- name: DeleteUnnamedValues :execrows
-- Delete those of these channel values that no checkpoint names.
--
-- Run it after LockUnnamedValues in the same transaction: its snapshot contains the checkpoints of
-- the writers for which that statement has waited.
WITH given AS MATERIALIZED (
    SELECT
        unnest(@user_id::text[]) AS user_id,
        unnest(@thread_id::text[]) AS thread_id,
        unnest(@checkpoint_ns::text[]) AS checkpoint_ns,
        unnest(@channel::text[]) AS channel,
        unnest(@version::text[]) AS version
),
unnamed AS MATERIALIZED (
    SELECT given.user_id, given.thread_id, given.checkpoint_ns, given.channel, given.version
    FROM given
    EXCEPT
    SELECT c.user_id, c.thread_id, c.checkpoint_ns, named.channel, named.version
    FROM lg_checkpoint AS c
    INNER JOIN (SELECT DISTINCT given.user_id, given.thread_id FROM given) AS threads
        ON threads.user_id = c.user_id AND threads.thread_id = c.thread_id
    CROSS JOIN LATERAL (
        SELECT unnest(c.agentrows_channels) AS channel, unnest(c.agentrows_versions) AS version
    ) AS named
    WHERE starts_with(c.checkpoint_type, 'agentrows+')
)
DELETE FROM agentrows_checkpoint_blob AS b USING unnamed
WHERE
    b.user_id = unnamed.user_id
    AND b.thread_id = unnamed.thread_id
    AND b.checkpoint_ns = unnamed.checkpoint_ns
    AND b.channel = unnamed.channel
    AND b.version = unnamed.version;

-- name: CopyThread :one
-- Copy the live checkpoints, values and writes of a thread to another thread of the user.
--
-- Live rows of the target stay, and deleted ones are replaced. If a live checkpoint of the target
-- has another value under the same version of a channel, nothing is copied, and `clashes` counts
-- these values.
-- py: one!
-- py: row CopiedThread
-- py: doc CopiedThread The result of copying a thread.
-- py: doc CopiedThread.checkpoints The number of live checkpoints of the source.
-- py: doc CopiedThread.clashes Values of the target that differ under the same version.
WITH source AS MATERIALIZED (
    SELECT
        c.user_id,
        c.checkpoint_ns,
        c.checkpoint_id,
        c.parent_checkpoint_id,
        c.metadata,
        c.checkpoint,
        c.checkpoint_type,
        c.version,
        c.agentrows_run_id,
        c.agentrows_checkpoint,
        c.agentrows_channels,
        c.agentrows_versions,
        c.created_at
    FROM lg_checkpoint AS c
    WHERE c.user_id = @user_id::text AND c.thread_id = @source_thread_id::text AND c.deleted_at IS NULL
),
needed AS MATERIALIZED (
    SELECT DISTINCT source.checkpoint_ns, named.channel, named.version
    FROM source
    CROSS JOIN LATERAL (
        SELECT
            unnest(source.agentrows_channels) AS channel,
            unnest(source.agentrows_versions) AS version
    ) AS named
    WHERE starts_with(source.checkpoint_type, 'agentrows+')
),
clashing AS MATERIALIZED (
    SELECT existing.channel
    FROM needed
    INNER JOIN agentrows_checkpoint_blob AS original
        ON
            original.checkpoint_ns = needed.checkpoint_ns
            AND original.channel = needed.channel
            AND original.version = needed.version
    INNER JOIN agentrows_checkpoint_blob AS existing
        ON
            existing.checkpoint_ns = needed.checkpoint_ns
            AND existing.channel = needed.channel
            AND existing.version = needed.version
    WHERE
        original.user_id = @user_id
        AND original.thread_id = @source_thread_id
        AND existing.user_id = @user_id
        AND existing.thread_id = @target_thread_id::text
        AND (existing.type <> original.type OR existing.value <> original.value)
        AND EXISTS (
            SELECT 1 FROM lg_checkpoint AS c
            CROSS JOIN LATERAL (
                SELECT
                    unnest(c.agentrows_channels) AS channel,
                    unnest(c.agentrows_versions) AS version
            ) AS named
            WHERE
                c.user_id = @user_id
                AND c.thread_id = @target_thread_id
                AND c.checkpoint_ns = needed.checkpoint_ns
                AND c.deleted_at IS NULL
                AND starts_with(c.checkpoint_type, 'agentrows+')
                AND named.channel = needed.channel
                AND named.version = needed.version
        )
),
replaced AS MATERIALIZED (
    SELECT t.checkpoint_id FROM lg_checkpoint AS t
    WHERE
        t.user_id = @user_id
        AND t.thread_id = @target_thread_id
        AND t.deleted_at IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM clashing)
    ORDER BY t.checkpoint_ns, t.checkpoint_id
    FOR UPDATE
),
copied_writes AS (
    INSERT INTO lg_checkpoint_write AS t (
        user_id,
        thread_id,
        checkpoint_ns,
        checkpoint_id,
        write_idx,
        value,
        value_type,
        channel,
        task_id,
        agentrows_task_path,
        agentrows_value,
        created_at,
        updated_at
    )
    SELECT
        w.user_id,
        @target_thread_id,
        w.checkpoint_ns,
        w.checkpoint_id,
        w.write_idx,
        w.value,
        w.value_type,
        w.channel,
        w.task_id,
        w.agentrows_task_path,
        w.agentrows_value,
        w.created_at,
        statement_timestamp()
    FROM lg_checkpoint_write AS w
    WHERE
        w.user_id = @user_id
        AND w.thread_id = @source_thread_id
        AND w.deleted_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM clashing)
        AND (SELECT count(*) FROM replaced) >= 0
    ORDER BY w.checkpoint_ns, w.checkpoint_id, w.write_idx
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx) DO UPDATE SET
        value = excluded.value,
        value_type = excluded.value_type,
        channel = excluded.channel,
        task_id = excluded.task_id,
        agentrows_task_path = excluded.agentrows_task_path,
        agentrows_value = excluded.agentrows_value,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        deleted_at = NULL
    WHERE t.deleted_at IS NOT NULL
    RETURNING 1
),
copied_values AS (
    INSERT INTO agentrows_checkpoint_blob AS t (
        user_id,
        thread_id,
        checkpoint_ns,
        channel,
        version,
        type,
        value
    )
    SELECT
        original.user_id,
        @target_thread_id,
        original.checkpoint_ns,
        original.channel,
        original.version,
        original.type,
        original.value
    FROM needed
    INNER JOIN agentrows_checkpoint_blob AS original
        ON
            original.checkpoint_ns = needed.checkpoint_ns
            AND original.channel = needed.channel
            AND original.version = needed.version
    WHERE
        original.user_id = @user_id
        AND original.thread_id = @source_thread_id
        AND (SELECT count(*) FROM copied_writes) >= 0
        AND NOT EXISTS (SELECT 1 FROM clashing)
    ORDER BY original.checkpoint_ns, original.channel, original.version
    ON CONFLICT (user_id, thread_id, checkpoint_ns, channel, version) DO UPDATE SET
        type = excluded.type,
        value = excluded.value
    WHERE t.type <> excluded.type OR t.value <> excluded.value
    RETURNING 1
),
copied_checkpoints AS (
    INSERT INTO lg_checkpoint AS t (
        user_id,
        thread_id,
        checkpoint_ns,
        checkpoint_id,
        parent_checkpoint_id,
        metadata,
        checkpoint,
        checkpoint_type,
        version,
        agentrows_run_id,
        agentrows_checkpoint,
        agentrows_channels,
        agentrows_versions,
        created_at,
        updated_at
    )
    SELECT
        source.user_id,
        @target_thread_id,
        source.checkpoint_ns,
        source.checkpoint_id,
        source.parent_checkpoint_id,
        source.metadata,
        source.checkpoint,
        source.checkpoint_type,
        source.version,
        source.agentrows_run_id,
        source.agentrows_checkpoint,
        source.agentrows_channels,
        source.agentrows_versions,
        source.created_at,
        statement_timestamp()
    FROM source
    WHERE NOT EXISTS (SELECT 1 FROM clashing) AND (SELECT count(*) FROM copied_values) >= 0
    ORDER BY source.checkpoint_ns, source.checkpoint_id
    ON CONFLICT (user_id, thread_id, checkpoint_ns, checkpoint_id) DO UPDATE SET
        parent_checkpoint_id = excluded.parent_checkpoint_id,
        metadata = excluded.metadata,
        checkpoint = excluded.checkpoint,
        checkpoint_type = excluded.checkpoint_type,
        version = excluded.version,
        agentrows_run_id = excluded.agentrows_run_id,
        agentrows_checkpoint = excluded.agentrows_checkpoint,
        agentrows_channels = excluded.agentrows_channels,
        agentrows_versions = excluded.agentrows_versions,
        created_at = excluded.created_at,
        updated_at = excluded.updated_at,
        deleted_at = NULL
    WHERE t.deleted_at IS NOT NULL
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM source) AS checkpoints,
    (SELECT count(*) FROM clashing) AS clashes;

-- name: ListIdleThreads :many
-- Return the next 100 threads of all users in the order of keys, and whether they are idle.
--
-- An idle thread has no write within the retention, and no session of its user has its id: such a
-- thread is pruned with the session. Values without a checkpoint have no time and count as old. The
-- numbers are constants, because a plan without them would read whole tables.
--
-- unscoped: retention applies to every user
-- py: row ListedThread
-- py: doc ListedThread A thread, and whether it is idle.
SELECT
    threads.user_id,
    threads.thread_id,
    (
        NOT EXISTS (
            SELECT 1 FROM session AS s
            WHERE s.user_id = threads.user_id AND s.id = threads.thread_id
        )
        AND NOT EXISTS (
            SELECT 1 FROM lg_checkpoint AS c
            WHERE
                c.user_id = threads.user_id
                AND c.thread_id = threads.thread_id
                AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
        )
        AND NOT EXISTS (
            SELECT 1 FROM lg_checkpoint_write AS w
            WHERE
                w.user_id = threads.user_id
                AND w.thread_id = threads.thread_id
                AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
        )
    ) AS "is_idle!"
FROM (
    SELECT keys.user_id, keys.thread_id FROM (
        (
            SELECT DISTINCT c.user_id, c.thread_id FROM lg_checkpoint AS c
            WHERE (c.user_id, c.thread_id) > (@after_user_id::text, @after_thread_id::text)
            ORDER BY c.user_id, c.thread_id
            LIMIT 100
        )
        UNION
        (
            SELECT DISTINCT w.user_id, w.thread_id FROM lg_checkpoint_write AS w
            WHERE (w.user_id, w.thread_id) > (@after_user_id::text, @after_thread_id::text)
            ORDER BY w.user_id, w.thread_id
            LIMIT 100
        )
        UNION
        (
            SELECT DISTINCT b.user_id, b.thread_id FROM agentrows_checkpoint_blob AS b
            WHERE (b.user_id, b.thread_id) > (@after_user_id::text, @after_thread_id::text)
            ORDER BY b.user_id, b.thread_id
            LIMIT 100
        )
    ) AS keys
    ORDER BY keys.user_id, keys.thread_id
    LIMIT 100
) AS threads
ORDER BY threads.user_id, threads.thread_id;

-- name: LockIdleThreads :many
-- Lock the checkpoints of these threads, and return the threads with all checkpoints locked.
--
-- A thread with a checkpoint that another transaction has locked is in use, and left out.
-- py: row ThreadKey
-- py: doc ThreadKey The key of a thread.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
),
locked AS MATERIALIZED (
    SELECT c.user_id, c.thread_id FROM lg_checkpoint AS c
    INNER JOIN given ON given.user_id = c.user_id AND given.thread_id = c.thread_id
    FOR UPDATE OF c SKIP LOCKED
)
SELECT given.user_id::text AS "user_id!", given.thread_id::text AS "thread_id!"
FROM given
WHERE
    (
        SELECT count(*) FROM lg_checkpoint AS c
        WHERE c.user_id = given.user_id AND c.thread_id = given.thread_id
    ) = (
        SELECT count(*) FROM locked
        WHERE (locked.user_id, locked.thread_id) = (given.user_id, given.thread_id)
    );

-- name: DeleteIdleThreads :many
-- Delete the checkpoints and writes of those of these threads that are still idle; return them.
--
-- Run it after LockIdleThreads in the same transaction, and delete the values after it.
-- py: row IdleThread
-- py: doc IdleThread A thread that was deleted, with the numbers of its rows.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
),
idle AS MATERIALIZED (
    SELECT given.user_id, given.thread_id FROM given
    WHERE
        NOT EXISTS (
            SELECT 1 FROM session AS s
            WHERE s.user_id = given.user_id AND s.id = given.thread_id
        )
        AND NOT EXISTS (
            SELECT 1 FROM lg_checkpoint AS c
            WHERE
                c.user_id = given.user_id
                AND c.thread_id = given.thread_id
                AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
        )
        AND NOT EXISTS (
            SELECT 1 FROM lg_checkpoint_write AS w
            WHERE
                w.user_id = given.user_id
                AND w.thread_id = given.thread_id
                AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
        )
),
deleted AS (
    DELETE FROM lg_checkpoint AS c USING idle
    WHERE c.user_id = idle.user_id AND c.thread_id = idle.thread_id
    RETURNING c.user_id, c.thread_id
),
locked_writes AS MATERIALIZED (
    SELECT w.write_idx FROM lg_checkpoint_write AS w
    INNER JOIN idle ON idle.user_id = w.user_id AND idle.thread_id = w.thread_id
    WHERE (SELECT count(*) FROM deleted) >= 0
    ORDER BY w.user_id, w.thread_id, w.checkpoint_ns, w.checkpoint_id, w.write_idx
    FOR UPDATE OF w
),
deleted_writes AS (
    DELETE FROM lg_checkpoint_write AS w USING idle
    WHERE
        w.user_id = idle.user_id
        AND w.thread_id = idle.thread_id
        AND (SELECT count(*) FROM locked_writes) >= 0
    RETURNING w.user_id, w.thread_id
)
SELECT
    idle.user_id::text AS "user_id!",
    idle.thread_id::text AS "thread_id!",
    (
        SELECT count(*) FROM deleted
        WHERE (deleted.user_id, deleted.thread_id) = (idle.user_id, idle.thread_id)
    ) AS "checkpoints!",
    (
        SELECT count(*) FROM deleted_writes
        WHERE (deleted_writes.user_id, deleted_writes.thread_id) = (idle.user_id, idle.thread_id)
    ) AS "checkpoint_writes!"
FROM idle;

-- name: CountIdleThreads :one
-- Count the rows that a prune of threads would delete.
--
-- unscoped: retention applies to every user
-- py: row PrunedThreads
-- py: doc PrunedThreads The numbers of rows that a prune of threads removed, by table.
-- py: doc PrunedThreads.threads Idle threads, deleted ones included.
-- py: doc PrunedThreads.checkpoint_values Values of channels.
WITH idle AS MATERIALIZED (
    SELECT threads.user_id, threads.thread_id, max(threads.time) AS time
    FROM (
        SELECT
            c.user_id,
            c.thread_id,
            coalesce(greatest(c.updated_at, c.created_at), '-infinity'::timestamptz) AS time
        FROM lg_checkpoint AS c
        UNION ALL
        SELECT
            w.user_id,
            w.thread_id,
            coalesce(greatest(w.updated_at, w.created_at), '-infinity'::timestamptz) AS time
        FROM lg_checkpoint_write AS w
        UNION ALL
        SELECT b.user_id, b.thread_id, '-infinity'::timestamptz AS time
        FROM agentrows_checkpoint_blob AS b
    ) AS threads
    GROUP BY threads.user_id, threads.thread_id
),
expired AS MATERIALIZED (
    SELECT idle.user_id, idle.thread_id FROM idle
    WHERE
        idle.time < statement_timestamp() - @retention::interval
        AND NOT EXISTS (
            SELECT 1 FROM session AS s
            WHERE s.user_id = idle.user_id AND s.id = idle.thread_id
        )
)
SELECT
    (SELECT count(*) FROM expired) AS threads,
    (
        SELECT count(*) FROM lg_checkpoint AS c, expired
        WHERE c.user_id = expired.user_id AND c.thread_id = expired.thread_id
    ) AS checkpoints,
    (
        SELECT count(*) FROM lg_checkpoint_write AS w, expired
        WHERE w.user_id = expired.user_id AND w.thread_id = expired.thread_id
    ) AS checkpoint_writes,
    (
        SELECT count(*) FROM agentrows_checkpoint_blob AS b, expired
        WHERE b.user_id = expired.user_id AND b.thread_id = expired.thread_id
    ) AS checkpoint_values;
