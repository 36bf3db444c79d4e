-- Histories: messages that are stored once, in chains that branch and that forks share.
--
-- An entry refers to the one before it. A history refers to its last entry, its head, and to the last
-- entries of the branches that it left; it uses these entries and those before them. Entries are
-- deleted with the last history that uses them.
--
-- Writers lock entries before histories, so that they do not wait for each other in a circle.
--
-- OFFSET 0 makes the server look up the neighbours of each entry in an index: it cannot estimate the
-- number of entries that a recursion finds, and would otherwise scan the table for each of them.
-- py: file

-- name: FindHistory :one
-- Return a user's history without its messages; no row if it is not stored.
-- py: row History
-- py: doc History A history, without its messages.
SELECT c.history_id, c.scope, c.head_id, c.branches, c.revision, c.data, c.updated_at
FROM agentrows_history AS c
WHERE c.user_id = @user_id::text AND c.history_id = @history_id::text;

-- name: ListHistories :many
-- Return the histories of a user, the last updated one first.
-- py: row History
SELECT c.history_id, c.scope, c.head_id, c.branches, c.revision, c.data, c.updated_at
FROM agentrows_history AS c
WHERE c.user_id = @user_id::text
ORDER BY c.updated_at DESC, c.history_id
LIMIT sqlc.narg('limit');

-- name: ListHistoriesInScope :many
-- Return the histories of a user in a scope, the last updated one first.
-- py: row History
SELECT c.history_id, c.scope, c.head_id, c.branches, c.revision, c.data, c.updated_at
FROM agentrows_history AS c
WHERE c.user_id = @user_id::text AND c.scope = @scope::text
ORDER BY c.updated_at DESC, c.history_id
LIMIT sqlc.narg('limit');

-- name: FindHistoryEntry :one
-- Return a user's entry; no row if it is not stored.
-- py: row HistoryEntry
-- py: doc HistoryEntry A message of a history.
SELECT e.id, e.parent_id, e.kind, e.data
FROM agentrows_history_entry AS e
WHERE e.user_id = @user_id::text AND e.id = @id::text;

-- name: ListHistoryEntries :many
-- Return the entries up to the one with the id `head_id`, oldest first.
--
-- With a limit only the last ones. No rows if the last entry is not stored.
--
-- Another program may store a chain in a circle. So each row has a mark, the id at the last depth
-- that is a power of 2: the rows end before that entry comes again.
-- py: row HistoryEntry
WITH RECURSIVE chain AS (
    SELECT e.id, e.parent_id, e.kind, e.data, 1::bigint AS depth, e.id AS mark
    FROM agentrows_history_entry AS e
    WHERE e.user_id = @user_id::text AND e.id = @head_id::text
    UNION ALL
    SELECT
        before.id,
        before.parent_id,
        before.kind,
        before.data,
        chain.depth + 1,
        CASE WHEN (chain.depth & (chain.depth + 1)) = 0 THEN before.id ELSE chain.mark END
    FROM
        chain,
        LATERAL (
            SELECT e.id, e.parent_id, e.kind, e.data FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND e.id = chain.parent_id
            OFFSET 0
        ) AS before
    WHERE
        chain.parent_id <> chain.mark
        AND (sqlc.narg('limit')::bigint IS NULL OR chain.depth < sqlc.narg('limit'))
)
SELECT chain.id, chain.parent_id, chain.kind, chain.data FROM chain
ORDER BY chain.depth DESC;

-- name: CreateHistory :one
-- Store a new history with its new entries, and return the number of stored histories.
--
-- 0 if it exists, or if an entry in `needed` is not stored: then nothing is stored. Needed entries
-- are locked, so that no concurrent deletion removes them. The arrays are columns of new entries.
-- py: param parent_id text?[]
-- py: param scope text?
-- py: param head_id text?
WITH given AS MATERIALIZED (
    SELECT
        @id::text[] AS id, @parent_id::text[] AS parent_id, @kind::text[] AS kind, @data::text[] AS data
),
locked AS MATERIALIZED (
    SELECT e.id FROM agentrows_history_entry AS e
    WHERE e.user_id = @user_id::text AND e.id = ANY(@needed::text[])
    ORDER BY e.id
    FOR KEY SHARE
),
saved AS (
    INSERT INTO agentrows_history (
        user_id, history_id, scope, head_id, branches, revision, data, updated_at, saved_at
    )
    SELECT
        @user_id::text,
        @history_id::text,
        sqlc.narg('scope')::text,
        sqlc.narg('head_id')::text,
        @branches::text[],
        @revision::text,
        @record::text,
        @updated_at::timestamptz,
        clock_timestamp()
    WHERE (SELECT count(*) FROM locked) = cardinality(@needed::text[])
    ON CONFLICT (user_id, history_id) DO NOTHING
    RETURNING 1
),
stored AS (
    INSERT INTO agentrows_history_entry (user_id, id, parent_id, kind, data)
    SELECT
        @user_id::text,
        each.id,
        each.parent_id,
        each.kind,
        each.data
    FROM
        saved,
        given,
        ROWS FROM (
            unnest(given.id), unnest(given.parent_id), unnest(given.kind), unnest(given.data)
        ) AS each (id, parent_id, kind, data)
    RETURNING 1
)
SELECT count(*) AS saved FROM saved;

-- name: UpdateHistory :one
-- Replace a history at a revision, store new entries, and return the number of replaced rows.
--
-- 0 if the history has another revision or is not stored, or if an entry in `needed` is not
-- stored: then nothing is stored. Needed entries are locked, so that no concurrent deletion
-- removes them. The arrays are columns of new entries.
-- py: param parent_id text?[]
-- py: param scope text?
-- py: param head_id text?
WITH given AS MATERIALIZED (
    SELECT
        @id::text[] AS id, @parent_id::text[] AS parent_id, @kind::text[] AS kind, @data::text[] AS data
),
locked AS MATERIALIZED (
    SELECT e.id FROM agentrows_history_entry AS e
    WHERE e.user_id = @user_id::text AND e.id = ANY(@needed::text[])
    ORDER BY e.id
    FOR KEY SHARE
),
saved AS (
    UPDATE agentrows_history AS c SET
        scope = sqlc.narg('scope')::text,
        head_id = sqlc.narg('head_id')::text,
        branches = @branches::text[],
        revision = @revision::text,
        data = @record::text,
        updated_at = @updated_at::timestamptz,
        saved_at = greatest(c.saved_at, clock_timestamp())
    WHERE
        c.user_id = @user_id::text
        AND c.history_id = @history_id::text
        AND c.revision = @expected_revision::text
        AND (SELECT count(*) FROM locked) = cardinality(@needed::text[])
    RETURNING 1
),
stored AS (
    INSERT INTO agentrows_history_entry (user_id, id, parent_id, kind, data)
    SELECT
        @user_id::text,
        each.id,
        each.parent_id,
        each.kind,
        each.data
    FROM
        saved,
        given,
        ROWS FROM (
            unnest(given.id), unnest(given.parent_id), unnest(given.kind), unnest(given.data)
        ) AS each (id, parent_id, kind, data)
    RETURNING 1
)
SELECT count(*) AS saved FROM saved;

-- name: LockHistoryEntries :many
-- Wait for concurrent writers of the entries of a history, lock these, and return their ids.
--
-- Also the entries that follow them in forks. The next statement then sees the histories that
-- these writers committed.
WITH RECURSIVE tree AS (
    SELECT e.id, e.parent_id
    FROM agentrows_history AS c
    INNER JOIN agentrows_history_entry AS e ON e.id = ANY(array_append(c.branches, c.head_id))
    WHERE
        c.user_id = @user_id::text
        AND c.history_id = @history_id::text
        AND e.user_id = @user_id::text
    UNION
    SELECT near.id, near.parent_id
    FROM
        tree,
        LATERAL (
            SELECT e.id, e.parent_id FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND (e.id = tree.parent_id OR e.parent_id = tree.id)
            OFFSET 0
        ) AS near
)
SELECT e.id FROM agentrows_history_entry AS e
WHERE e.user_id = @user_id::text AND e.id IN (SELECT tree.id FROM tree)
ORDER BY e.id
FOR UPDATE;

-- name: DeleteHistory :execrows
-- Delete a user's history at a revision; its entries stay.
DELETE FROM agentrows_history AS c
WHERE
    c.user_id = @user_id::text
    AND c.history_id = @history_id::text
    AND c.revision = @revision::text;

-- name: DeleteUnusedHistoryEntries :execrows
-- Delete those of these entries that no history of the user uses.
--
-- Run it after the entries were locked and histories were deleted, in the same transaction. An
-- entry that was added after a locked one is used by its writer and keeps the entries before it.
WITH RECURSIVE given AS MATERIALIZED (
    SELECT @id::text[] AS id
),
used AS (
    SELECT e.id, e.parent_id
    FROM agentrows_history_entry AS e
    WHERE
        e.user_id = @user_id::text
        AND e.id IN (SELECT unnest(given.id) FROM given)
        AND (
            e.id IN (
                SELECT unnest(array_append(c.branches, c.head_id))
                FROM agentrows_history AS c
                WHERE c.user_id = @user_id::text
            )
            OR EXISTS (
                SELECT 1 FROM agentrows_history_entry AS child
                WHERE
                    child.user_id = @user_id::text
                    AND child.parent_id = e.id
                    AND child.id NOT IN (SELECT unnest(given.id) FROM given)
            )
        )
    UNION
    SELECT before.id, before.parent_id
    FROM
        used,
        LATERAL (
            SELECT e.id, e.parent_id FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND e.id = used.parent_id
            OFFSET 0
        ) AS before
)
DELETE FROM agentrows_history_entry AS e
WHERE
    e.user_id = @user_id::text
    AND e.id IN (SELECT unnest(given.id) FROM given)
    AND NOT EXISTS (SELECT 1 FROM used WHERE used.id = e.id);

-- name: ListHistoriesByAge :many
-- Return the next histories in the order of keys, and whether they are idle.
--
-- A history is idle if it was not saved within the retention.
--
-- unscoped: retention applies to every user
-- py: row ListedHistory
-- py: doc ListedHistory A history, and whether it can be removed.
SELECT
    p.user_id,
    p.history_id,
    (p.saved_at < statement_timestamp() - @retention::interval)::boolean AS "is_idle!"
FROM agentrows_history AS p
WHERE (p.user_id, p.history_id) > (@after_user_id::text, @after_history_id::text)
ORDER BY p.user_id, p.history_id
LIMIT @batch_size::bigint;

-- name: CountUnusedHistoryEntries :one
-- Count the entries of these histories that only idle histories up to a key use.
--
-- The next ones in the order of keys are counted later, with the entries that both use.
WITH RECURSIVE chain AS (
    SELECT e.id, e.parent_id
    FROM agentrows_history AS c
    INNER JOIN agentrows_history_entry AS e ON e.id = ANY(array_append(c.branches, c.head_id))
    WHERE
        c.user_id = @user_id::text
        AND c.history_id = ANY(@history_id::text[])
        AND e.user_id = @user_id::text
    UNION
    SELECT before.id, before.parent_id
    FROM
        chain,
        LATERAL (
            SELECT e.id, e.parent_id FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND e.id = chain.parent_id
            OFFSET 0
        ) AS before
),
used AS (
    SELECT e.id, e.parent_id
    FROM agentrows_history AS c
    INNER JOIN agentrows_history_entry AS e ON e.id = ANY(array_append(c.branches, c.head_id))
    WHERE
        c.user_id = @user_id::text
        AND e.user_id = @user_id::text
        AND (
            c.saved_at >= statement_timestamp() - @retention::interval
            OR (c.user_id, c.history_id) > (@last_user_id::text, @last_history_id::text)
        )
    UNION
    SELECT before.id, before.parent_id
    FROM
        used,
        LATERAL (
            SELECT e.id, e.parent_id FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND e.id = used.parent_id
            OFFSET 0
        ) AS before
)
SELECT count(*) AS entries FROM chain
WHERE NOT EXISTS (SELECT 1 FROM used WHERE used.id = chain.id);

-- name: LockIdleHistoryEntries :many
-- Lock the entries of these histories of a user, and those that follow them in forks.
--
-- Entries that another transaction has locked are skipped.
WITH RECURSIVE tree AS (
    SELECT e.id, e.parent_id
    FROM agentrows_history AS c
    INNER JOIN agentrows_history_entry AS e ON e.id = ANY(array_append(c.branches, c.head_id))
    WHERE
        c.user_id = @user_id::text
        AND c.history_id = ANY(@history_id::text[])
        AND e.user_id = @user_id::text
    UNION
    SELECT near.id, near.parent_id
    FROM
        tree,
        LATERAL (
            SELECT e.id, e.parent_id FROM agentrows_history_entry AS e
            WHERE e.user_id = @user_id::text AND (e.id = tree.parent_id OR e.parent_id = tree.id)
            OFFSET 0
        ) AS near
)
SELECT e.id FROM agentrows_history_entry AS e
WHERE e.user_id = @user_id::text AND e.id IN (SELECT tree.id FROM tree)
ORDER BY e.id
FOR UPDATE SKIP LOCKED;

-- name: PruneHistories :execrows
-- Delete those of these histories of a user that are still idle; their entries stay.
--
-- Run it after LockIdleHistoryEntries with the ids that this returned, in the same transaction.
-- None is deleted if one of their entries was not locked, because a writer uses it. A history that
-- another transaction has locked is skipped.
WITH given AS MATERIALIZED (
    SELECT @locked_id::text[] AS id
)
DELETE FROM agentrows_history AS c
WHERE
    c.user_id = @user_id::text
    AND c.history_id IN (
        SELECT idle.history_id FROM agentrows_history AS idle
        WHERE
            idle.user_id = @user_id::text
            AND idle.history_id = ANY(@history_id::text[])
            AND idle.saved_at < statement_timestamp() - @retention::interval
            AND NOT EXISTS (
                SELECT 1 FROM agentrows_history_entry AS tip
                WHERE
                    tip.user_id = @user_id::text
                    AND tip.id = ANY(array_append(idle.branches, idle.head_id))
                    AND tip.id NOT IN (SELECT unnest(given.id) FROM given)
            )
        ORDER BY idle.history_id
        FOR UPDATE SKIP LOCKED
    )
    AND NOT EXISTS (
        SELECT 1
        FROM agentrows_history_entry AS child
        INNER JOIN agentrows_history_entry AS parent ON parent.id = child.parent_id
        WHERE
            child.user_id = @user_id::text
            AND parent.user_id = @user_id::text
            AND child.id IN (SELECT unnest(given.id) FROM given)
            AND parent.id NOT IN (SELECT unnest(given.id) FROM given)
    );

-- name: LockHistoryEntriesOfUser :many
-- Lock all entries of histories of a user, and return their ids.
--
-- It waits for concurrent writers, so that the next statement sees their histories.
SELECT e.id FROM agentrows_history_entry AS e
WHERE e.user_id = @user_id::text
ORDER BY e.id
FOR UPDATE;

-- name: DeleteHistoriesOfUser :execrows
-- Delete all histories of a user; their entries stay.
DELETE FROM agentrows_history AS c
WHERE c.user_id = @user_id::text;
