-- Lets a user share a session with others by a link.

CREATE TABLE IF NOT EXISTS session_share (
    id BIGSERIAL PRIMARY KEY,
    token TEXT NOT NULL UNIQUE,
    session_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    read_only BOOLEAN NOT NULL DEFAULT true,
    created_at TIMESTAMP NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idx_session_share_session_id ON session_share (session_id);

CREATE TABLE IF NOT EXISTS session_share_access (
    user_id TEXT NOT NULL,
    share_id BIGINT NOT NULL REFERENCES session_share (id) ON DELETE CASCADE,
    accessed_at TIMESTAMP NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, share_id)
);

COMMENT ON TABLE session_share IS 'A link by which a user shares a session with others.';
COMMENT ON COLUMN session_share.token IS 'The secret part of the link; whoever has it may read the session.';
COMMENT ON COLUMN session_share.user_id IS 'The owner of the session, who shares it.';
COMMENT ON COLUMN session_share.read_only IS 'Whether the link only lets its holders read.';
COMMENT ON COLUMN session_share.created_at IS 'Without a time zone: in the time zone of the database session that inserted the row.';

COMMENT ON TABLE session_share_access IS 'That a user has opened a shared session.';
COMMENT ON COLUMN session_share_access.user_id IS 'Who opened the link.';
COMMENT ON COLUMN session_share_access.accessed_at IS 'Without a time zone: in the time zone of the database session that wrote it.';
