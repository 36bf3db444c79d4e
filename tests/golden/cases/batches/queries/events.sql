-- name: StoreEvents :execrows
-- Store events, all or none.
-- py: batch events NewEvent
-- py: doc NewEvent An event to store.
-- py: doc NewEvent Its user is an argument of the function.
-- py: doc NewEvent.at When the event happened;
-- py: doc NewEvent.at None if the time is "unknown".
-- py: param session_id text?[]
-- py: param data jsonb?[]
-- py: param at timestamptz?[]
INSERT INTO event (id, user_id, session_id, data, at)
SELECT
    unnest(@id::text[]),
    @user_id::text,
    unnest(@session_id::text[]),
    unnest(@data::jsonb[]),
    unnest(@at::timestamptz[]);

-- name: StoreNewEvents :many
-- Store those that are not there; their ids come back.
-- py: batch events NewEvent
-- py: param session_id text?[]
-- py: param data jsonb?[]
-- py: param at timestamptz?[]
INSERT INTO event (id, user_id, session_id, data, at)
SELECT i.id, @user_id::text, i.session_id, i.data, i.at
FROM ROWS FROM (
    unnest(@id::text[]), unnest(@session_id::text[]), unnest(@data::jsonb[]),
    unnest(@at::timestamptz[])
) AS i (id, session_id, data, at)
ON CONFLICT DO NOTHING
RETURNING id;

-- name: ListEvents :many
SELECT * FROM event WHERE user_id = @user_id ORDER BY id;
