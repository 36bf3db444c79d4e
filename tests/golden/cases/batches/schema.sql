CREATE TABLE event (
    id text NOT NULL,
    user_id text NOT NULL,
    session_id text,
    data jsonb,
    at timestamptz,
    PRIMARY KEY (id, user_id)
);
