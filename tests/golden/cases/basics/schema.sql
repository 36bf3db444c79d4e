CREATE EXTENSION vector;
CREATE SCHEMA app;
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very happy');
CREATE TYPE app.level AS ENUM ('low', 'high');

CREATE TABLE app.users (
    id bigserial PRIMARY KEY,
    name varchar(20) NOT NULL,
    level app.level
);

CREATE TABLE notes (
    id uuid PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES app.users (id),
    title text NOT NULL,
    body text,
    mood mood,
    moods mood[] NOT NULL DEFAULT '{}',
    tags text[] NOT NULL DEFAULT '{}',
    data jsonb,
    price numeric(12, 2),
    embedding vector(3),
    created_at timestamptz NOT NULL DEFAULT now(),
    due date,
    at_time time,
    local timestamp,
    took interval,
    raw bytea,
    address inet
);
COMMENT ON TABLE notes IS 'A note of a user.

With "quotes" and a \ in it.';
COMMENT ON COLUMN notes.title IS 'What it is about, in "one" line.';
COMMENT ON COLUMN notes.took IS 'How long it took to write, which is a fairly long story that does not fit into one line of code.';

CREATE VIEW titles AS SELECT id, title FROM notes;
