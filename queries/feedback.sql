-- Feedback: what users say of an agent's messages.
-- py: file

-- name: InsertFeedback :one
-- Store one user's verdict on a message.
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
RETURNING *;

-- name: ListFeedback :many
-- A user's feedback, newest first, from the given place on.
SELECT * FROM feedback
WHERE
    user_id = @user_id
    AND deleted_at IS NULL
    AND (coalesce(created_at, '-infinity'::timestamptz), id)
    < (coalesce(sqlc.narg('after_time')::timestamptz, '-infinity'::timestamptz), @after_id::bigint)
ORDER BY coalesce(created_at, '-infinity'::timestamptz) DESC, id DESC
LIMIT sqlc.narg('limit');

-- name: SummarizeFeedback :one
-- How much feedback a user gave, by verdict and by issue; an issue that is none of the four counts
-- in the total alone.
-- py: row FeedbackSummary
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
