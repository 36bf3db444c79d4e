CREATE TABLE team (id integer PRIMARY KEY, title text NOT NULL);
CREATE TABLE ticket (
    id integer PRIMARY KEY,
    team_id integer NOT NULL REFERENCES team,
    title text NOT NULL,
    due date,
    "order" integer NOT NULL DEFAULT 0
);
