CREATE SCHEMA ext;
CREATE EXTENSION hstore;
CREATE EXTENSION citext SCHEMA ext;
CREATE EXTENSION ltree;
CREATE TABLE product (
    id integer PRIMARY KEY,
    features hstore,
    more hstore[],
    code ext.citext,
    place ltree,
    places ltree[]
);
