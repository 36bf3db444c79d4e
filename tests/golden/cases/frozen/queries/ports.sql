-- name: AddPort :one
INSERT INTO ports (id, class, spot, depth) VALUES (@id, @class, @spot, @depth) RETURNING *;

-- name: AddBases :exec
-- py: batch bases NewBase
INSERT INTO bases (id, port_id) SELECT unnest(@id::int[]), unnest(@port_id::int[]);

-- name: ListBases :many
SELECT sqlc.embed(ports), bases.id FROM bases JOIN ports ON ports.id = port_id ORDER BY bases.id;
