-- Makes id alone the primary key of feedback where an ORM made it (id, user_id).

-- Under the wider key two users could have the same id: all but the oldest of such rows get a new one.
WITH ranked AS (
    SELECT id, user_id, row_number() OVER (PARTITION BY id ORDER BY created_at, user_id) AS place
    FROM feedback
),
twin AS (
    SELECT id, user_id, row_number() OVER (ORDER BY id, user_id) AS step
    FROM ranked
    WHERE place > 1
),
moved AS (
    UPDATE feedback
    SET id = (SELECT max(id) FROM feedback) + twin.step
    FROM twin
    WHERE feedback.id = twin.id AND feedback.user_id = twin.user_id
    RETURNING feedback.id
)
SELECT setval(
    pg_get_serial_sequence('feedback', 'id'),
    greatest(max(id), nextval(pg_get_serial_sequence('feedback', 'id')))
)
FROM moved
HAVING count(*) > 0;

ALTER TABLE feedback DROP CONSTRAINT IF EXISTS feedback_pkey;
ALTER TABLE feedback ADD CONSTRAINT feedback_pkey PRIMARY KEY (id);
