-- Events: the messages and steps of a session, in order.
-- py: file

-- name: InsertEvents :one
-- Store events in the given order, mark their sessions as active and return the number of events.
--
-- All events are stored, or none. Times within a batch differ by a microsecond each, which
-- preserves the order. Rows are written in the order of their keys, so that two batches cannot
-- deadlock. The clock is read after the sessions are locked, so that of two batches the one that
-- commits last has the later times. The times of a session's events follow its last activity, which
-- is that of the locked row, and its last event, even after the clock was set back. A last activity
-- is ignored as far as it is more than an hour in the future, a last event from the year 9999 on.
-- The arrays come from a table expression: otherwise the planner would inspect them and make a new
-- plan for every call. With `notify` the commit sends the digest of each session with a stored event
-- on the channel `agentrows_event`.
-- py: batch events NewEvent
-- py: param session_id text?[]
-- py: doc NewEvent An event to store with `store_events`.
-- py: doc NewEvent.id Chosen by the application; unique for the user. The id of a deleted event
-- py: doc NewEvent.id cannot be reused.
-- py: doc NewEvent.user_id The owner of the event.
-- py: doc NewEvent.session_id The session of the event, of the same user; None for an event outside
-- py: doc NewEvent.session_id of sessions.
-- py: doc NewEvent.data The message as JSON text.
WITH given AS MATERIALIZED (
    SELECT
        @id::text[] AS id,
        @user_id::text[] AS user_id,
        @session_id::text[] AS session_id,
        @data::text[] AS data
),
input AS (
    SELECT each.*
    FROM
        given,
        ROWS FROM (
            unnest(given.id),
            unnest(given.user_id),
            unnest(given.session_id),
            unnest(given.data)
        ) WITH ORDINALITY AS each (id, user_id, session_id, data, ordinal)
),
active AS (
    SELECT id, user_id, updated_at FROM session
    WHERE
        (id, user_id) IN (SELECT session_id, user_id FROM input)
        AND deleted_at IS NULL
    ORDER BY id, user_id
    FOR NO KEY UPDATE
),
clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now FROM (SELECT count(*) FROM active) AS locked
),
start AS MATERIALIZED (
    SELECT
        own.session_id,
        own.user_id,
        greatest(
            clock.now,
            -- least() ignores NULL, which is the time of a session that is not stored.
            least(
                coalesce(active.updated_at, '-infinity'::timestamptz),
                clock.now + interval '1 hour'
            ) + interval '1 microsecond',
            (
                SELECT last.created_at FROM event AS last
                WHERE
                    last.user_id = own.user_id
                    AND last.session_id = own.session_id
                    AND coalesce(last.created_at, '-infinity'::timestamptz)
                    < '9999-01-01 00:00:00+00'::timestamptz
                ORDER BY coalesce(last.created_at, '-infinity'::timestamptz) DESC, last.id DESC
                LIMIT 1
            ) + interval '1 microsecond'
        ) AS starts_at
    FROM (SELECT DISTINCT session_id, user_id FROM input WHERE session_id IS NOT NULL) AS own
    CROSS JOIN clock
    LEFT JOIN active ON (active.id, active.user_id) = (own.session_id, own.user_id)
),
touched AS (
    UPDATE session
    SET updated_at = start.starts_at + (cardinality(given.id) - 1) * interval '1 microsecond'
    FROM active, start, given
    WHERE
        session.id = active.id
        AND session.user_id = active.user_id
        AND (start.session_id, start.user_id) = (active.id, active.user_id)
),
stored AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT
        input.id,
        input.user_id,
        input.session_id,
        input.data,
        coalesce(start.starts_at, clock.now) + (input.ordinal - 1) * interval '1 microsecond',
        coalesce(start.starts_at, clock.now) + (input.ordinal - 1) * interval '1 microsecond'
    FROM input
    CROSS JOIN clock
    LEFT JOIN start ON (start.session_id, start.user_id) = (input.session_id, input.user_id)
    ORDER BY input.id, input.user_id, input.ordinal
    RETURNING user_id, session_id
),
notified AS (
    SELECT
        pg_notify(
            'agentrows_event',
            encode(sha256(convert_to(jsonb_build_array(
                (
                    SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
                    WHERE c.oid = to_regclass('event')
                ),
                own.user_id,
                own.session_id
            )::text, 'UTF8')), 'hex')
        )::text AS sent
    FROM (
        SELECT DISTINCT user_id, session_id FROM stored WHERE session_id IS NOT NULL
    ) AS own
)
SELECT count(*) AS stored FROM stored
WHERE CASE
    WHEN @notify::boolean THEN (SELECT count(notified.sent) FROM notified) IS NOT NULL
    ELSE true
END;

-- name: InsertNewEvents :one
-- Store the events with ids that are new to their users and return the number of stored events.
--
-- In all else it works as InsertEvents does.
-- py: batch events NewEvent
-- py: param session_id text?[]
WITH given AS MATERIALIZED (
    SELECT
        @id::text[] AS id,
        @user_id::text[] AS user_id,
        @session_id::text[] AS session_id,
        @data::text[] AS data
),
input AS (
    SELECT each.*
    FROM
        given,
        ROWS FROM (
            unnest(given.id),
            unnest(given.user_id),
            unnest(given.session_id),
            unnest(given.data)
        ) WITH ORDINALITY AS each (id, user_id, session_id, data, ordinal)
),
active AS (
    SELECT id, user_id, updated_at FROM session
    WHERE
        (id, user_id) IN (SELECT session_id, user_id FROM input)
        AND deleted_at IS NULL
    ORDER BY id, user_id
    FOR NO KEY UPDATE
),
clock AS MATERIALIZED (
    SELECT clock_timestamp() AS now FROM (SELECT count(*) FROM active) AS locked
),
start AS MATERIALIZED (
    SELECT
        own.session_id,
        own.user_id,
        greatest(
            clock.now,
            -- least() ignores NULL, which is the time of a session that is not stored.
            least(
                coalesce(active.updated_at, '-infinity'::timestamptz),
                clock.now + interval '1 hour'
            ) + interval '1 microsecond',
            (
                SELECT last.created_at FROM event AS last
                WHERE
                    last.user_id = own.user_id
                    AND last.session_id = own.session_id
                    AND coalesce(last.created_at, '-infinity'::timestamptz)
                    < '9999-01-01 00:00:00+00'::timestamptz
                ORDER BY coalesce(last.created_at, '-infinity'::timestamptz) DESC, last.id DESC
                LIMIT 1
            ) + interval '1 microsecond'
        ) AS starts_at
    FROM (SELECT DISTINCT session_id, user_id FROM input WHERE session_id IS NOT NULL) AS own
    CROSS JOIN clock
    LEFT JOIN active ON (active.id, active.user_id) = (own.session_id, own.user_id)
),
touched AS (
    UPDATE session
    SET updated_at = start.starts_at + (cardinality(given.id) - 1) * interval '1 microsecond'
    FROM active, start, given
    WHERE
        session.id = active.id
        AND session.user_id = active.user_id
        AND (start.session_id, start.user_id) = (active.id, active.user_id)
),
stored AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT
        input.id,
        input.user_id,
        input.session_id,
        input.data,
        coalesce(start.starts_at, clock.now) + (input.ordinal - 1) * interval '1 microsecond',
        coalesce(start.starts_at, clock.now) + (input.ordinal - 1) * interval '1 microsecond'
    FROM input
    CROSS JOIN clock
    LEFT JOIN start ON (start.session_id, start.user_id) = (input.session_id, input.user_id)
    ORDER BY input.id, input.user_id, input.ordinal
    ON CONFLICT (id, user_id) DO NOTHING
    RETURNING user_id, session_id
),
notified AS (
    SELECT
        pg_notify(
            'agentrows_event',
            encode(sha256(convert_to(jsonb_build_array(
                (
                    SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
                    WHERE c.oid = to_regclass('event')
                ),
                own.user_id,
                own.session_id
            )::text, 'UTF8')), 'hex')
        )::text AS sent
    FROM (
        SELECT DISTINCT user_id, session_id FROM stored WHERE session_id IS NOT NULL
    ) AS own
)
SELECT count(*) AS stored FROM stored
WHERE CASE
    WHEN @notify::boolean THEN (SELECT count(notified.sent) FROM notified) IS NOT NULL
    ELSE true
END;

-- name: CountStoredEvents :one
-- Return the number of these events that are stored with the same session and data.
--
-- Deleted events count.
-- py: batch events NewEvent
-- py: param session_id text?[]
WITH given AS MATERIALIZED (
    SELECT
        @id::text[] AS id,
        @user_id::text[] AS user_id,
        @session_id::text[] AS session_id,
        @data::text[] AS data
),
input AS (
    SELECT each.*
    FROM
        given,
        ROWS FROM (
            unnest(given.id),
            unnest(given.user_id),
            unnest(given.session_id),
            unnest(given.data)
        ) AS each (id, user_id, session_id, data)
)
SELECT count(*) AS stored
FROM input
INNER JOIN event ON event.id = input.id AND event.user_id = input.user_id
WHERE event.session_id IS NOT DISTINCT FROM input.session_id AND event.data = input.data;

-- name: GetEvent :one
-- Return an event of a user.
--
-- No row if the event is deleted.
-- py: lookup
-- py: json data
SELECT * FROM event
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;

-- name: CountEvents :one
-- Count a user's events, or those of one session.
SELECT count(*) AS events FROM event
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (sqlc.narg('session_id')::text IS NULL OR session_id = sqlc.narg('session_id'));

-- name: ListEventsOldestFirst :many
-- Return the events of a session, oldest first.
--
-- A page starts after the given position.
-- py: iterator
SELECT * FROM event
WHERE
    user_id = @user_id
    AND session_id = @session_id
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    > (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz), id
LIMIT sqlc.narg('limit');

-- name: ListEventsNewestFirst :many
-- Return the events of a session, newest first.
--
-- A page starts after the given position.
SELECT * FROM event
WHERE
    user_id = @user_id
    AND session_id = @session_id
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: FindSessionDigest :one
-- Return the digest of a user's session, which is sent on the channel `agentrows_event`.
--
-- No row if the user has no such session, or it is deleted. It is a SHA-256 of the schema of the
-- table, the user and the session, as hexadecimal digits.
SELECT
    encode(sha256(convert_to(jsonb_build_array(
        (
            SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
            WHERE c.oid = to_regclass('event')
        ),
        session.user_id,
        session.id
    )::text, 'UTF8')), 'hex') AS "digest!"
FROM session
WHERE session.id = @id AND session.user_id = @user_id AND session.deleted_at IS NULL;

-- name: FindTailsWithEvents :many
-- Return the places, from 1, of the sessions with an event after the given position.
--
-- One statement serves all tails of a client. The arrays have an entry for each tail: its user, its
-- session and the position of the last event that it has read.
-- py: param after_time timestamptz?[]
WITH given AS MATERIALIZED (
    SELECT
        @user_id::text[] AS user_id,
        @session_id::text[] AS session_id,
        @after_time::timestamptz[] AS after_time,
        @after_id::text[] AS after_id
),
input AS (
    SELECT each.*
    FROM
        given,
        ROWS FROM (
            unnest(given.user_id),
            unnest(given.session_id),
            unnest(given.after_time),
            unnest(given.after_id)
        ) WITH ORDINALITY AS each (user_id, session_id, after_time, after_id, ordinal)
)
SELECT input.ordinal::bigint AS "ordinal!" FROM input
WHERE EXISTS (
    SELECT 1 FROM event AS e
    WHERE
        e.user_id = input.user_id
        AND e.session_id = input.session_id
        AND e.deleted_at IS NULL
        AND (coalesce(e.created_at, '-infinity'::timestamptz), e.id)
        > (coalesce(input.after_time, '-infinity'::timestamptz), input.after_id)
);

-- name: DeleteEvent :execrows
-- Mark an event of a user as deleted.
UPDATE event
SET deleted_at = statement_timestamp()
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;
