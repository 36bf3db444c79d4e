-- name: AddRoom :one
INSERT INTO room (kind, features, price, look)
VALUES (@kind, @features, @price, @look) RETURNING id;

-- name: AddGuests :batchone
-- Store guests, or change the wishes of those that are known.
INSERT INTO guest (mail, wishes) VALUES (@mail, @wishes)
ON CONFLICT (mail) DO UPDATE SET wishes = excluded.wishes
RETURNING id;

-- name: GetWishes :one
SELECT wishes FROM guest WHERE id = @id;

-- name: CopyBookings :copyfrom
INSERT INTO booking (room_id, guest_id, nights, note) VALUES (@room_id, @guest_id, @nights, @note);

-- name: ListRooms :many
-- Every room, with its booking in these nights or None.
SELECT sqlc.embed(room), sqlc.embed(booking)
FROM room LEFT JOIN booking ON booking.room_id = room.id AND booking.nights && @nights::daterange
ORDER BY room.id;

-- name: ListSwaps :many
-- Pairs of bookings whose nights overlap, which two guests could swap.
SELECT sqlc.embed(one), sqlc.embed(other)
FROM booking AS one
JOIN booking AS other ON one.nights && other.nights AND one.room_id < other.room_id
ORDER BY one.room_id, other.room_id;

-- name: FindRooms :many
SELECT id, (price).amount AS amount, 1 - (look <=> @wanted) AS likeness
FROM room
WHERE kind = ANY(@kinds::room_kind[]) AND features @> @features
ORDER BY look <=> @wanted
LIMIT @most;

-- name: ListOccupancy :many
SELECT * FROM occupancy ORDER BY room_id;

-- name: CountNights :one
SELECT coalesce(sum(upper(nights) - lower(nights)), 0) AS nights FROM booking;
