-- Sizes of tables, and estimates that the server keeps about their rows.
-- py: file

-- name: ListTableStats :many
-- Return the sizes and the estimated rows of each table in the schema of `session`.
--
-- The largest table comes first. The tracking tables of migrations, also of the application, and their
-- histories are left out. No table is waited for: one that another session locks against readers has
-- the sizes of the last VACUUM or ANALYZE.
-- py: row TableStats
-- py: doc TableStats The size of a table, and estimates of its rows.
-- py: doc TableStats.name The table, without its schema.
-- py: doc TableStats.heap_bytes Bytes of the rows, without their large values.
-- py: doc TableStats.toast_bytes Bytes of large values, which are stored apart, and their index.
-- py: doc TableStats.index_bytes Bytes of the table's indexes.
-- py: doc TableStats.live_rows Rows, as counted by the server's statistics.
-- py: doc TableStats.dead_rows Deleted and replaced rows whose space no VACUUM has freed.
-- py: doc TableStats.last_vacuum The end of the last VACUUM, by a command or by autovacuum.
-- py: doc TableStats.last_autovacuum The end of the last VACUUM by autovacuum.
-- py: doc TableStats.last_analyze The end of the last ANALYZE, by a command or by autovacuum.
-- py: doc TableStats.age_index The index from which `oldest_row` is read; None without one.
-- py: doc TableStats.is_locked Whether another session locks the table against readers, or waits for
-- py: doc TableStats.is_locked that: the sizes are then those of the last VACUUM or ANALYZE.
-- py: doc TableStats.oldest_row The time of the last write of the oldest row; None if there is no
-- py: doc TableStats.oldest_row such index, no row with a time, no right to read the table, or if it
-- py: doc TableStats.oldest_row is locked.
WITH locked AS MATERIALIZED (
    SELECT l.relation
    FROM pg_catalog.pg_locks AS l
    INNER JOIN pg_catalog.pg_database AS d ON d.oid = l.database
    WHERE
        d.datname = current_database()
        AND l.mode = 'AccessExclusiveLock'
        AND l.pid <> pg_backend_pid()
),

tables AS MATERIALIZED (
    SELECT
        c.oid,
        c.relname,
        c.relnamespace,
        c.relpages,
        c.reltoastrelid,
        current_setting('block_size')::bigint AS block_size,
        EXISTS (
            SELECT 1 FROM locked AS l
            WHERE
                l.relation IN (c.oid, c.reltoastrelid)
                OR l.relation IN (
                    SELECT i.indexrelid FROM pg_catalog.pg_index AS i
                    WHERE i.indrelid IN (c.oid, c.reltoastrelid)
                )
        ) AS is_locked
    FROM pg_catalog.pg_class AS c
    WHERE
        c.relkind = 'r'
        AND c.relnamespace = (
            SELECT home.relnamespace FROM pg_catalog.pg_class AS home
            WHERE home.oid = to_regclass('session')
        )
),

ledgers AS MATERIALIZED (
    SELECT c.relname
    FROM tables AS c
    WHERE (
        SELECT array_agg(a.attname::text ORDER BY a.attname::text)
        FROM pg_catalog.pg_attribute AS a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    ) = ARRAY['dirty', 'version']::text[]
),

sizes AS MATERIALIZED (
    SELECT
        c.oid,
        -- The size functions wait for a lock.
        (
            CASE
                WHEN c.is_locked THEN c.relpages * c.block_size
                ELSE greatest(
                    coalesce(pg_table_size(c.oid), 0)
                    - coalesce(pg_total_relation_size(c.reltoastrelid), 0),
                    0
                )
            END
        )::bigint AS heap_bytes,
        (
            CASE
                WHEN c.is_locked
                    THEN (
                        SELECT coalesce(sum(t.relpages), 0) * c.block_size
                        FROM pg_catalog.pg_class AS t
                        WHERE
                            t.oid = c.reltoastrelid
                            OR t.oid IN (
                                SELECT i.indexrelid FROM pg_catalog.pg_index AS i
                                WHERE i.indrelid = c.reltoastrelid
                            )
                    )
                ELSE coalesce(pg_total_relation_size(c.reltoastrelid), 0)
            END
        )::bigint AS toast_bytes,
        (
            CASE
                WHEN c.is_locked
                    THEN (
                        SELECT coalesce(sum(t.relpages), 0) * c.block_size
                        FROM pg_catalog.pg_index AS i
                        INNER JOIN pg_catalog.pg_class AS t ON t.oid = i.indexrelid
                        WHERE i.indrelid = c.oid
                    )
                ELSE coalesce(pg_indexes_size(c.oid), 0)
            END
        )::bigint AS index_bytes
    FROM tables AS c
)

SELECT
    c.relname::text AS "name!",
    z.heap_bytes::bigint AS "heap_bytes!",
    z.toast_bytes::bigint AS "toast_bytes!",
    z.index_bytes::bigint AS "index_bytes!",
    coalesce(s.n_live_tup, 0)::bigint AS "live_rows!",
    coalesce(s.n_dead_tup, 0)::bigint AS "dead_rows!",
    greatest(s.last_vacuum, s.last_autovacuum)::timestamptz AS last_vacuum,
    s.last_autovacuum::timestamptz AS last_autovacuum,
    greatest(s.last_analyze, s.last_autoanalyze)::timestamptz AS last_analyze,
    (
        SELECT made.relname
        FROM pg_catalog.pg_index AS i
        INNER JOIN pg_catalog.pg_class AS made ON made.oid = i.indexrelid
        WHERE
            i.indrelid = c.oid
            AND i.indisvalid
            AND has_table_privilege(c.oid, 'SELECT')
            AND made.relname IN (
                'agentrows_session_last_used',
                'agentrows_feedback_age',
                'agentrows_feedback_key_age',
                'agentrows_feedback_target_created',
                'agentrows_task_event_created',
                'idx_crewai_flow_state_list',
                'idx_crewai_memory_list',
                'idx_lgcp_list'
            )
        LIMIT 1
    )::text AS age_index,
    NULL::timestamptz AS oldest_row,
    (c.is_locked)::boolean AS "is_locked!"
FROM tables AS c
INNER JOIN sizes AS z ON z.oid = c.oid
LEFT JOIN pg_catalog.pg_stat_all_tables AS s ON s.relid = c.oid
WHERE NOT EXISTS (
    SELECT 1 FROM ledgers AS l
    WHERE c.relname::text IN (l.relname::text, l.relname::text || '_history')
)
ORDER BY z.heap_bytes + z.toast_bytes + z.index_bytes DESC, c.relname;

-- name: FindOldestSession :one
-- Return the time of the oldest session, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(greatest(updated_at, created_at)) AS oldest
FROM session
WHERE greatest(updated_at, created_at) BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestFeedback :one
-- Return the time of the oldest feedback, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(greatest(updated_at, created_at)) AS oldest
FROM feedback
WHERE greatest(updated_at, created_at) BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestFeedbackKey :one
-- Return the time of the oldest idempotency key, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM agentrows_feedback_key
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestFeedbackTarget :one
-- Return the time of the oldest link of feedback, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM agentrows_feedback_target
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestTaskEvent :one
-- Return the time of the oldest event of a task, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM agentrows_task_event
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestFlowState :one
-- Return the time of the oldest state of a CrewAI flow, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM crewai_flow_state
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestCrewMemory :one
-- Return the time of the oldest CrewAI memory, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM crewai_agent_memory
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindOldestCheckpoint :one
-- Return the time of the oldest checkpoint, in the years 1 to 9999; None if there is none.
--
-- unscoped: for the operator of the database
-- py: one!
SELECT min(created_at) AS oldest
FROM lg_checkpoint
WHERE created_at BETWEEN '0001-01-02' AND '9999-12-30';

-- name: FindDeadRows :many
-- Return the tables of these schemas of which more than 30 % of at least 10,000 rows are dead.
--
-- The numbers are those of the server's statistics; no table is read.
-- py: row DeadRows
-- py: doc DeadRows A table with many rows whose space no VACUUM has freed.
-- py: doc DeadRows.table The table, with its schema.
SELECT
    format('%I.%I', s.schemaname, s.relname)::text AS "table!",
    s.n_live_tup::bigint AS "live_rows!",
    s.n_dead_tup::bigint AS "dead_rows!",
    greatest(s.last_vacuum, s.last_autovacuum)::timestamptz AS last_vacuum
FROM pg_catalog.pg_stat_all_tables AS s
WHERE
    s.schemaname::text = ANY (@schemas::text[])
    AND s.n_live_tup + s.n_dead_tup >= 10000
    AND s.n_dead_tup > 0.3 * (s.n_live_tup + s.n_dead_tup)
ORDER BY s.n_dead_tup DESC, s.relname;

-- name: FindLongThreads :many
-- Return an estimate of the checkpoints of a thread, if it is above 50, of at least 10,000 rows.
--
-- It is the number of rows divided by the number of different threads, both of the last ANALYZE;
-- no table is read. No row if ANALYZE has not run, or if policies hide rows from this role.
-- py: row LongThreads
-- py: doc LongThreads A table of checkpoints with many rows per thread.
-- py: doc LongThreads.table The table, with its schema.
SELECT
    format('%I.%I', e.schemaname, e.tablename)::text AS "table!",
    e.checkpoints::bigint AS "checkpoints!",
    round(e.checkpoints / e.threads)::bigint AS "per_thread!"
FROM (
    SELECT
        s.schemaname,
        s.tablename,
        c.reltuples::double precision AS checkpoints,
        greatest(
            CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * c.reltuples ELSE s.n_distinct END, 1
        )::double precision AS threads
    FROM pg_catalog.pg_stats AS s
    INNER JOIN pg_catalog.pg_namespace AS n ON n.nspname = s.schemaname
    INNER JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = s.tablename
    WHERE
        s.schemaname::text = ANY (@schemas::text[])
        AND s.tablename = 'lg_checkpoint'
        AND s.attname = 'thread_id'
        AND c.reltuples >= 10000
) AS e
WHERE e.checkpoints > 50 * e.threads
ORDER BY e.schemaname;
