CREATE DOMAIN cents AS bigint;
CREATE DOMAIN prefs_domain AS jsonb;
CREATE TYPE price AS (amount bigint, at timestamptz);
CREATE TABLE account (
    id integer PRIMARY KEY,
    prefs jsonb NOT NULL,
    history jsonb[] NOT NULL DEFAULT '{}',
    limits json,
    other prefs_domain,
    note jsonb,
    balance cents NOT NULL DEFAULT 0,
    steps cents[],
    pin text,
    paid price,
    during tstzrange,
    off tstzmultirange
);
CREATE TABLE friend (a integer NOT NULL, b integer, prefs jsonb);
