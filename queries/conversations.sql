-- Conversations: sessions of one agent, whose events are appended, popped and replaced at the end.
-- py: file

-- name: AppendItems :one
-- Append items to a session of an agent, and return the number of new ones.
--
-- The session is created if it does not exist. No row, and nothing is stored, if the session is
-- deleted or belongs to another agent, if it does not exist and has events, or if an id is that of
-- another event of the user. An event that is stored already stays as it is. The times of items
-- differ by a microsecond each and follow the last activity of the session, which is read after the
-- session is locked, and its last event: the order is that of the commits, even after the clock was
-- set back. The time of the last activity is ignored as far as it is more than an hour in the
-- future, that of a last event from the year 9999 on. The arrays come from a table expression:
-- otherwise the planner would inspect them and make a new plan for every call. The scalar subqueries
-- read an index whatever the statistics are; a join could read all events of the user, and NOT EXISTS
-- the whole table. With `notify` the commit sends the digest of the session on the channel
-- `agentrows_event`, if an item is new.
WITH given AS MATERIALIZED (
    SELECT @id::text[] AS id, @data::text[] AS data
),
active AS (
    INSERT INTO session AS s (id, user_id, agent_id, created_at, updated_at)
    SELECT
        @session_id::text,
        @user_id::text,
        @agent_id::text,
        statement_timestamp(),
        clock_timestamp() + (cardinality(given.id) - 1) * interval '1 microsecond'
    FROM given
    WHERE
        (
            EXISTS (SELECT 1 FROM session AS k WHERE k.id = @session_id AND k.user_id = @user_id)
            OR (
                SELECT e.id FROM event AS e
                WHERE e.session_id = @session_id AND e.user_id = @user_id
                ORDER BY coalesce(e.created_at, '-infinity'::timestamptz), e.id
                LIMIT 1
            ) IS NULL
        )
        AND NOT EXISTS (
            SELECT 1 FROM ROWS FROM (unnest(given.id), unnest(given.data)) AS each (id, data)
            WHERE
                (
                    SELECT 1 FROM event AS o
                    WHERE
                        o.id = each.id
                        AND o.user_id = @user_id
                        AND (o.session_id IS DISTINCT FROM @session_id OR o.data <> each.data)
                    LIMIT 1
                ) IS NOT NULL
        )
    ON CONFLICT (id, user_id) DO UPDATE SET
        updated_at = greatest(
            excluded.updated_at,
            clock_timestamp(),
            least(
                coalesce(s.updated_at, '-infinity'::timestamptz),
                clock_timestamp() + interval '1 hour'
            ) + cardinality(@id::text[]) * interval '1 microsecond',
            (
                SELECT last.created_at FROM event AS last
                WHERE
                    last.user_id = @user_id
                    AND last.session_id = @session_id
                    AND coalesce(last.created_at, '-infinity'::timestamptz)
                    < '9999-01-01 00:00:00+00'::timestamptz
                ORDER BY coalesce(last.created_at, '-infinity'::timestamptz) DESC, last.id DESC
                LIMIT 1
            ) + cardinality(@id::text[]) * interval '1 microsecond'
        )
    WHERE s.deleted_at IS NULL AND s.agent_id = excluded.agent_id
    RETURNING s.id, s.user_id, s.updated_at
),
stored AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT
        each.id,
        active.user_id,
        active.id,
        each.data,
        active.updated_at - (cardinality(given.id) - each.ordinal) * interval '1 microsecond',
        active.updated_at - (cardinality(given.id) - each.ordinal) * interval '1 microsecond'
    FROM
        given,
        active,
        ROWS FROM (unnest(given.id), unnest(given.data)) WITH ORDINALITY AS each (id, data, ordinal)
    ON CONFLICT (id, user_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM stored)::bigint AS "stored!" FROM active
WHERE CASE
    WHEN @notify::boolean AND EXISTS (SELECT 1 FROM stored)
        THEN pg_notify(
            'agentrows_event',
            encode(sha256(convert_to(jsonb_build_array(
                (
                    SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
                    WHERE c.oid = to_regclass('event')
                ),
                active.user_id,
                active.id
            )::text, 'UTF8')), 'hex')
        )::text IS NOT NULL
    ELSE true
END;

-- name: ListItems :many
-- Return the events of a user's session with an agent, newest first.
--
-- A page starts before the given position. No rows if the session is deleted or belongs to another
-- agent.
SELECT e.* FROM event AS e
WHERE
    e.user_id = @user_id::text
    AND e.session_id = @session_id
    AND e.deleted_at IS NULL
    AND EXISTS (
        SELECT 1 FROM session AS s
        WHERE
            s.id = @session_id
            AND s.user_id = @user_id
            AND s.agent_id = @agent_id
            AND s.deleted_at IS NULL
    )
    AND (coalesce(e.created_at, '-infinity'::timestamptz), e.id)
    < (coalesce(sqlc.narg('before_time')::timestamptz, '-infinity'::timestamptz), @before_id)
ORDER BY coalesce(e.created_at, '-infinity'::timestamptz) DESC, e.id DESC
LIMIT sqlc.narg('limit');

-- name: FindConversation :one
-- Return the agent of a user's session, and whether the session is deleted.
--
-- No row if the user never had a session with this id.
-- py: row Conversation
-- py: doc Conversation The agent of a session.
SELECT agent_id, (deleted_at IS NOT NULL)::boolean AS "is_deleted!" FROM session
WHERE id = @session_id AND user_id = @user_id;

-- name: LockConversation :one
-- Lock a user's session against other changes of its events, and return its agent.
--
-- No row if the user never had a session with this id. Events that were committed before the lock
-- are visible to the next statement of a read committed transaction.
-- py: row Conversation
SELECT agent_id, (deleted_at IS NOT NULL)::boolean AS "is_deleted!" FROM session
WHERE id = @session_id AND user_id = @user_id
FOR NO KEY UPDATE;

-- name: PopEvent :one
-- Delete the row of the newest event of a user's session, and return the data of the event.
--
-- Run it after LockConversation in the same transaction, so that it finds the newest event. Deleted
-- events stay.
DELETE FROM event
WHERE
    event.user_id = @user_id::text
    AND event.id = (
        SELECT e.id FROM event AS e
        WHERE
            e.user_id = @user_id
            AND e.session_id = @session_id
            AND e.deleted_at IS NULL
        ORDER BY coalesce(e.created_at, '-infinity'::timestamptz) DESC, e.id DESC
        LIMIT 1
        FOR UPDATE
    )
RETURNING event.data;

-- name: PurgeEvents :execrows
-- Delete the rows of events of a user's session: those with the given ids, or all.
--
-- Rows of deleted events are removed too. Run it after LockConversation in the same transaction, so
-- that it finds every event.
DELETE FROM event
WHERE
    event.user_id = @user_id::text
    AND event.session_id = @session_id
    AND (sqlc.narg('ids')::text[] IS NULL OR event.id = ANY(sqlc.narg('ids')::text[]));
