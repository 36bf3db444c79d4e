CREATE EXTENSION IF NOT EXISTS vector;
CREATE DOMAIN document AS jsonb;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE doc (
    id integer PRIMARY KEY,
    head jsonb NOT NULL,
    heads jsonb[],
    body json NOT NULL,
    rest jsonb,
    more document,
    mood mood,
    place vector(3),
    places vector(3)[],
    half halfvec(2),
    few sparsevec(5)
);
CREATE TABLE empty ();
