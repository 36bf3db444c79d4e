CREATE SCHEMA shop;
CREATE TYPE kind AS ENUM ('book', 'film');
CREATE TYPE shop."Size" AS ENUM ('small', 'large');
CREATE TABLE wanted (
    id integer NOT NULL,
    owner text NOT NULL,
    kind kind NOT NULL,
    size shop."Size" NOT NULL,
    grade "char" NOT NULL,
    "Title" text,
    price numeric(8, 2),
    made timestamptz NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (id, owner)
);
