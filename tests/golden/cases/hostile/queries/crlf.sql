-- name: Lambda :many
SELECT *
FROM odd
WHERE id = $1;

-- name: Crlf :exec
-- A comment.
DELETE FROM odd WHERE id = $1;
