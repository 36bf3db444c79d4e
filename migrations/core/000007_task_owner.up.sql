-- Gives a task an owner, so that only that user sees it.

ALTER TABLE task ADD COLUMN IF NOT EXISTS user_id TEXT;

-- Deleted sessions count: an id that ever had two users does not tell whose task it was.
UPDATE task
SET user_id = owner.user_id
FROM (
    SELECT id, min(user_id) AS user_id
    FROM session
    GROUP BY id
    HAVING count(DISTINCT user_id) = 1
) AS owner
WHERE task.session_id = owner.id AND task.user_id IS NULL;

COMMENT ON COLUMN task.user_id IS 'The owner; NULL for an older row whose session does not tell it, which nobody sees.';
