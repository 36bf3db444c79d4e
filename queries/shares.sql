-- Shares: a token that lets others see a session.
-- py: file

-- name: InsertSessionShare :one
-- Share a user's session; no row if the user has no such session. The session is held until the share
-- is stored, so that who removes it sees the share too: left behind it would open the next session
-- with this id.
INSERT INTO session_share (token, session_id, user_id, read_only, created_at)
SELECT
    @token::text,
    session.id,
    session.user_id,
    @read_only::boolean,
    statement_timestamp() AT TIME ZONE 'UTC'
FROM session
WHERE session.id = @session_id AND session.user_id = @user_id AND session.deleted_at IS NULL
FOR KEY SHARE
RETURNING *;

-- name: FindSessionShares :many
-- The shares whose token has the digest of one of these two, unless their session is deleted; the
-- caller compares the tokens. No token is compared here byte by byte, so the time that it takes
-- tells nothing of how much of a guess is right.
--
-- unscoped: who has the token may see it
SELECT share.* FROM session_share AS share
JOIN session ON session.id = share.session_id AND session.user_id = share.user_id
WHERE
    hashtextextended(share.token, 7237405416) IN (
        hashtextextended(@token::text, 7237405416),
        hashtextextended(@hashed_token::text, 7237405416)
    )
    AND session.deleted_at IS NULL;

-- name: ListSessionShares :many
-- The shares of a user's session, oldest first, from the given place on; none of a deleted session.
SELECT share.* FROM session_share AS share
JOIN session ON session.id = share.session_id AND session.user_id = share.user_id
WHERE
    share.session_id = @session_id
    AND share.user_id = @user_id
    AND session.deleted_at IS NULL
    AND share.id > @after_id::bigint
ORDER BY share.id
LIMIT sqlc.narg('limit');

-- name: DeleteSessionShare :execrows
-- Take a share of a user's session back, with the record of who used it.
DELETE FROM session_share
WHERE user_id = @user_id AND token IN (@token::text, @hashed_token::text);

-- name: RecordShareAccess :one
-- Note that a user opened a share now; no row if it is gone, or its session is deleted.
--
-- unscoped: who had the token may open it
INSERT INTO session_share_access (user_id, share_id, accessed_at)
SELECT @user_id::text, share.id, statement_timestamp() AT TIME ZONE 'UTC'
FROM session_share AS share
JOIN session ON session.id = share.session_id AND session.user_id = share.user_id
WHERE share.id = @share_id AND session.deleted_at IS NULL
FOR KEY SHARE OF share
ON CONFLICT (user_id, share_id) DO UPDATE SET accessed_at = excluded.accessed_at
RETURNING *;
