-- Shares: tokens that let other users open a session.
-- py: file

-- name: InsertSessionShare :one
-- Share a user's session under a token.
--
-- No row if the user has no such session. The session is locked until the share is committed, so
-- that a concurrent delete sees the share; otherwise the share would open the next session with
-- this id.
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
-- Return the shares with a token that has the same hash as one of two texts.
--
-- Shares of deleted sessions are left out. The caller compares the tokens: no token is compared
-- here byte by byte, so the duration does not reveal how much of a guess is correct.
--
-- unscoped: the token grants access
SELECT share.* FROM session_share AS share
JOIN session ON session.id = share.session_id AND session.user_id = share.user_id
WHERE
    hashtextextended(share.token, 7237405416) IN (
        hashtextextended(@token::text, 7237405416),
        hashtextextended(@hashed_token::text, 7237405416)
    )
    AND session.deleted_at IS NULL;

-- name: ListSessionShares :many
-- Return the shares of a user's session, oldest first.
--
-- No rows if the session is deleted. A page starts after the given position.
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
-- Delete a share of a user's session and the records of its use.
DELETE FROM session_share
WHERE user_id = @user_id AND token IN (@token::text, @hashed_token::text);

-- name: RecordShareAccess :one
-- Record that a user opened a share now.
--
-- No row if the share does not exist, or its session is deleted.
--
-- unscoped: the caller found the share by its token
INSERT INTO session_share_access (user_id, share_id, accessed_at)
SELECT @user_id::text, share.id, statement_timestamp() AT TIME ZONE 'UTC'
FROM session_share AS share
JOIN session ON session.id = share.session_id AND session.user_id = share.user_id
WHERE share.id = @share_id AND session.deleted_at IS NULL
FOR KEY SHARE OF share
ON CONFLICT (user_id, share_id) DO UPDATE SET accessed_at = excluded.accessed_at
RETURNING *;
