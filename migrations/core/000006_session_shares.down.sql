-- Drops the links by which sessions are shared.

DROP TABLE IF EXISTS session_share_access;
DROP TABLE IF EXISTS session_share;
