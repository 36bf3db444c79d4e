-- name: GetWanted :one
-- Return a row of an owner.
-- py: lookup
SELECT * FROM wanted WHERE id = @id AND owner = @owner;

-- name: FindNewest :one
-- Return the newest row of a kind; the text and the comment contain no parameter.
-- py: lookup
WITH found AS (
    SELECT w.*, '$1 of $2' AS note FROM wanted AS w -- $1
    WHERE w.kind = @kind AND (sqlc.narg('since')::timestamptz IS NULL OR w.made >= sqlc.narg('since'))
)
SELECT id, owner, "Title", note || @suffix::text AS "note!", number
FROM found ORDER BY made DESC, id LIMIT @page_size::integer; -- the end

-- name: CountOfOwner :one
-- py: lookup
SELECT count(*) AS rows FROM wanted WHERE owner = @owner AND price < @price;

-- name: FindSized :one
-- py: lookup
SELECT id, owner FROM wanted WHERE size = @size AND grade = @grade AND owner = @owner;

-- name: ListWanted :many
SELECT * FROM wanted WHERE owner = @owner ORDER BY id;
