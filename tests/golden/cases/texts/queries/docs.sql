-- name: AddDoc :one
-- Never seen: there are no docstrings.
INSERT INTO doc (id, head, heads, body, rest, more, mood, place, places, half, few)
VALUES (@id, @head, @heads, @body, @rest, @more, @mood, @place, @places, @half, @few)
RETURNING *;

-- name: GetBody :one
SELECT body FROM doc WHERE id = @id;

-- name: CopyDocs :copyfrom
INSERT INTO doc (id, head, heads, body, rest) VALUES (@id, @head, @heads, @body, @rest);

-- name: SetPlaces :batchexec
UPDATE doc SET place = @place WHERE id = @id;

-- name: Near :many
-- py: iterator
SELECT id, place <-> @wanted AS distance FROM doc WHERE place IS NOT NULL ORDER BY place <-> @wanted;

-- name: Contains :many
SELECT id FROM doc WHERE rest @> @part ORDER BY id;
