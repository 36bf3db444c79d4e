-- Feedback: users' verdicts on messages of an agent.
-- py: file

-- name: CanReadFeedbackTargets :one
-- Return whether the table agentrows_feedback_target exists, and this role can read it.
-- py: one!
SELECT coalesce(
    has_table_privilege(to_regclass('agentrows_feedback_target'), 'SELECT'), false
)::boolean AS "can_read!";

-- name: InsertFeedback :one
-- Store a user's verdict on a message.
-- py: row Feedback
-- py: doc Feedback A user's verdict on a message of an agent.
-- py: doc Feedback.event_id The event that the feedback is about, which need not be stored; None
-- py: doc Feedback.event_id without one.
-- py: doc Feedback.task_id The task that the feedback is about, which need not be stored; None
-- py: doc Feedback.task_id without one.
INSERT INTO feedback (
    user_id, message_id, is_positive, feedback_text, issue_type, created_at, updated_at
)
VALUES (
    @user_id,
    sqlc.narg('message_id'),
    @is_positive,
    @feedback_text,
    sqlc.narg('issue_type'),
    statement_timestamp(),
    statement_timestamp()
)
RETURNING *, NULL::text AS event_id, NULL::text AS task_id;

-- name: InsertFeedbackWithTarget :one
-- Store a user's verdict on an event or a task.
-- py: one!
-- py: row Feedback
WITH target AS (
    INSERT INTO agentrows_feedback_target (feedback_id, user_id, event_id, task_id, created_at)
    VALUES (
        nextval(pg_get_serial_sequence('feedback', 'id')::regclass),
        @user_id,
        sqlc.narg('event_id')::text,
        sqlc.narg('task_id')::text,
        statement_timestamp()
    )
    RETURNING feedback_id, user_id
)
INSERT INTO feedback (
    id, user_id, message_id, is_positive, feedback_text, issue_type, created_at, updated_at
)
SELECT
    target.feedback_id,
    target.user_id,
    sqlc.narg('message_id')::bigint,
    @is_positive::boolean,
    @feedback_text::text,
    sqlc.narg('issue_type')::text,
    statement_timestamp(),
    statement_timestamp()
FROM target
RETURNING *, sqlc.narg('event_id')::text AS event_id, sqlc.narg('task_id')::text AS task_id;

-- name: InsertFeedbackOnce :one
-- Store a user's verdict under an idempotency key.
--
-- No row if the user has used the key before.
-- py: row Feedback
WITH new AS (
    INSERT INTO agentrows_feedback_key (user_id, idempotency_key, feedback_id)
    VALUES (
        @user_id,
        @idempotency_key,
        nextval(pg_get_serial_sequence('feedback', 'id')::regclass)
    )
    ON CONFLICT (user_id, idempotency_key) DO NOTHING
    RETURNING user_id, feedback_id
)
INSERT INTO feedback (
    id, user_id, message_id, is_positive, feedback_text, issue_type, created_at, updated_at
)
SELECT
    new.feedback_id,
    new.user_id,
    sqlc.narg('message_id')::bigint,
    @is_positive::boolean,
    @feedback_text::text,
    sqlc.narg('issue_type')::text,
    statement_timestamp(),
    statement_timestamp()
FROM new
RETURNING *, NULL::text AS event_id, NULL::text AS task_id;

-- name: InsertFeedbackOnceWithTarget :one
-- Store a user's verdict on an event or a task under an idempotency key.
--
-- No row if the user has used the key before.
-- py: row Feedback
WITH new AS (
    INSERT INTO agentrows_feedback_key (user_id, idempotency_key, feedback_id)
    VALUES (
        @user_id,
        @idempotency_key,
        nextval(pg_get_serial_sequence('feedback', 'id')::regclass)
    )
    ON CONFLICT (user_id, idempotency_key) DO NOTHING
    RETURNING user_id, feedback_id
),
target AS (
    INSERT INTO agentrows_feedback_target (feedback_id, user_id, event_id, task_id, created_at)
    SELECT
        new.feedback_id,
        new.user_id,
        sqlc.narg('event_id')::text,
        sqlc.narg('task_id')::text,
        statement_timestamp()
    FROM new
    RETURNING 1
)
INSERT INTO feedback (
    id, user_id, message_id, is_positive, feedback_text, issue_type, created_at, updated_at
)
SELECT
    new.feedback_id,
    new.user_id,
    sqlc.narg('message_id')::bigint,
    @is_positive::boolean,
    @feedback_text::text,
    sqlc.narg('issue_type')::text,
    statement_timestamp(),
    statement_timestamp()
FROM new
RETURNING *, sqlc.narg('event_id')::text AS event_id, sqlc.narg('task_id')::text AS task_id;

-- name: FindFeedbackByKey :one
-- Return the feedback that a user stored under an idempotency key.
--
-- No row if the key is unused, or the feedback is deleted.
-- py: row Feedback
SELECT feedback.*, NULL::text AS event_id, NULL::text AS task_id
FROM agentrows_feedback_key
INNER JOIN feedback
    ON
        feedback.id = agentrows_feedback_key.feedback_id
        AND feedback.user_id = agentrows_feedback_key.user_id
WHERE
    agentrows_feedback_key.user_id = @user_id
    AND agentrows_feedback_key.idempotency_key = @idempotency_key
    AND feedback.deleted_at IS NULL;

-- name: FindFeedbackByKeyWithTarget :one
-- Return the feedback that a user stored under an idempotency key, with its target.
--
-- No row if the key is unused, or the feedback is deleted.
-- py: row Feedback
SELECT feedback.*, target.event_id, target.task_id
FROM agentrows_feedback_key
INNER JOIN feedback
    ON
        feedback.id = agentrows_feedback_key.feedback_id
        AND feedback.user_id = agentrows_feedback_key.user_id
LEFT JOIN LATERAL (
    SELECT link.event_id, link.task_id FROM agentrows_feedback_target AS link
    WHERE link.feedback_id = feedback.id AND link.user_id = @user_id
) AS target ON true
WHERE
    agentrows_feedback_key.user_id = @user_id
    AND agentrows_feedback_key.idempotency_key = @idempotency_key
    AND feedback.deleted_at IS NULL;

-- name: HasFeedbackKey :one
-- Return whether a user has used an idempotency key.
SELECT EXISTS (
    SELECT FROM agentrows_feedback_key
    WHERE user_id = @user_id AND idempotency_key = @idempotency_key
);

-- name: GetFeedback :one
-- Return a verdict of a user.
--
-- No row if the feedback is deleted.
-- py: row Feedback
SELECT *, NULL::text AS event_id, NULL::text AS task_id FROM feedback
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;

-- name: GetFeedbackWithTarget :one
-- Return a verdict of a user, with its target.
--
-- No row if the feedback is deleted.
-- py: row Feedback
SELECT feedback.*, target.event_id, target.task_id
FROM feedback
LEFT JOIN LATERAL (
    SELECT link.event_id, link.task_id FROM agentrows_feedback_target AS link
    WHERE link.feedback_id = feedback.id AND link.user_id = @user_id
) AS target ON true
WHERE feedback.id = @id AND feedback.user_id = @user_id AND feedback.deleted_at IS NULL;

-- name: UpdateFeedback :one
-- Change the columns of a user's feedback that are set.
--
-- No row if the user has no such feedback, or it is deleted.
-- py: row Feedback
UPDATE feedback SET
    is_positive = coalesce(sqlc.narg('is_positive')::boolean, is_positive),
    feedback_text = coalesce(sqlc.narg('feedback_text')::text, feedback_text),
    issue_type = CASE
        WHEN @set_issue_type::boolean THEN sqlc.narg('issue_type')::text ELSE issue_type
    END,
    updated_at = statement_timestamp()
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL
RETURNING *, NULL::text AS event_id, NULL::text AS task_id;

-- name: UpdateFeedbackWithTarget :one
-- Change the columns of a user's feedback that are set, and return it with its target.
--
-- No row if the user has no such feedback, or it is deleted.
-- py: row Feedback
UPDATE feedback SET
    is_positive = coalesce(sqlc.narg('is_positive')::boolean, is_positive),
    feedback_text = coalesce(sqlc.narg('feedback_text')::text, feedback_text),
    issue_type = CASE
        WHEN @set_issue_type::boolean THEN sqlc.narg('issue_type')::text ELSE issue_type
    END,
    updated_at = statement_timestamp()
WHERE feedback.id = @id AND feedback.user_id = @user_id AND feedback.deleted_at IS NULL
RETURNING
    *,
    (
        SELECT target.event_id FROM agentrows_feedback_target AS target
        WHERE target.feedback_id = feedback.id AND target.user_id = feedback.user_id
    ) AS event_id,
    (
        SELECT target.task_id FROM agentrows_feedback_target AS target
        WHERE target.feedback_id = feedback.id AND target.user_id = feedback.user_id
    ) AS task_id;

-- name: DeleteFeedback :execrows
-- Mark a user's feedback as deleted.
UPDATE feedback
SET deleted_at = statement_timestamp()
WHERE id = @id AND user_id = @user_id AND deleted_at IS NULL;

-- name: ListFeedback :many
-- Return a user's feedback, newest first.
--
-- A page starts after the given position.
-- py: row Feedback
SELECT *, NULL::text AS event_id, NULL::text AS task_id FROM feedback
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::bigint)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: ListFeedbackWithTarget :many
-- Return a user's feedback with its targets, newest first; with an event or a task, that about it.
--
-- A page starts after the given position.
-- py: row Feedback
SELECT feedback.*, target.event_id, target.task_id
FROM feedback
LEFT JOIN LATERAL (
    SELECT link.event_id, link.task_id FROM agentrows_feedback_target AS link
    WHERE link.feedback_id = feedback.id AND link.user_id = @user_id
) AS target ON true
WHERE
    feedback.user_id = @user_id
    AND feedback.deleted_at IS NULL
    AND (sqlc.narg('event_id')::text IS NULL OR target.event_id = sqlc.narg('event_id'))
    AND (sqlc.narg('task_id')::text IS NULL OR target.task_id = sqlc.narg('task_id'))
    AND (coalesce(feedback.created_at, '-infinity'::timestamptz), feedback.id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::bigint)
ORDER BY coalesce(feedback.created_at, '-infinity'::timestamptz) DESC, feedback.id DESC
LIMIT sqlc.narg('limit');

-- name: SummarizeFeedback :one
-- Count a user's feedback by verdict and by issue type.
--
-- Other issue types than the four count only in the total.
-- py: row FeedbackSummary
-- py: doc FeedbackSummary The numbers of feedback of one user, by verdict and by issue type.
-- py: doc FeedbackSummary.total All feedback, including other issue types than the four.
-- py: doc FeedbackSummary.instructions Feedback with the issue type instructions, positive or
-- py: doc FeedbackSummary.instructions negative.
SELECT
    count(*) AS total,
    count(*) FILTER (WHERE is_positive) AS positive,
    count(*) FILTER (WHERE NOT is_positive) AS negative,
    count(*) FILTER (WHERE issue_type = 'instructions') AS instructions,
    count(*) FILTER (WHERE issue_type = 'factual') AS factual,
    count(*) FILTER (WHERE issue_type = 'incomplete') AS incomplete,
    count(*) FILTER (WHERE issue_type = 'tool') AS tool
FROM feedback
WHERE user_id = @user_id AND deleted_at IS NULL;
