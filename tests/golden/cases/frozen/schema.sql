CREATE TYPE spot AS (x int, "class" text);
CREATE TABLE ports (
    id int PRIMARY KEY,
    "class" text NOT NULL,
    spot spot,
    depth numeric
);
CREATE TABLE bases (id int PRIMARY KEY, port_id int NOT NULL REFERENCES ports);
