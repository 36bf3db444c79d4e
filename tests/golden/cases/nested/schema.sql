CREATE TYPE spot AS (x int, height numeric);
CREATE TYPE mood AS ENUM ('sad', 'very happy');
CREATE DOMAIN price AS numeric(30, 10);

CREATE TABLE post (
    id bigint PRIMARY KEY,
    title text NOT NULL
);

CREATE TABLE reply (
    id bigint PRIMARY KEY,
    post_id bigint NOT NULL REFERENCES post,
    body text,
    price numeric,
    paid price,
    raw bytea,
    raws bytea[],
    made timestamptz NOT NULL,
    local timestamp,
    due date,
    clock time,
    score float8,
    scores float4[],
    key uuid,
    mood mood,
    moods mood[],
    data jsonb,
    spot spot,
    spots spot[],
    address inet,
    network cidr,
    "class" text
);
COMMENT ON TABLE reply IS 'An answer to a post.';
COMMENT ON COLUMN reply.price IS 'In any currency.';

CREATE TABLE attachment (id bigint PRIMARY KEY, reply_id bigint NOT NULL REFERENCES reply, weight numeric);
