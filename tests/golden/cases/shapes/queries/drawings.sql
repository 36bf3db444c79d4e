-- name: AddDrawing :exec
INSERT INTO drawing (id, spot, frame, ring)
VALUES ($1, $2::text::point, $3::text::box, sqlc.narg(ring)::text::circle);

-- name: ReadDrawing :one
SELECT id, spot::text AS spot, (spot[0])::float8 AS "x!", frame::text AS frame, (area(ring))::float8 AS "size?"
FROM drawing WHERE id = $1;

-- name: Near :many
SELECT id FROM drawing WHERE spot <-> point($1::float8, $2::float8) < $3::float8 ORDER BY id;
