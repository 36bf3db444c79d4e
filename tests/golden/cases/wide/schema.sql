CREATE EXTENSION IF NOT EXISTS vector;
CREATE SCHEMA shop;
CREATE DOMAIN email AS text CHECK (value ~ '@');
CREATE DOMAIN shop.cents AS bigint CHECK (value >= 0);
CREATE TYPE shop.state AS ENUM ('new', 'paid', 'sent');
CREATE TYPE shop.address AS (street text, zip integer, states shop.state[]);
CREATE TABLE customer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail email NOT NULL,
    nick varchar(20),
    born date,
    tags text[] NOT NULL DEFAULT '{}',
    prefs jsonb NOT NULL DEFAULT '{}',
    extra jsonb,
    joined timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE shop.orders (
    id uuid PRIMARY KEY,
    customer_id bigint REFERENCES customer,
    state shop.state NOT NULL DEFAULT 'new',
    former shop.state[],
    cents shop.cents NOT NULL,
    rate numeric(6, 3),
    weight real,
    during tstzrange,
    slots int4multirange,
    flags bit(3),
    near halfvec(3),
    few sparsevec(5),
    placed timestamp NOT NULL,
    took interval,
    doubled bigint GENERATED ALWAYS AS (cents * 2) STORED,
    ship shop.address,
    "Group" text,
    "order" integer
);
CREATE TABLE shop.line (
    order_id uuid NOT NULL REFERENCES shop.orders,
    position smallint NOT NULL,
    item text,
    amount integer NOT NULL,
    price numeric(10, 2) NOT NULL,
    PRIMARY KEY (order_id, position)
);
CREATE TABLE tree (id integer PRIMARY KEY, parent integer, label text NOT NULL);
CREATE TABLE loose (a text, b integer);
CREATE VIEW shop.totals AS
SELECT o.id, o.customer_id, sum(l.amount * l.price) AS total, count(l.item) AS items,
    lower(max(l.item)) AS last_item
FROM shop.orders AS o LEFT JOIN shop.line AS l ON l.order_id = o.id
GROUP BY o.id, o.customer_id;
CREATE FUNCTION shop.tax(amount numeric) RETURNS numeric LANGUAGE sql AS 'SELECT amount * 0.19';
