CREATE EXTENSION IF NOT EXISTS vector;
CREATE TYPE room_kind AS ENUM ('single', 'double', 'suite');
CREATE TYPE money_amount AS (amount numeric, currency text);
CREATE DOMAIN guest_email AS text CHECK (value LIKE '%@%');
CREATE TABLE room (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind room_kind NOT NULL,
    features text[] NOT NULL DEFAULT '{}',
    price money_amount NOT NULL,
    look vector(3)
);
CREATE TABLE guest (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail guest_email NOT NULL UNIQUE,
    wishes jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE booking (
    room_id integer NOT NULL REFERENCES room,
    guest_id integer NOT NULL REFERENCES guest,
    nights daterange NOT NULL,
    note text,
    PRIMARY KEY (room_id, nights)
);
CREATE VIEW occupancy AS
SELECT r.id AS room_id, count(b.room_id) AS bookings, max(upper(b.nights)) AS free_from
FROM room AS r LEFT JOIN booking AS b ON b.room_id = r.id
GROUP BY r.id;
