CREATE SCHEMA app;
CREATE DOMAIN email AS text;
CREATE TYPE state AS ENUM ('on', 'off');
CREATE TABLE statuses (id int PRIMARY KEY, state state NOT NULL, label text NOT NULL);
CREATE TABLE app.api_urls (
    id int PRIMARY KEY,
    kind text,
    kind_again text NOT NULL,
    mail email NOT NULL,
    other_mail email,
    amount numeric NOT NULL,
    long_name text NOT NULL
);
CREATE TABLE unused (id int PRIMARY KEY);
