CREATE TABLE boat (
    id int PRIMARY KEY,
    name text NOT NULL,
    harbour_id int,
    crew text[] NOT NULL DEFAULT '{}',
    launched date
);

CREATE TABLE harbour (
    id int PRIMARY KEY,
    name text NOT NULL,
    depth numeric NOT NULL
);

-- Reserved words and a space.
CREATE TABLE "order" (
    "user" text NOT NULL,
    "line no" int NOT NULL,
    "select" text,
    PRIMARY KEY ("user", "line no")
);

CREATE TABLE drawing (
    id int PRIMARY KEY,
    spot point NOT NULL,
    frame box,
    ring circle
);

CREATE FUNCTION season_start(year int) RETURNS date
    LANGUAGE sql IMMUTABLE AS $$ SELECT make_date(year, 4, 1) $$;
