CREATE DOMAIN grid AS integer[];
CREATE TYPE mark AS (x integer, tags text[], extra jsonb, at timestamptz);
CREATE TABLE place (
    id integer PRIMARY KEY,
    spot mark,
    spots mark[],
    facts jsonb NOT NULL,
    extra jsonb,
    cells grid,
    matrix integer[][],
    cube text[][][],
    times timestamptz[][],
    price money,
    flags bit(3),
    more bit varying(8),
    free int4multirange,
    open tstzmultirange,
    days daterange,
    sums numrange[]
);
