-- Sessions of applications: a session with its state, in steps that have versions.
--
-- An application is the agent of its sessions, and compares names exactly. Two applications may use
-- the same id for a user: the row of the later session then has the id, U+001F and the application.
-- py: file

-- name: CreateAppSession :one
-- Store a new session of an application with its state, and return it.
--
-- No row if the user has a session of this application with this id, deleted ones included. The key
-- of the state is inserted first: of two callers with the same id, the later one waits for it.
-- py: row AppSession
-- py: doc AppSession A session of an application, with the states that the application reads.
-- py: doc AppSession.id The id that the application uses; unique for the user and the application.
-- py: doc AppSession.version The number of changes of the session, which the next event passes; 0
-- py: doc AppSession.version for a session of another program, without a state.
-- py: doc AppSession.last_event_at The time of the last event by the clock of the application, in
-- py: doc AppSession.last_event_at seconds since 1970.
-- py: doc AppSession.state The state of the session alone.
-- py: doc AppSession.user_state The state that all sessions of the user share.
-- py: doc AppSession.app_state The state that all sessions of the application share.
-- py: doc AppSession.events The data of the events that were read, oldest first.
WITH own AS (
    INSERT INTO agentrows_session_state (
        user_id, app_name, session_id, state, version, last_event_at
    )
    SELECT
        @user_id::text,
        @app_name::text,
        @id::text,
        @state::jsonb,
        1,
        @last_event_at::float8
    WHERE NOT EXISTS (
        SELECT 1 FROM session AS other
        WHERE
            other.user_id = @user_id::text
            AND other.id IN (@id::text, @id::text || E'\x1f' || @app_name::text)
            AND other.agent_id = @app_name::text
    )
    ON CONFLICT (user_id, session_id, app_name) DO NOTHING
    RETURNING user_id, app_name, session_id, state, version, last_event_at
),
plain AS (
    INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
    SELECT
        own.session_id,
        own.user_id,
        own.app_name,
        statement_timestamp(),
        statement_timestamp()
    FROM own
    ON CONFLICT (id, user_id) DO NOTHING
    RETURNING id
),
qualified AS (
    INSERT INTO session (id, user_id, agent_id, created_at, updated_at)
    SELECT
        own.session_id || E'\x1f' || own.app_name,
        own.user_id,
        own.app_name,
        statement_timestamp(),
        statement_timestamp()
    FROM own
    WHERE NOT EXISTS (SELECT 1 FROM plain)
),
of_user AS (
    INSERT INTO agentrows_user_state AS shared (user_id, app_name, state)
    SELECT
        own.user_id,
        own.app_name,
        @user_state::jsonb
    FROM own
    WHERE @user_state::jsonb <> '{}'::jsonb
    ON CONFLICT (user_id, app_name) DO UPDATE SET state = shared.state || excluded.state
    RETURNING shared.state
),
of_app AS (
    INSERT INTO agentrows_app_state AS shared (app_name, state)
    SELECT
        own.app_name,
        @app_state::jsonb
    FROM own
    WHERE @app_state::jsonb <> '{}'::jsonb
    ON CONFLICT (app_name) DO UPDATE SET state = shared.state || excluded.state
    RETURNING shared.state
)
SELECT
    own.session_id AS id,
    own.user_id,
    own.version,
    own.last_event_at,
    own.state,
    coalesce(
        (SELECT of_user.state FROM of_user),
        (
            SELECT shared.state FROM agentrows_user_state AS shared
            WHERE shared.user_id = @user_id::text AND shared.app_name = @app_name::text
        ),
        '{}'::jsonb
    ) AS "user_state!",
    coalesce(
        (SELECT of_app.state FROM of_app),
        (
            SELECT shared.state FROM agentrows_app_state AS shared
            WHERE shared.app_name = @app_name::text
        ),
        '{}'::jsonb
    ) AS "app_state!",
    ARRAY[]::text[] AS "events!"
FROM own;

-- name: IsAppSessionDeleted :one
-- Return whether a user's session of an application is deleted.
--
-- No row if the application has no session with this id.
SELECT deleted_at IS NOT NULL AS is_deleted FROM session
WHERE
    user_id = @user_id
    AND id IN (@id::text, @id::text || E'\x1f' || @app_name)
    AND agent_id = @app_name
ORDER BY id DESC
LIMIT 1;

-- name: DeleteOrphanedStates :execrows
-- Delete the states of a user's sessions with this id that are stored no more.
--
-- A program that does not use the table of the states may have removed the sessions.
DELETE FROM agentrows_session_state AS s
WHERE
    s.user_id = @user_id::text
    AND s.session_id = @session_id::text
    AND NOT EXISTS (
        SELECT 1 FROM session
        WHERE
            session.user_id = @user_id::text
            AND session.id IN (s.session_id, s.session_id || E'\x1f' || s.app_name)
            AND session.agent_id = s.app_name
    );

-- name: DeletePrunedStates :execrows
-- Delete the states of those of these sessions that are stored no more.
WITH given AS MATERIALIZED (
    SELECT
        split_part(each.id, E'\x1f', 1) AS session_id,
        each.user_id
    FROM ROWS FROM (unnest(@id::text[]), unnest(@user_id::text[])) AS each (id, user_id)
)
DELETE FROM agentrows_session_state AS s
USING given
WHERE
    s.user_id = given.user_id
    AND s.session_id = given.session_id
    AND NOT EXISTS (
        SELECT 1 FROM session
        WHERE
            session.user_id = s.user_id
            AND session.id IN (s.session_id, s.session_id || E'\x1f' || s.app_name)
            AND session.agent_id = s.app_name
    );

-- name: GetAppSession :one
-- Return a user's session of an application with its states and its last events, oldest first.
--
-- No row if the session is deleted. All of its events are returned without `last`.
-- py: row AppSession
WITH kept AS MATERIALIZED (
    SELECT id, user_id, updated_at FROM session
    WHERE
        user_id = @user_id::text
        AND id IN (@id::text, @id::text || E'\x1f' || @app_name::text)
        AND agent_id = @app_name::text
        AND deleted_at IS NULL
    ORDER BY id DESC
    LIMIT 1
),
own AS (
    SELECT state, version, last_event_at FROM agentrows_session_state
    WHERE
        user_id = @user_id::text
        AND app_name = @app_name::text
        AND session_id = @id::text
)
SELECT
    @id::text AS "id!",
    kept.user_id,
    coalesce(own.version, 0)::bigint AS "version!",
    coalesce(own.last_event_at, extract(epoch FROM kept.updated_at)::float8, 0)::float8 AS "last_event_at!",
    coalesce(own.state, '{}'::jsonb) AS "state!",
    coalesce((
        SELECT shared.state FROM agentrows_user_state AS shared
        WHERE shared.user_id = @user_id::text AND shared.app_name = @app_name::text
    ), '{}'::jsonb) AS "user_state!",
    coalesce((
        SELECT shared.state FROM agentrows_app_state AS shared
        WHERE shared.app_name = @app_name::text
    ), '{}'::jsonb) AS "app_state!",
    coalesce((
        SELECT array_agg(tail.data ORDER BY tail.stored_at, tail.id)
        FROM (
            SELECT
                e.data,
                e.id,
                coalesce(e.created_at, '-infinity'::timestamptz) AS stored_at
            FROM event AS e
            WHERE
                e.user_id = @user_id::text
                AND e.session_id = kept.id
                AND e.deleted_at IS NULL
            ORDER BY coalesce(e.created_at, '-infinity'::timestamptz) DESC, e.id DESC
            LIMIT sqlc.narg('last')
        ) AS tail
    ), ARRAY[]::text[])::text[] AS "events!"
FROM kept
LEFT JOIN own ON true;

-- name: ListAppSessions :many
-- Return a user's sessions of an application with their states, least recently active first.
--
-- A page starts after the given position.
-- py: row AppSession
WITH kept AS (
    SELECT
        split_part(id, E'\x1f', 1) AS id,
        user_id,
        updated_at
    FROM session
    WHERE user_id = @user_id::text AND agent_id = @app_name::text AND deleted_at IS NULL
),
own AS (
    SELECT session_id, state, version, last_event_at FROM agentrows_session_state
    WHERE user_id = @user_id::text AND app_name = @app_name::text
)
SELECT
    kept.id AS "id!",
    kept.user_id,
    coalesce(own.version, 0)::bigint AS "version!",
    coalesce(own.last_event_at, extract(epoch FROM kept.updated_at)::float8, 0)::float8 AS "last_event_at!",
    coalesce(own.state, '{}'::jsonb) AS "state!",
    coalesce((
        SELECT shared.state FROM agentrows_user_state AS shared
        WHERE shared.user_id = @user_id::text AND shared.app_name = @app_name::text
    ), '{}'::jsonb) AS "user_state!",
    coalesce((
        SELECT shared.state FROM agentrows_app_state AS shared
        WHERE shared.app_name = @app_name::text
    ), '{}'::jsonb) AS "app_state!",
    ARRAY[]::text[] AS "events!"
FROM kept
LEFT JOIN own ON own.session_id = kept.id
WHERE
    (coalesce(own.last_event_at, extract(epoch FROM kept.updated_at)::float8, 0), kept.id COLLATE "C")
    > (@after_time::float8, @after_id::text)
ORDER BY
    coalesce(own.last_event_at, extract(epoch FROM kept.updated_at)::float8, 0),
    kept.id COLLATE "C"
LIMIT sqlc.narg('limit');

-- name: ListAllAppSessions :many
-- Return all users' sessions of an application with their states, least recently active first.
--
-- A page starts after the given position.
--
-- unscoped: for the operator of the application
-- py: row AppSession
SELECT
    split_part(session.id, E'\x1f', 1) AS "id!",
    session.user_id,
    coalesce(own.version, 0)::bigint AS "version!",
    coalesce(own.last_event_at, extract(epoch FROM session.updated_at)::float8, 0)::float8 AS "last_event_at!",
    coalesce(own.state, '{}'::jsonb) AS "state!",
    coalesce(shared.state, '{}'::jsonb) AS "user_state!",
    coalesce((
        SELECT a.state FROM agentrows_app_state AS a
        WHERE a.app_name = @app_name::text
    ), '{}'::jsonb) AS "app_state!",
    ARRAY[]::text[] AS "events!"
FROM session
LEFT JOIN agentrows_session_state AS own
    ON
        own.user_id = session.user_id
        AND own.app_name = session.agent_id
        AND own.session_id = split_part(session.id, E'\x1f', 1)
LEFT JOIN agentrows_user_state AS shared
    ON shared.user_id = session.user_id AND shared.app_name = session.agent_id
WHERE
    session.agent_id = @app_name::text AND session.deleted_at IS NULL
    AND (
        coalesce(own.last_event_at, extract(epoch FROM session.updated_at)::float8, 0),
        session.user_id COLLATE "C",
        split_part(session.id, E'\x1f', 1) COLLATE "C"
    ) > (@after_time::float8, @after_user_id::text, @after_id::text)
ORDER BY
    coalesce(own.last_event_at, extract(epoch FROM session.updated_at)::float8, 0),
    session.user_id COLLATE "C",
    split_part(session.id, E'\x1f', 1) COLLATE "C"
LIMIT sqlc.narg('limit');

-- name: FindUserState :one
-- Return the state that all sessions of a user with an application share.
SELECT state FROM agentrows_user_state
WHERE user_id = @user_id AND app_name = @app_name;

-- name: AppendAppEvent :one
-- Store an event at the end of a session with the values that it sets, and return the new version.
--
-- No row, and nothing is stored, if the session is at another version, has an event with this id, or
-- does not exist. The session is locked first; the version is then compared in the update, which
-- reads the newest row, and the clock is read after the lock, so that events are in the order of
-- their arrival. The time of the event follows that of the last one, even after the clock was set
-- back. The row of the event has its id, U+001F and the session if another session of the
-- user has an event with the id. The shared states are last: they are locked for the shortest time.
-- `base_state` is the state of a session of another program (version 0). The CASE leaves the stored
-- bytes of a large state in place if the event sets no value. With `notify` the commit sends the
-- digest of the session on the channel `agentrows_event`.
WITH locked AS MATERIALIZED (
    SELECT id, user_id, updated_at FROM session
    WHERE
        user_id = @user_id::text
        AND id IN (@session_id::text, @session_id::text || E'\x1f' || @app_name::text)
        AND agent_id = @app_name::text
        AND deleted_at IS NULL
    ORDER BY id DESC
    LIMIT 1
    FOR NO KEY UPDATE
),
own AS (
    INSERT INTO agentrows_session_state AS s (
        user_id, app_name, session_id, state, version, last_event_at
    )
    SELECT
        locked.user_id,
        @app_name::text,
        @session_id::text,
        @base_state::jsonb || @state::jsonb,
        1,
        @occurred_at::float8
    FROM locked
    WHERE
        (
            @version::bigint = 0
            OR EXISTS (
                SELECT 1 FROM agentrows_session_state AS stored
                WHERE
                    stored.user_id = @user_id::text
                    AND stored.app_name = @app_name::text
                    AND stored.session_id = @session_id::text
            )
        )
        AND NOT EXISTS (
            SELECT 1 FROM event AS e
            WHERE
                e.user_id = @user_id::text
                AND e.id IN (@id::text, @id::text || E'\x1f' || locked.id)
                AND e.session_id = locked.id
        )
    ON CONFLICT (user_id, session_id, app_name) DO UPDATE SET
        state = CASE WHEN @state::jsonb = '{}'::jsonb THEN s.state ELSE s.state || @state::jsonb END,
        version = s.version + 1,
        last_event_at = excluded.last_event_at
    WHERE s.version = @version::bigint
    RETURNING s.version
),
clock AS MATERIALIZED (
    SELECT
        locked.id AS session_id,
        locked.user_id,
        own.version,
        greatest(
            clock_timestamp(),
            locked.updated_at + interval '1 microsecond',
            (
                SELECT last.created_at FROM event AS last
                WHERE
                    last.user_id = locked.user_id
                    AND last.session_id = locked.id
                    AND coalesce(last.created_at, '-infinity'::timestamptz)
                    < '9999-01-01 00:00:00+00'::timestamptz
                ORDER BY coalesce(last.created_at, '-infinity'::timestamptz) DESC, last.id DESC
                LIMIT 1
            ) + interval '1 microsecond'
        ) AS now
    FROM own, locked
),
touched AS (
    UPDATE session
    SET updated_at = clock.now
    FROM clock
    WHERE session.id = clock.session_id AND session.user_id = clock.user_id
),
plain AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT
        @id::text,
        clock.user_id,
        clock.session_id,
        @data::text,
        clock.now,
        clock.now
    FROM clock
    ON CONFLICT (id, user_id) DO NOTHING
    RETURNING id
),
qualified AS (
    INSERT INTO event (id, user_id, session_id, data, created_at, updated_at)
    SELECT
        @id::text || E'\x1f' || clock.session_id,
        clock.user_id,
        clock.session_id,
        @data::text,
        clock.now,
        clock.now
    FROM clock
    WHERE NOT EXISTS (SELECT 1 FROM plain)
),
of_user AS (
    INSERT INTO agentrows_user_state AS shared (user_id, app_name, state)
    SELECT
        clock.user_id,
        @app_name::text,
        @user_state::jsonb
    FROM clock
    WHERE @user_state::jsonb <> '{}'::jsonb
    ON CONFLICT (user_id, app_name) DO UPDATE SET state = shared.state || excluded.state
),
of_app AS (
    INSERT INTO agentrows_app_state AS shared (app_name, state)
    SELECT
        @app_name::text,
        @app_state::jsonb
    FROM clock
    WHERE @app_state::jsonb <> '{}'::jsonb
    ON CONFLICT (app_name) DO UPDATE SET state = shared.state || excluded.state
)
SELECT clock.version FROM clock
WHERE CASE
    WHEN @notify::boolean
        THEN pg_notify(
            'agentrows_event',
            encode(sha256(convert_to(jsonb_build_array(
                (
                    SELECT c.relnamespace::regnamespace::text FROM pg_catalog.pg_class AS c
                    WHERE c.oid = to_regclass('event')
                ),
                clock.user_id,
                clock.session_id
            )::text, 'UTF8')), 'hex')
        )::text IS NOT NULL
    ELSE true
END;

-- name: CompareAppEvent :one
-- Return the version of a session, and whether an event is stored in it, with the same data.
--
-- No row if the session does not exist, or is deleted.
-- py: row AppEventComparison
-- py: doc AppEventComparison The stored facts about an event that was not appended.
WITH kept AS MATERIALIZED (
    SELECT id FROM session
    WHERE
        user_id = @user_id::text
        AND id IN (@session_id::text, @session_id::text || E'\x1f' || @app_name::text)
        AND agent_id = @app_name::text
        AND deleted_at IS NULL
    ORDER BY id DESC
    LIMIT 1
),
stored AS (
    SELECT e.data FROM event AS e, kept
    WHERE
        e.user_id = @user_id::text
        AND e.id IN (@id::text, @id::text || E'\x1f' || kept.id)
        AND e.session_id = kept.id
)
SELECT
    coalesce((
        SELECT s.version FROM agentrows_session_state AS s
        WHERE
            s.user_id = @user_id::text
            AND s.app_name = @app_name::text
            AND s.session_id = @session_id::text
    ), 0)::bigint AS "version!",
    EXISTS (SELECT 1 FROM stored)::boolean AS "is_stored!",
    EXISTS (SELECT 1 FROM stored WHERE stored.data = @data::text)::boolean AS "is_same!"
FROM kept;

-- name: ListAppSessionKeys :many
-- Return the ids of the rows of a user's session of an application, deleted ones included.
SELECT id FROM session
WHERE
    user_id = @user_id
    AND id IN (@id::text, @id::text || E'\x1f' || @app_name)
    AND agent_id = @app_name;

-- name: LockTasksOfSession :many
-- Wait for concurrent writers of the tasks of a user's session, lock the tasks and return their ids.
--
-- Lock tasks before sessions, which is the order of the writers.
--
-- unscoped: a task without an owner may be the user's
SELECT task.id FROM task
WHERE
    task.session_id = @session_id
    AND (task.user_id = @user_id OR task.user_id IS NULL)
ORDER BY task.id
FOR UPDATE;

-- name: LockSession :one
-- Wait for concurrent writers of a user's session, and lock the session.
--
-- The next statement then sees the rows that these writers committed.
SELECT count(*) AS locked
FROM (
    SELECT id FROM session
    WHERE id = @id AND user_id = @user_id
    FOR UPDATE
) AS locked;

-- name: PurgeSession :one
-- Delete a user's session and all rows that belong to it.
--
-- Run it after LockTasksOfSession and LockSession in the same transaction. Rows of a session that is
-- stored no more are deleted as well. Tasks without an owner follow the rule of PruneSessions. Of
-- the tasks only those with the given ids are deleted: a task that is stored later, with events and
-- configs of its own, stays whole.
--
-- unscoped hidden: a task that may be the user's is hidden from all users
-- unscoped other: the owner of a task depends on the other users of its session id
-- py: row PrunedSessions
WITH purged AS (
    DELETE FROM session
    WHERE session.id = @id::text AND session.user_id = @user_id::text
    RETURNING session.id, session.user_id, session.created_at
),
purged_tasks AS (
    DELETE FROM task
    WHERE
        task.session_id = @id::text
        AND task.id = ANY(@task_id::text[])
        AND (
            task.user_id = @user_id::text
            OR (task.user_id IS NULL AND EXISTS (
                SELECT 1 FROM session AS s
                WHERE s.id = task.session_id
                HAVING
                    count(*) = 1
                    AND min(s.user_id) = @user_id::text
                    AND min(coalesce(s.created_at, '-infinity'::timestamptz))
                    <= coalesce(task.created_at, '-infinity'::timestamptz)
            ))
        )
    RETURNING task.id
),
hidden_tasks AS (
    UPDATE task AS hidden SET user_id = ''
    FROM purged
    WHERE
        hidden.session_id = purged.id
        AND hidden.user_id IS NULL
        AND (
            coalesce(purged.created_at, '-infinity'::timestamptz)
            > coalesce(hidden.created_at, '-infinity'::timestamptz)
            OR EXISTS (
                SELECT 1 FROM session AS other
                WHERE other.id = purged.id AND other.user_id <> purged.user_id
            )
        )
),
purged_push_notifications AS (
    DELETE FROM push_notification
    WHERE task_id IN (SELECT id FROM purged_tasks)
    RETURNING 1
),
purged_events AS (
    DELETE FROM event
    WHERE event.user_id = @user_id::text AND event.session_id = @id::text
    RETURNING 1
),
purged_checkpoints AS (
    DELETE FROM lg_checkpoint
    WHERE lg_checkpoint.user_id = @user_id::text AND lg_checkpoint.thread_id = @id::text
    RETURNING 1
),
purged_checkpoint_writes AS (
    DELETE FROM lg_checkpoint_write
    WHERE lg_checkpoint_write.user_id = @user_id::text AND lg_checkpoint_write.thread_id = @id::text
    RETURNING 1
),
purged_crewai_memories AS (
    DELETE FROM crewai_agent_memory
    WHERE crewai_agent_memory.user_id = @user_id::text AND crewai_agent_memory.thread_id = @id::text
    RETURNING 1
),
purged_crewai_flow_states AS (
    DELETE FROM crewai_flow_state
    WHERE crewai_flow_state.user_id = @user_id::text AND crewai_flow_state.thread_id = @id::text
    RETURNING 1
),
purged_shares AS (
    DELETE FROM session_share
    WHERE session_share.user_id = @user_id::text AND session_share.session_id = @id::text
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM purged) AS sessions,
    (SELECT count(*) FROM purged_tasks) AS tasks,
    (SELECT count(*) FROM purged_push_notifications) AS push_notifications,
    (SELECT count(*) FROM purged_events) AS events,
    (SELECT count(*) FROM purged_checkpoints) AS checkpoints,
    (SELECT count(*) FROM purged_checkpoint_writes) AS checkpoint_writes,
    0::bigint AS checkpoint_values,
    (SELECT count(*) FROM purged_crewai_memories) AS crewai_memories,
    (SELECT count(*) FROM purged_crewai_flow_states) AS crewai_flow_states,
    (SELECT count(*) FROM purged_shares) AS shares;
