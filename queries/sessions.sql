-- Sessions: the conversations of a user with an agent. Their key is the id and the user together.
-- py: file

-- name: UpsertSession :one
-- Store a session; columns that are not set stay unchanged.
--
-- No row if the session is deleted: its id cannot be reused.
INSERT INTO session (id, user_id, name, agent_id, source, created_at, updated_at)
VALUES (
    @id,
    @user_id,
    sqlc.narg('name'),
    sqlc.narg('agent_id'),
    sqlc.narg('source'),
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (id, user_id) DO UPDATE SET
    name = CASE WHEN @set_name::boolean THEN excluded.name ELSE session.name END,
    agent_id = CASE WHEN @set_agent_id::boolean THEN excluded.agent_id ELSE session.agent_id END,
    source = CASE WHEN @set_source::boolean THEN excluded.source ELSE session.source END,
    updated_at = excluded.updated_at
WHERE session.deleted_at IS NULL
RETURNING *;

-- name: InsertSession :one
-- Store a new session.
--
-- No row if the user has a session with this id, deleted ones included.
INSERT INTO session (id, user_id, name, agent_id, source, created_at, updated_at)
VALUES (
    @id,
    @user_id,
    sqlc.narg('name'),
    sqlc.narg('agent_id'),
    sqlc.narg('source'),
    statement_timestamp(),
    statement_timestamp()
)
ON CONFLICT (id, user_id) DO NOTHING
RETURNING *;

-- name: IsSessionDeleted :one
-- Return whether a user's session is deleted.
--
-- No row if the user never had a session with this id.
SELECT deleted_at IS NOT NULL AS is_deleted FROM session
WHERE id = @id AND user_id = @user_id;

-- name: GetSession :one
-- Return a user's session.
--
-- No row if the session is deleted.
-- py: lookup
SELECT * FROM session
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;

-- name: UpdateSession :one
-- Change the columns of a user's session that are set.
--
-- No row if the user has no such session, or it is deleted.
UPDATE session SET
    name = CASE WHEN @set_name::boolean THEN sqlc.narg('name') ELSE name END,
    agent_id = CASE WHEN @set_agent_id::boolean THEN sqlc.narg('agent_id') ELSE agent_id END,
    source = CASE WHEN @set_source::boolean THEN sqlc.narg('source') ELSE source END,
    updated_at = statement_timestamp()
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL
RETURNING *;

-- name: CountSessions :one
-- Count a user's sessions.
--
-- With an agent: the user's sessions with it, without those that an agent started.
SELECT count(*) AS sessions FROM session
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (
        sqlc.narg('agent_id')::text IS NULL
        OR (agent_id = sqlc.narg('agent_id') AND source IS DISTINCT FROM 'agent')
    );

-- name: ListSessionsByActivity :many
-- Return a user's sessions, most recently active first.
--
-- A page starts after the given position.
SELECT * FROM session
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (coalesce(updated_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: ListSessionsByCreation :many
-- Return a user's sessions, newest first.
--
-- A page starts after the given position.
SELECT * FROM session
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: ListAgentSessionsByActivity :many
-- Return a user's sessions with an agent, most recently active first.
--
-- Sessions that an agent started are left out. A page starts after the given position.
SELECT * FROM session
WHERE
    user_id = @user_id
    AND agent_id = @agent_id
    AND source IS DISTINCT FROM 'agent'
    AND deleted_at IS NULL
    AND (coalesce(updated_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: ListAgentSessionsByCreation :many
-- Return a user's sessions with an agent, newest first.
--
-- Sessions that an agent started are left out. A page starts after the given position.
SELECT * FROM session
WHERE
    user_id = @user_id
    AND agent_id = @agent_id
    AND source IS DISTINCT FROM 'agent'
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: ListAllAgentSessionsByActivity :many
-- Return all users' sessions with an agent, most recently active first.
--
-- Sessions that an agent started are left out. A page starts after the given position.
--
-- unscoped: for the operator of the agent
SELECT * FROM session
WHERE
    agent_id = @agent_id
    AND source IS DISTINCT FROM 'agent'
    AND deleted_at IS NULL
    AND (coalesce(updated_at, '-infinity'::timestamptz), id, user_id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id, @after_user_id)
ORDER BY coalesce(updated_at, '-infinity'::timestamptz) DESC, id DESC, user_id DESC
LIMIT sqlc.narg('limit');

-- name: ListAllAgentSessionsByCreation :many
-- Return all users' sessions with an agent, newest first.
--
-- Sessions that an agent started are left out. A page starts after the given position.
--
-- unscoped: for the operator of the agent
SELECT * FROM session
WHERE
    agent_id = @agent_id
    AND source IS DISTINCT FROM 'agent'
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id, user_id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id, @after_user_id)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC, user_id DESC
LIMIT sqlc.narg('limit');

-- name: DeleteSession :execrows
-- Mark a user's session as deleted; its id cannot be reused.
UPDATE session
SET deleted_at = statement_timestamp()
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;

-- name: ListIdleSessions :many
-- List the keys of the next sessions whose own rows are older than the retention, longest idle first.
--
-- Deleted sessions are included. Rows that belong to these sessions may be newer.
--
-- unscoped: retention applies to every user
-- py: row IdleSession
-- py: doc IdleSession A session whose own row is older than the retention.
-- py: doc IdleSession.last_used The time of the last activity as text, which may be -infinity.
SELECT s.id, s.user_id, greatest(s.updated_at, s.created_at)::text AS "last_used!" FROM session AS s
WHERE
    greatest(s.updated_at, s.created_at) < statement_timestamp() - @retention::interval
    AND (greatest(s.updated_at, s.created_at), s.id, s.user_id)
    > (CAST(@after_time::text AS timestamptz), @after_id::text, @after_user_id::text)
ORDER BY greatest(s.updated_at, s.created_at), s.id, s.user_id
LIMIT @batch_size::bigint;

-- name: LockExpiredSessions :many
-- Lock those of these sessions that were idle for longer than the retention, and return their keys.
--
-- Sessions that another transaction has locked are skipped. The CASE hides its conditions from the
-- planner, which would otherwise estimate that few sessions pass.
--
-- unscoped: retention applies to every user
-- py: row SessionKey
WITH given AS MATERIALIZED (
    SELECT unnest(@id::text[]) AS id, unnest(@user_id::text[]) AS user_id
)
SELECT s.id, s.user_id FROM session AS s
INNER JOIN given ON given.id = s.id AND given.user_id = s.user_id
WHERE
    greatest(s.updated_at, s.created_at) < statement_timestamp() - @retention::interval
    AND CASE
        WHEN
            (
                SELECT 1 FROM event AS e
                WHERE
                    e.user_id = s.user_id
                    AND e.session_id = s.id
                    AND greatest(e.updated_at, e.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM task AS t
                WHERE
                    t.session_id = s.id
                    AND (t.user_id = s.user_id OR t.user_id IS NULL)
                    AND greatest(t.updated_at, t.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM task AS t
                INNER JOIN push_notification AS p ON p.task_id = t.id
                WHERE
                    t.session_id = s.id
                    AND (t.user_id = s.user_id OR t.user_id IS NULL)
                    AND greatest(p.updated_at, p.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM lg_checkpoint AS c
                WHERE
                    c.user_id = s.user_id
                    AND c.thread_id = s.id
                    AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM lg_checkpoint_write AS w
                WHERE
                    w.user_id = s.user_id
                    AND w.thread_id = s.id
                    AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM crewai_agent_memory AS m
                WHERE
                    m.user_id = s.user_id
                    AND m.thread_id = s.id
                    AND greatest(m.updated_at, m.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM crewai_flow_state AS f
                WHERE
                    f.user_id = s.user_id
                    AND f.thread_id = s.id
                    AND greatest(f.updated_at, f.created_at) >= statement_timestamp() - @retention::interval
                LIMIT 1
            ) IS NULL
            AND (
                SELECT 1 FROM session_share AS h
                WHERE
                    h.user_id = s.user_id
                    AND h.session_id = s.id
                    AND (
                        h.created_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                        OR h.id IN (
                            SELECT a.share_id FROM session_share_access AS a
                            WHERE a.accessed_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                        )
                    )
                LIMIT 1
            ) IS NULL
            THEN true
        ELSE false
    END
FOR UPDATE OF s SKIP LOCKED;

-- name: LockTasksOfSessions :many
-- Lock the tasks of these sessions and return the sessions for which all tasks are locked.
--
-- The second condition on the ids gives the planner their number of rows: beside a session that has
-- most tasks, a join alone reads the whole table.
--
-- unscoped: retention applies to every user
-- py: row SessionKey
-- py: doc SessionKey The key of a session.
WITH given AS MATERIALIZED (
    SELECT unnest(@id::text[]) AS id, unnest(@user_id::text[]) AS user_id
),
locked AS MATERIALIZED (
    SELECT task.id FROM task
    INNER JOIN given
        ON
            task.session_id = given.id
            AND (task.user_id = given.user_id OR task.user_id IS NULL)
    WHERE task.session_id = any(@id::text[])
    FOR UPDATE OF task SKIP LOCKED
)
SELECT given.id::text AS "id!", given.user_id::text AS "user_id!" FROM given
WHERE
    (
        SELECT 1 FROM task
        WHERE
            task.session_id = given.id
            AND (task.user_id = given.user_id OR task.user_id IS NULL)
            AND task.id NOT IN (SELECT locked.id FROM locked)
        LIMIT 1
    ) IS NULL;

-- name: ListTasksOfSessions :many
-- Return the ids of the tasks of these sessions.
WITH given AS MATERIALIZED (
    SELECT unnest(@id::text[]) AS id, unnest(@user_id::text[]) AS user_id
)
SELECT task.id FROM task
INNER JOIN given ON task.session_id = given.id AND task.user_id = given.user_id
WHERE task.session_id = any(@id::text[]);

-- name: PruneRowsOfTasks :one
-- Delete the events and push notification configs of those of these tasks that no longer exist.
--
-- Run it after the statement that deletes tasks, on the tasks that existed before.
--
-- unscoped: retention applies to every user
-- py: one!
-- py: row PrunedTaskRows
-- py: doc PrunedTaskRows The numbers of removed events and push configs of tasks.
WITH pruned_configs AS (
    DELETE FROM agentrows_push_config AS config
    WHERE
        config.task_id = ANY(@task_id::text[])
        AND NOT EXISTS (SELECT 1 FROM task WHERE task.id = config.task_id)
    RETURNING 1
),
pruned_events AS (
    DELETE FROM agentrows_task_event AS event
    WHERE
        event.task_id = ANY(@task_id::text[])
        AND NOT EXISTS (SELECT 1 FROM task WHERE task.id = event.task_id)
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM pruned_events) AS events,
    (SELECT count(*) FROM pruned_configs) AS configs;

-- name: PruneSessions :one
-- Delete those of these sessions that are still idle, and all rows that belong to them.
--
-- Run it after LockExpiredSessions and LockTasksOfSessions in the same transaction: the snapshot of
-- a statement is older than the locks of that statement, so rows committed meanwhile would be left
-- behind, or deleted although they are new. A task without an owner belongs to a session that is
-- not newer, if only one user ever had the session id. If several users had the id, the task gets
-- an empty owner and stays hidden: the rows that prove the ambiguity are being deleted.
--
-- unscoped: retention applies to every user
-- py: row PrunedSessions
-- py: doc PrunedSessions The numbers of rows that a prune of sessions removed, by table.
-- py: doc PrunedSessions.sessions Idle sessions, deleted ones included.
-- py: doc PrunedSessions.tasks Tasks of these sessions; tasks with an ambiguous owner stay, hidden
-- py: doc PrunedSessions.tasks from all users.
-- py: doc PrunedSessions.push_notifications Push notification configs of these tasks.
-- py: doc PrunedSessions.checkpoint_values Values of channels of the LangGraph threads.
WITH given AS MATERIALIZED (
    SELECT unnest(@id::text[]) AS id, unnest(@user_id::text[]) AS user_id
),
expired AS MATERIALIZED (
    SELECT s.id, s.user_id, s.created_at FROM session AS s
    INNER JOIN given ON given.id = s.id AND given.user_id = s.user_id
    WHERE
        greatest(s.updated_at, s.created_at) < statement_timestamp() - @retention::interval
        AND CASE
            WHEN
                (
                    SELECT 1 FROM event AS e
                    WHERE
                        e.user_id = s.user_id
                        AND e.session_id = s.id
                        AND greatest(e.updated_at, e.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(t.updated_at, t.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    INNER JOIN push_notification AS p ON p.task_id = t.id
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(p.updated_at, p.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint AS c
                    WHERE
                        c.user_id = s.user_id
                        AND c.thread_id = s.id
                        AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint_write AS w
                    WHERE
                        w.user_id = s.user_id
                        AND w.thread_id = s.id
                        AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_agent_memory AS m
                    WHERE
                        m.user_id = s.user_id
                        AND m.thread_id = s.id
                        AND greatest(m.updated_at, m.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_flow_state AS f
                    WHERE
                        f.user_id = s.user_id
                        AND f.thread_id = s.id
                        AND greatest(f.updated_at, f.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM session_share AS h
                    WHERE
                        h.user_id = s.user_id
                        AND h.session_id = s.id
                        AND (
                            h.created_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            OR h.id IN (
                                SELECT a.share_id FROM session_share_access AS a
                                WHERE a.accessed_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            )
                        )
                    LIMIT 1
                ) IS NULL
                THEN true
            ELSE false
        END
),
pruned_tasks AS (
    DELETE FROM task USING expired
    WHERE
        task.session_id = expired.id
        AND (
            task.user_id = expired.user_id
            OR (
                task.user_id IS NULL
                AND coalesce(expired.created_at, '-infinity'::timestamptz)
                <= coalesce(task.created_at, '-infinity'::timestamptz)
                AND NOT EXISTS (
                    SELECT 1 FROM session AS other
                    WHERE other.id = expired.id AND other.user_id <> expired.user_id
                )
            )
        )
    RETURNING task.id
),
hidden_tasks AS (
    UPDATE task SET user_id = ''
    FROM expired
    WHERE
        task.session_id = expired.id
        AND task.user_id IS NULL
        AND EXISTS (
            SELECT 1 FROM session AS other
            WHERE other.id = expired.id AND other.user_id <> expired.user_id
        )
),
pruned_push_notifications AS (
    DELETE FROM push_notification
    WHERE task_id IN (SELECT id FROM pruned_tasks)
    RETURNING 1
),
pruned_events AS (
    DELETE FROM event USING expired
    WHERE
        event.session_id = expired.id AND event.user_id = expired.user_id
    RETURNING 1
),
pruned_checkpoints AS (
    DELETE FROM lg_checkpoint USING expired
    WHERE
        lg_checkpoint.thread_id = expired.id AND lg_checkpoint.user_id = expired.user_id
    RETURNING 1
),
pruned_checkpoint_writes AS (
    DELETE FROM lg_checkpoint_write USING expired
    WHERE
        lg_checkpoint_write.thread_id = expired.id
        AND lg_checkpoint_write.user_id = expired.user_id
    RETURNING 1
),
pruned_crewai_memories AS (
    DELETE FROM crewai_agent_memory USING expired
    WHERE
        crewai_agent_memory.thread_id = expired.id
        AND crewai_agent_memory.user_id = expired.user_id
    RETURNING 1
),
pruned_crewai_flow_states AS (
    DELETE FROM crewai_flow_state USING expired
    WHERE
        crewai_flow_state.thread_id = expired.id
        AND crewai_flow_state.user_id = expired.user_id
    RETURNING 1
),
pruned_shares AS (
    DELETE FROM session_share USING expired
    WHERE
        session_share.session_id = expired.id AND session_share.user_id = expired.user_id
    RETURNING 1
),
pruned_sessions AS (
    DELETE FROM session USING expired
    WHERE session.id = expired.id AND session.user_id = expired.user_id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM pruned_sessions) AS sessions,
    (SELECT count(*) FROM pruned_tasks) AS tasks,
    (SELECT count(*) FROM pruned_push_notifications) AS push_notifications,
    (SELECT count(*) FROM pruned_events) AS events,
    (SELECT count(*) FROM pruned_checkpoints) AS checkpoints,
    (SELECT count(*) FROM pruned_checkpoint_writes) AS checkpoint_writes,
    0::bigint AS checkpoint_values,
    (SELECT count(*) FROM pruned_crewai_memories) AS crewai_memories,
    (SELECT count(*) FROM pruned_crewai_flow_states) AS crewai_flow_states,
    (SELECT count(*) FROM pruned_shares) AS shares;

-- name: CountExpiredSessions :one
-- Count the rows that a prune would delete in total.
--
-- unscoped: retention applies to every user
-- py: row PrunedSessions
WITH expired AS MATERIALIZED (
    SELECT s.id, s.user_id, s.created_at FROM session AS s
    WHERE
        greatest(s.updated_at, s.created_at) < statement_timestamp() - @retention::interval
        AND CASE
            WHEN
                (
                    SELECT 1 FROM event AS e
                    WHERE
                        e.user_id = s.user_id
                        AND e.session_id = s.id
                        AND greatest(e.updated_at, e.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(t.updated_at, t.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    INNER JOIN push_notification AS p ON p.task_id = t.id
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(p.updated_at, p.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint AS c
                    WHERE
                        c.user_id = s.user_id
                        AND c.thread_id = s.id
                        AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint_write AS w
                    WHERE
                        w.user_id = s.user_id
                        AND w.thread_id = s.id
                        AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_agent_memory AS m
                    WHERE
                        m.user_id = s.user_id
                        AND m.thread_id = s.id
                        AND greatest(m.updated_at, m.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_flow_state AS f
                    WHERE
                        f.user_id = s.user_id
                        AND f.thread_id = s.id
                        AND greatest(f.updated_at, f.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM session_share AS h
                    WHERE
                        h.user_id = s.user_id
                        AND h.session_id = s.id
                        AND (
                            h.created_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            OR h.id IN (
                                SELECT a.share_id FROM session_share_access AS a
                                WHERE a.accessed_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            )
                        )
                    LIMIT 1
                ) IS NULL
                THEN true
            ELSE false
        END
),
expired_tasks AS MATERIALIZED (
    SELECT DISTINCT task.id FROM task, expired
    WHERE
        task.session_id = expired.id
        AND (
            task.user_id = expired.user_id
            OR (
                task.user_id IS NULL
                AND coalesce(expired.created_at, '-infinity'::timestamptz)
                <= coalesce(task.created_at, '-infinity'::timestamptz)
                AND NOT EXISTS (
                    SELECT 1 FROM session AS other
                    WHERE other.id = expired.id AND other.user_id <> expired.user_id
                )
            )
        )
)
SELECT
    (SELECT count(*) FROM expired) AS sessions,
    (SELECT count(*) FROM expired_tasks) AS tasks,
    (
        SELECT count(*) FROM push_notification
        WHERE task_id IN (SELECT id FROM expired_tasks)
    ) AS push_notifications,
    (
        SELECT count(*) FROM event, expired
        WHERE
            event.session_id = expired.id AND event.user_id = expired.user_id
    ) AS events,
    (
        SELECT count(*) FROM lg_checkpoint, expired
        WHERE
            lg_checkpoint.thread_id = expired.id AND lg_checkpoint.user_id = expired.user_id
    ) AS checkpoints,
    (
        SELECT count(*) FROM lg_checkpoint_write, expired
        WHERE
            lg_checkpoint_write.thread_id = expired.id
            AND lg_checkpoint_write.user_id = expired.user_id
    ) AS checkpoint_writes,
    0::bigint AS checkpoint_values,
    (
        SELECT count(*) FROM crewai_agent_memory, expired
        WHERE
            crewai_agent_memory.thread_id = expired.id
            AND crewai_agent_memory.user_id = expired.user_id
    ) AS crewai_memories,
    (
        SELECT count(*) FROM crewai_flow_state, expired
        WHERE
            crewai_flow_state.thread_id = expired.id
            AND crewai_flow_state.user_id = expired.user_id
    ) AS crewai_flow_states,
    (
        SELECT count(*) FROM session_share, expired
        WHERE
            session_share.session_id = expired.id AND session_share.user_id = expired.user_id
    ) AS shares;

-- name: CountValuesOfExpiredSessions :one
-- Count the values of LangGraph channels that a prune would delete.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT s.id, s.user_id, s.created_at FROM session AS s
    WHERE
        greatest(s.updated_at, s.created_at) < statement_timestamp() - @retention::interval
        AND CASE
            WHEN
                (
                    SELECT 1 FROM event AS e
                    WHERE
                        e.user_id = s.user_id
                        AND e.session_id = s.id
                        AND greatest(e.updated_at, e.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(t.updated_at, t.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM task AS t
                    INNER JOIN push_notification AS p ON p.task_id = t.id
                    WHERE
                        t.session_id = s.id
                        AND (t.user_id = s.user_id OR t.user_id IS NULL)
                        AND greatest(p.updated_at, p.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint AS c
                    WHERE
                        c.user_id = s.user_id
                        AND c.thread_id = s.id
                        AND greatest(c.updated_at, c.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM lg_checkpoint_write AS w
                    WHERE
                        w.user_id = s.user_id
                        AND w.thread_id = s.id
                        AND greatest(w.updated_at, w.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_agent_memory AS m
                    WHERE
                        m.user_id = s.user_id
                        AND m.thread_id = s.id
                        AND greatest(m.updated_at, m.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM crewai_flow_state AS f
                    WHERE
                        f.user_id = s.user_id
                        AND f.thread_id = s.id
                        AND greatest(f.updated_at, f.created_at) >= statement_timestamp() - @retention::interval
                    LIMIT 1
                ) IS NULL
                AND (
                    SELECT 1 FROM session_share AS h
                    WHERE
                        h.user_id = s.user_id
                        AND h.session_id = s.id
                        AND (
                            h.created_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            OR h.id IN (
                                SELECT a.share_id FROM session_share_access AS a
                                WHERE a.accessed_at AT TIME ZONE 'UTC' >= statement_timestamp() - @retention::interval
                            )
                        )
                    LIMIT 1
                ) IS NULL
                THEN true
            ELSE false
        END
)
SELECT count(*) AS checkpoint_values FROM agentrows_checkpoint_blob AS b, expired
WHERE b.thread_id = expired.id AND b.user_id = expired.user_id;
