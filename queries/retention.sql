-- Retention: removal of rows that are old, expired or marked as deleted, in batches.
--
-- Keys pass through unnest, and conditions have LIMIT 1, because a plan for any batch size would
-- otherwise read whole tables.
--
-- A statement that locks reads no other table. Where other tables decide, the locks are a statement
-- of their own, and the statement that deletes checks all conditions again in a newer snapshot.
-- py: file

-- name: PruneDeletedAgents :execrows
-- Delete agents that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
WITH expired AS MATERIALIZED (
    SELECT id FROM agent
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
)
DELETE FROM agent AS agent
WHERE agent.id = ANY(ARRAY(SELECT expired.id FROM expired));

-- name: PruneDeletedTools :execrows
-- Delete tools that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
WITH expired AS MATERIALIZED (
    SELECT id, server_name, group_kind FROM tool
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.id FROM expired)) AS id,
        unnest(ARRAY(SELECT expired.server_name FROM expired)) AS server_name,
        unnest(ARRAY(SELECT expired.group_kind FROM expired)) AS group_kind
)
DELETE FROM tool AS tool USING given
WHERE
    tool.id = given.id
    AND tool.server_name = given.server_name
    AND tool.group_kind = given.group_kind;

-- name: PruneDeletedToolServers :execrows
-- Delete tool servers that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
WITH expired AS MATERIALIZED (
    SELECT name, group_kind FROM toolserver
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.name FROM expired)) AS name,
        unnest(ARRAY(SELECT expired.group_kind FROM expired)) AS group_kind
)
DELETE FROM toolserver AS server USING given
WHERE
    server.name = given.name
    AND server.group_kind = given.group_kind;

-- name: PruneDeletedEvents :execrows
-- Delete events that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT id, user_id FROM event
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.id FROM expired)) AS id,
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id
)
DELETE FROM event AS e USING given
WHERE
    e.id = given.id
    AND e.user_id = given.user_id;

-- name: PruneDeletedPushNotifications :execrows
-- Delete push notifications that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT id FROM push_notification
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
)
DELETE FROM push_notification AS config
WHERE config.id = ANY(ARRAY(SELECT expired.id FROM expired));

-- name: PruneDeletedCrewMemories :execrows
-- Delete CrewAI memories that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT user_id, thread_id FROM crewai_agent_memory
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id,
        unnest(ARRAY(SELECT expired.thread_id FROM expired)) AS thread_id
)
DELETE FROM crewai_agent_memory AS m USING given
WHERE
    m.user_id = given.user_id
    AND m.thread_id = given.thread_id;

-- name: PruneDeletedFlowStates :execrows
-- Delete CrewAI flow states that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT user_id, thread_id, method_name FROM crewai_flow_state
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id,
        unnest(ARRAY(SELECT expired.thread_id FROM expired)) AS thread_id,
        unnest(ARRAY(SELECT expired.method_name FROM expired)) AS method_name
)
DELETE FROM crewai_flow_state AS f USING given
WHERE
    f.user_id = given.user_id
    AND f.thread_id = given.thread_id
    AND f.method_name = given.method_name;

-- name: PruneDeletedCheckpoints :many
-- Delete checkpoints that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
-- py: row ThreadKey
WITH expired AS MATERIALIZED (
    SELECT user_id, thread_id, checkpoint_ns, checkpoint_id FROM lg_checkpoint
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id,
        unnest(ARRAY(SELECT expired.thread_id FROM expired)) AS thread_id,
        unnest(ARRAY(SELECT expired.checkpoint_ns FROM expired)) AS checkpoint_ns,
        unnest(ARRAY(SELECT expired.checkpoint_id FROM expired)) AS checkpoint_id
)
DELETE FROM lg_checkpoint AS c USING given
WHERE
    c.user_id = given.user_id
    AND c.thread_id = given.thread_id
    AND c.checkpoint_ns = given.checkpoint_ns
    AND c.checkpoint_id = given.checkpoint_id
RETURNING c.user_id, c.thread_id;

-- name: PruneDeletedCheckpointWrites :execrows
-- Delete checkpoint writes that were marked as deleted before the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT user_id, thread_id, checkpoint_ns, checkpoint_id, write_idx FROM lg_checkpoint_write
    WHERE deleted_at < statement_timestamp() - @retention::interval
    ORDER BY deleted_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id,
        unnest(ARRAY(SELECT expired.thread_id FROM expired)) AS thread_id,
        unnest(ARRAY(SELECT expired.checkpoint_ns FROM expired)) AS checkpoint_ns,
        unnest(ARRAY(SELECT expired.checkpoint_id FROM expired)) AS checkpoint_id,
        unnest(ARRAY(SELECT expired.write_idx FROM expired)) AS write_idx
)
DELETE FROM lg_checkpoint_write AS w USING given
WHERE
    w.user_id = given.user_id
    AND w.thread_id = given.thread_id
    AND w.checkpoint_ns = given.checkpoint_ns
    AND w.checkpoint_id = given.checkpoint_id
    AND w.write_idx = given.write_idx;

-- name: CountDeletedRows :one
-- Count the rows that were marked as deleted before the retention.
--
-- unscoped: retention applies to every user
-- py: one!
-- py: row DeletedRows
-- py: doc DeletedRows The numbers of rows that were marked as deleted before a retention, by table.
SELECT
    (SELECT count(*) FROM agent WHERE agent.deleted_at < statement_timestamp() - @retention::interval) AS agent,
    (SELECT count(*) FROM tool WHERE tool.deleted_at < statement_timestamp() - @retention::interval) AS tool,
    (SELECT count(*) FROM toolserver WHERE toolserver.deleted_at < statement_timestamp() - @retention::interval) AS toolserver,
    (SELECT count(*) FROM event WHERE event.deleted_at < statement_timestamp() - @retention::interval) AS event,
    (SELECT count(*) FROM push_notification WHERE push_notification.deleted_at < statement_timestamp() - @retention::interval) AS push_notification,
    (SELECT count(*) FROM crewai_agent_memory WHERE crewai_agent_memory.deleted_at < statement_timestamp() - @retention::interval) AS crewai_agent_memory,
    (SELECT count(*) FROM crewai_flow_state WHERE crewai_flow_state.deleted_at < statement_timestamp() - @retention::interval) AS crewai_flow_state,
    (SELECT count(*) FROM lg_checkpoint WHERE lg_checkpoint.deleted_at < statement_timestamp() - @retention::interval) AS lg_checkpoint,
    (SELECT count(*) FROM lg_checkpoint_write WHERE lg_checkpoint_write.deleted_at < statement_timestamp() - @retention::interval) AS lg_checkpoint_write;

-- name: PruneEventsWithoutSession :execrows
-- Delete events outside of sessions that are older than the retention, at most a batch.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT id, user_id FROM event
    WHERE session_id IS NULL
        AND greatest(updated_at, created_at) < statement_timestamp() - @retention::interval
    ORDER BY greatest(updated_at, created_at)
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.id FROM expired)) AS id,
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id
)
DELETE FROM event AS e USING given
WHERE
    e.id = given.id
    AND e.user_id = given.user_id;

-- name: CountEventsWithoutSession :one
-- Count the events outside of sessions that are older than the retention.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS events FROM event
WHERE session_id IS NULL AND greatest(updated_at, created_at) < statement_timestamp() - @retention::interval;

-- name: PruneFeedback :many
-- Delete feedback that is older than the retention, at most a batch, and return its ids.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT id FROM feedback
    WHERE greatest(updated_at, created_at) < statement_timestamp() - @retention::interval
    ORDER BY greatest(updated_at, created_at)
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
)
DELETE FROM feedback AS f
WHERE f.id = ANY(ARRAY(SELECT expired.id FROM expired))
RETURNING f.id;

-- name: PruneKeysOfFeedback :execrows
-- Delete the idempotency keys of these rows of feedback.
--
-- unscoped: retention applies to every user
DELETE FROM agentrows_feedback_key AS key WHERE key.feedback_id = ANY(@feedback_id::bigint[]);

-- name: PruneTargetsOfFeedback :execrows
-- Delete the targets of these rows of feedback.
--
-- unscoped: retention applies to every user
DELETE FROM agentrows_feedback_target AS target
WHERE target.feedback_id = ANY(@feedback_id::bigint[]);

-- name: PruneFeedbackTargets :execrows
-- Delete targets that are older than the retention, of feedback that is not stored, at most a batch.
--
-- The subquery with a limit makes the server look up each feedback, instead of reading the table.
--
-- unscoped: retention applies to every user
WITH absent AS MATERIALIZED (
    SELECT target.feedback_id, target.user_id FROM agentrows_feedback_target AS target
    WHERE
        target.created_at < statement_timestamp() - @retention::interval
        AND (SELECT feedback.id FROM feedback WHERE feedback.id = target.feedback_id LIMIT 1) IS NULL
    ORDER BY target.created_at
    LIMIT @batch_size::bigint
    FOR UPDATE OF target SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT absent.feedback_id FROM absent)) AS feedback_id,
        unnest(ARRAY(SELECT absent.user_id FROM absent)) AS user_id
)
DELETE FROM agentrows_feedback_target AS target USING given
WHERE
    target.feedback_id = given.feedback_id
    AND target.user_id = given.user_id;

-- name: CountAbsentFeedbackTargets :one
-- Count the targets that are older than the retention, of feedback that is not stored.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS targets FROM agentrows_feedback_target AS target
WHERE
    target.created_at < statement_timestamp() - @retention::interval
    AND (SELECT feedback.id FROM feedback WHERE feedback.id = target.feedback_id LIMIT 1) IS NULL;

-- name: CountTargetsOfOldFeedback :one
-- Count the targets of feedback that is older than the retention.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS targets
FROM feedback
INNER JOIN agentrows_feedback_target AS target ON target.feedback_id = feedback.id
WHERE
    greatest(feedback.updated_at, feedback.created_at)
    < statement_timestamp() - @retention::interval;

-- name: CountOldFeedback :one
-- Count the feedback that is older than the retention.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS feedback FROM feedback
WHERE greatest(updated_at, created_at) < statement_timestamp() - @retention::interval;

-- name: PruneFeedbackKeys :execrows
-- Delete idempotency keys that are older than the retention, at most a batch.
--
-- unscoped: retention applies to every user
WITH expired AS MATERIALIZED (
    SELECT user_id, idempotency_key FROM agentrows_feedback_key
    WHERE created_at < statement_timestamp() - @retention::interval
    ORDER BY created_at
    LIMIT @batch_size::bigint
    FOR UPDATE SKIP LOCKED
),
given AS MATERIALIZED (
    SELECT
        unnest(ARRAY(SELECT expired.user_id FROM expired)) AS user_id,
        unnest(ARRAY(SELECT expired.idempotency_key FROM expired)) AS idempotency_key
)
DELETE FROM agentrows_feedback_key AS key USING given
WHERE
    key.user_id = given.user_id
    AND key.idempotency_key = given.idempotency_key;

-- name: CountOldFeedbackKeys :one
-- Count the idempotency keys that are older than the retention.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS feedback_keys FROM agentrows_feedback_key
WHERE created_at < statement_timestamp() - @retention::interval;

-- name: CountExpiredMemories :one
-- Count the expired memories that a prune deletes or extends.
--
-- unscoped: expiry applies to every user
-- py: one!
-- py: row PrunedMemories
SELECT
    count(*) FILTER (WHERE coalesce(access_count, 0) < 10) AS deleted,
    count(*) FILTER (WHERE coalesce(access_count, 0) >= 10) AS extended
FROM memory
WHERE expires_at <= statement_timestamp();

-- name: CountExpiredOwnMemories :one
-- Count the expired memories of every model that a prune deletes or extends.
--
-- unscoped: expiry applies to every user
-- py: one!
-- py: row PrunedMemories
SELECT
    count(*) FILTER (WHERE access_count < 10) AS deleted,
    count(*) FILTER (WHERE access_count >= 10) AS extended
FROM agentrows_memory
WHERE expires_at <= statement_timestamp();

-- name: CountExpiredStoreItems :one
-- Count the expired store items.
--
-- unscoped: expiry applies to every user
-- py: one!
SELECT count(*) AS store_items FROM agentrows_store_item
WHERE expires_at <= statement_timestamp();

-- name: CountVectorsOfExpiredStoreItems :one
-- Count the vectors of the expired store items.
--
-- unscoped: expiry applies to every user
-- py: one!
SELECT count(*) AS store_vectors
FROM agentrows_store_item AS i
INNER JOIN agentrows_store_vector AS v
    ON v.user_id = i.user_id AND v.namespace = i.namespace AND v.key = i.key
WHERE i.expires_at <= statement_timestamp();

-- name: ListSessionsOfEvents :many
-- Return the next 100 sessions that events name, in the order of keys, and whether they are idle.
--
-- An idle one is not stored, and its newest event is older than the retention.
--
-- unscoped: retention applies to every user
-- py: row ListedSession
-- py: doc ListedSession A session that events name, and whether it is idle and not stored.
WITH RECURSIVE named AS (
    (
        SELECT e.user_id, e.session_id, 1 AS number FROM event AS e
        WHERE
            (e.user_id, e.session_id) > (@after_user_id::text, @after_session_id::text)
            AND e.session_id IS NOT NULL
        ORDER BY e.user_id, e.session_id
        LIMIT 1
    )
    UNION ALL
    SELECT next.user_id, next.session_id, named.number + 1
    FROM named
    CROSS JOIN LATERAL (
        SELECT e.user_id, e.session_id FROM event AS e
        WHERE
            (e.user_id, e.session_id) > (named.user_id, named.session_id)
            AND e.session_id IS NOT NULL
        ORDER BY e.user_id, e.session_id
        LIMIT 1
    ) AS next
    WHERE named.number < 100
)
SELECT
    named.user_id AS "user_id!",
    named.session_id AS "session_id!",
    coalesce((
        (
            SELECT 1 FROM session AS s WHERE s.user_id = named.user_id AND s.id = named.session_id LIMIT 1
        ) IS NULL
        AND (
            SELECT coalesce(newest.created_at, '-infinity'::timestamptz) FROM event AS newest
            WHERE newest.user_id = named.user_id AND newest.session_id = named.session_id
            ORDER BY coalesce(newest.created_at, '-infinity'::timestamptz) DESC, newest.id DESC
            LIMIT 1
        ) < statement_timestamp() - @retention::interval
    ), false) AS "is_idle!"
FROM named
ORDER BY named.number;

-- name: LockEventsOfSessions :many
-- Lock old events of these sessions, at most a batch, and return their keys.
--
-- Rows that another transaction has locked are skipped.
-- py: row EventKey
-- py: doc EventKey The key of an event.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@session_id::text[]) AS session_id
)
SELECT e.id, e.user_id FROM event AS e
INNER JOIN given ON given.user_id = e.user_id AND given.session_id = e.session_id
WHERE greatest(e.updated_at, e.created_at) < statement_timestamp() - @retention::interval
LIMIT @batch_size::bigint
FOR UPDATE OF e SKIP LOCKED;

-- name: PruneEventsOfSessions :execrows
-- Delete those of these events with a session that is still idle and not stored.
--
-- Run it after LockEventsOfSessions in the same transaction.
WITH given AS MATERIALIZED (
    SELECT unnest(@id::text[]) AS id, unnest(@user_id::text[]) AS user_id
)
DELETE FROM event AS e USING given
WHERE
    e.id = given.id
    AND e.user_id = given.user_id
    AND greatest(e.updated_at, e.created_at) < statement_timestamp() - @retention::interval
    AND (
        SELECT 1 FROM session AS s WHERE s.user_id = e.user_id AND s.id = e.session_id LIMIT 1
    ) IS NULL
    AND (
        SELECT coalesce(newest.created_at, '-infinity'::timestamptz) FROM event AS newest
        WHERE newest.user_id = e.user_id AND newest.session_id = e.session_id
        ORDER BY coalesce(newest.created_at, '-infinity'::timestamptz) DESC, newest.id DESC
        LIMIT 1
    ) < statement_timestamp() - @retention::interval;

-- name: CountEventsOfSessions :one
-- Count the old events of these sessions.
-- py: one!
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@session_id::text[]) AS session_id
)
SELECT count(*) AS events FROM event AS e
INNER JOIN given ON given.user_id = e.user_id AND given.session_id = e.session_id
WHERE greatest(e.updated_at, e.created_at) < statement_timestamp() - @retention::interval;

-- name: ListTasksByAge :many
-- Return the next tasks in the order of ids, and whether they can be removed.
--
-- These were marked as deleted before the retention, or are older than it and have no session. All of
-- their push notification configs are older too.
--
-- unscoped: retention applies to every user
-- py: row ListedTask
-- py: doc ListedTask A task, and whether it can be removed.
SELECT
    t.id,
    coalesce((
        (
            t.deleted_at < statement_timestamp() - @retention::interval
            OR (
                greatest(t.updated_at, t.created_at) < statement_timestamp() - @retention::interval
                AND (
                    SELECT 1 FROM session AS s
                    WHERE s.id = t.session_id AND (t.user_id IS NULL OR s.user_id = t.user_id)
                    LIMIT 1
                ) IS NULL
            )
        )
        AND (
            SELECT 1 FROM push_notification AS p
            WHERE
                p.task_id = t.id
                AND (greatest(p.updated_at, p.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
    ), false) AS "is_idle!"
FROM (
    SELECT task.id, task.session_id, task.user_id, task.created_at, task.updated_at, task.deleted_at
    FROM task
    WHERE task.id > @after_id::text
    ORDER BY task.id
    LIMIT @batch_size::bigint
) AS t
ORDER BY t.id;

-- name: LockTasks :many
-- Lock these tasks and return their ids.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
SELECT task.id FROM task WHERE task.id = ANY(@id::text[]) FOR UPDATE SKIP LOCKED;

-- name: ListTasksInUse :many
-- Return those of these tasks with an event or a push config within the retention.
--
-- unscoped: retention applies to every user
SELECT given.id::text AS "id!" FROM (SELECT unnest(@id::text[]) AS id) AS given
WHERE
    EXISTS (
        SELECT 1 FROM agentrows_task_event AS event
        WHERE event.task_id = given.id AND event.created_at >= statement_timestamp() - @retention::interval
    )
    OR EXISTS (
        SELECT 1 FROM agentrows_push_config AS config
        WHERE config.task_id = given.id AND config.created_at >= statement_timestamp() - @retention::interval
    );

-- name: PruneTasks :one
-- Delete those of these tasks that can still be removed, and their push notification configs.
--
-- Run it after LockTasks in the same transaction.
--
-- unscoped: retention applies to every user
-- py: one!
-- py: row PrunedTasks
-- py: doc PrunedTasks The numbers of removed tasks and push notification configs.
WITH pruned AS (
    DELETE FROM task AS t
    WHERE
        t.id = ANY(@id::text[])
        AND (
            t.deleted_at < statement_timestamp() - @retention::interval
            OR (
                greatest(t.updated_at, t.created_at) < statement_timestamp() - @retention::interval
                AND (
                    SELECT 1 FROM session AS s
                    WHERE s.id = t.session_id AND (t.user_id IS NULL OR s.user_id = t.user_id)
                    LIMIT 1
                ) IS NULL
            )
        )
        AND (
            SELECT 1 FROM push_notification AS p
            WHERE
                p.task_id = t.id
                AND (greatest(p.updated_at, p.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
    RETURNING t.id
),
pruned_configs AS (
    DELETE FROM push_notification AS p USING pruned
    WHERE p.task_id = pruned.id
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM pruned) AS tasks,
    (SELECT count(*) FROM pruned_configs) AS push_notifications;

-- name: CountRowsOfTasks :one
-- Count the push notification configs of these tasks.
--
-- unscoped: retention applies to every user
-- py: one!
SELECT count(*) AS push_notifications FROM push_notification AS p WHERE p.task_id = ANY(@id::text[]);

-- name: CountOwnRowsOfTasks :one
-- Count the events and push configs of these tasks.
--
-- unscoped: retention applies to every user
-- py: one!
-- py: row PrunedTaskRows
SELECT
    (
        SELECT count(*) FROM agentrows_task_event AS event WHERE event.task_id = ANY(@task_id::text[])
    ) AS events,
    (
        SELECT count(*) FROM agentrows_push_config AS config WHERE config.task_id = ANY(@task_id)
    ) AS configs;

-- name: ListPushNotificationsByAge :many
-- Return the next push notification configs in the order of ids, and whether they can be removed.
--
-- These are older than the retention, and their task is not stored.
--
-- unscoped: retention applies to every user
-- py: row ListedPushNotification
-- py: doc ListedPushNotification A push notification config, and whether it can be removed.
SELECT
    p.id,
    coalesce((
        greatest(p.updated_at, p.created_at) < statement_timestamp() - @retention::interval
        AND (SELECT 1 FROM task WHERE task.id = p.task_id LIMIT 1) IS NULL
    ), false) AS "is_idle!"
FROM (
    SELECT config.id, config.task_id, config.created_at, config.updated_at
    FROM push_notification AS config
    WHERE config.id > @after_id::text
    ORDER BY config.id
    LIMIT @batch_size::bigint
) AS p
ORDER BY p.id;

-- name: LockPushNotifications :many
-- Lock these push notification configs and return their ids.
--
-- Rows that another transaction has locked are skipped.
--
-- unscoped: retention applies to every user
SELECT p.id FROM push_notification AS p WHERE p.id = ANY(@id::text[]) FOR UPDATE SKIP LOCKED;

-- name: PrunePushNotifications :execrows
-- Delete those of these push notification configs that can still be removed.
--
-- Run it after LockPushNotifications in the same transaction.
--
-- unscoped: retention applies to every user
DELETE FROM push_notification AS p
WHERE
    p.id = ANY(@id::text[])
    AND greatest(p.updated_at, p.created_at) < statement_timestamp() - @retention::interval
    AND (SELECT 1 FROM task WHERE task.id = p.task_id LIMIT 1) IS NULL;

-- name: ListPushConfigsByAge :many
-- Return the next push configs in the order of keys, and whether they can be removed.
--
-- These are older than the retention, and their task is not stored.
--
-- unscoped: retention applies to every user
-- py: row ListedPushConfig
-- py: doc ListedPushConfig A push config, and whether it can be removed.
SELECT
    p.task_id,
    p.user_id,
    p.config_id,
    (
        p.created_at < statement_timestamp() - @retention::interval
        AND (SELECT 1 FROM task WHERE task.id = p.task_id LIMIT 1) IS NULL
    ) AS "is_idle!"
FROM (
    SELECT config.task_id, config.user_id, config.config_id, config.created_at
    FROM agentrows_push_config AS config
    WHERE
        (config.task_id, config.user_id, config.config_id)
        > (@after_task_id::text, @after_user_id::text, @after_config_id::text)
    ORDER BY config.task_id, config.user_id, config.config_id
    LIMIT @batch_size::bigint
) AS p
ORDER BY p.task_id, p.user_id, p.config_id;

-- name: LockPushConfigs :many
-- Lock these push configs and return their keys.
--
-- Rows that another transaction has locked are skipped.
-- py: row PushConfigKey
-- py: doc PushConfigKey The key of a push config.
WITH given AS MATERIALIZED (
    SELECT
        unnest(@task_id::text[]) AS task_id,
        unnest(@user_id::text[]) AS user_id,
        unnest(@config_id::text[]) AS config_id
)
SELECT p.task_id, p.user_id, p.config_id FROM agentrows_push_config AS p
INNER JOIN given
    ON
        given.task_id = p.task_id
        AND given.user_id = p.user_id
        AND given.config_id = p.config_id
FOR UPDATE OF p SKIP LOCKED;

-- name: PrunePushConfigs :execrows
-- Delete those of these push configs that can still be removed.
--
-- Run it after LockPushConfigs in the same transaction.
--
-- unscoped: retention applies to every user
WITH given AS MATERIALIZED (
    SELECT
        unnest(@task_id::text[]) AS task_id,
        unnest(@user_id::text[]) AS user_id,
        unnest(@config_id::text[]) AS config_id
)
DELETE FROM agentrows_push_config AS p USING given
WHERE
    p.task_id = given.task_id
    AND p.user_id = given.user_id
    AND p.config_id = given.config_id
    AND p.created_at < statement_timestamp() - @retention::interval
    AND (SELECT 1 FROM task WHERE task.id = p.task_id LIMIT 1) IS NULL;

-- name: ListCrewMemoriesByAge :many
-- Return the next threads with CrewAI memories in the order of keys, and whether they are idle.
--
-- An idle thread has no session, and all of its CrewAI rows are older than the retention.
--
-- unscoped: retention applies to every user
-- py: row ListedCrewThread
-- py: doc ListedCrewThread A thread with CrewAI rows of a table, and whether it is idle.
SELECT
    page.user_id,
    page.thread_id,
    page.number_of_rows AS "number_of_rows!",
    (
        (
            SELECT 1 FROM session AS s WHERE s.user_id = page.user_id AND s.id = page.thread_id
            LIMIT 1
        ) IS NULL
        AND (
            SELECT 1 FROM crewai_agent_memory AS m
            WHERE
                m.user_id = page.user_id
                AND m.thread_id = page.thread_id
                AND (greatest(m.updated_at, m.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
        AND (
            SELECT 1 FROM crewai_flow_state AS f
            WHERE
                f.user_id = page.user_id
                AND f.thread_id = page.thread_id
                AND (greatest(f.updated_at, f.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
    ) AS "is_idle!"
FROM (
    SELECT each.user_id, each.thread_id, count(*) AS number_of_rows
    FROM crewai_agent_memory AS each
    WHERE (each.user_id, each.thread_id) > (@after_user_id::text, @after_thread_id::text)
    GROUP BY each.user_id, each.thread_id
    ORDER BY each.user_id, each.thread_id
    LIMIT @batch_size::bigint
) AS page
ORDER BY page.user_id, page.thread_id;

-- name: LockCrewMemories :many
-- Lock the CrewAI memories of these threads, and return the thread of each.
--
-- Rows that another transaction has locked are skipped.
-- py: row ThreadKey
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
)
SELECT each.user_id, each.thread_id FROM crewai_agent_memory AS each
INNER JOIN given ON given.user_id = each.user_id AND given.thread_id = each.thread_id
FOR UPDATE OF each SKIP LOCKED;

-- name: PruneCrewMemories :execrows
-- Delete the CrewAI memories of those of these threads that are still idle.
--
-- Run it after LockCrewMemories in the same transaction.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
)
DELETE FROM crewai_agent_memory AS each USING given
WHERE
    each.user_id = given.user_id
    AND each.thread_id = given.thread_id
    AND (
        SELECT 1 FROM session AS s WHERE s.user_id = each.user_id AND s.id = each.thread_id
        LIMIT 1
    ) IS NULL
    AND (
        SELECT 1 FROM crewai_agent_memory AS m
        WHERE
            m.user_id = each.user_id
            AND m.thread_id = each.thread_id
            AND (greatest(m.updated_at, m.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
        LIMIT 1
    ) IS NULL
    AND (
        SELECT 1 FROM crewai_flow_state AS f
        WHERE
            f.user_id = each.user_id
            AND f.thread_id = each.thread_id
            AND (greatest(f.updated_at, f.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
        LIMIT 1
    ) IS NULL;

-- name: ListFlowStatesByAge :many
-- Return the next threads with CrewAI flow states in the order of keys, and whether they are idle.
--
-- An idle thread has no session, and all of its CrewAI rows are older than the retention.
--
-- unscoped: retention applies to every user
-- py: row ListedCrewThread
SELECT
    page.user_id,
    page.thread_id,
    page.number_of_rows AS "number_of_rows!",
    (
        (
            SELECT 1 FROM session AS s WHERE s.user_id = page.user_id AND s.id = page.thread_id
            LIMIT 1
        ) IS NULL
        AND (
            SELECT 1 FROM crewai_agent_memory AS m
            WHERE
                m.user_id = page.user_id
                AND m.thread_id = page.thread_id
                AND (greatest(m.updated_at, m.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
        AND (
            SELECT 1 FROM crewai_flow_state AS f
            WHERE
                f.user_id = page.user_id
                AND f.thread_id = page.thread_id
                AND (greatest(f.updated_at, f.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
            LIMIT 1
        ) IS NULL
    ) AS "is_idle!"
FROM (
    SELECT each.user_id, each.thread_id, count(*) AS number_of_rows
    FROM crewai_flow_state AS each
    WHERE (each.user_id, each.thread_id) > (@after_user_id::text, @after_thread_id::text)
    GROUP BY each.user_id, each.thread_id
    ORDER BY each.user_id, each.thread_id
    LIMIT @batch_size::bigint
) AS page
ORDER BY page.user_id, page.thread_id;

-- name: LockFlowStates :many
-- Lock the CrewAI flow states of these threads, and return the thread of each.
--
-- Rows that another transaction has locked are skipped.
-- py: row ThreadKey
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
)
SELECT each.user_id, each.thread_id FROM crewai_flow_state AS each
INNER JOIN given ON given.user_id = each.user_id AND given.thread_id = each.thread_id
FOR UPDATE OF each SKIP LOCKED;

-- name: PruneFlowStates :execrows
-- Delete the CrewAI flow states of those of these threads that are still idle.
--
-- Run it after LockFlowStates in the same transaction.
WITH given AS MATERIALIZED (
    SELECT unnest(@user_id::text[]) AS user_id, unnest(@thread_id::text[]) AS thread_id
)
DELETE FROM crewai_flow_state AS each USING given
WHERE
    each.user_id = given.user_id
    AND each.thread_id = given.thread_id
    AND (
        SELECT 1 FROM session AS s WHERE s.user_id = each.user_id AND s.id = each.thread_id
        LIMIT 1
    ) IS NULL
    AND (
        SELECT 1 FROM crewai_agent_memory AS m
        WHERE
            m.user_id = each.user_id
            AND m.thread_id = each.thread_id
            AND (greatest(m.updated_at, m.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
        LIMIT 1
    ) IS NULL
    AND (
        SELECT 1 FROM crewai_flow_state AS f
        WHERE
            f.user_id = each.user_id
            AND f.thread_id = each.thread_id
            AND (greatest(f.updated_at, f.created_at) < statement_timestamp() - @retention::interval) IS NOT TRUE
        LIMIT 1
    ) IS NULL;
