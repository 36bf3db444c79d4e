-- name: AddPlace :one
INSERT INTO place (
    id, spot, spots, facts, extra, cells, matrix, cube, times, price, flags, more, free, open, days, sums
) VALUES (
    @id, @spot, @spots, @facts, @extra, @cells, @matrix, @cube, @times, @price, @flags, @more, @free,
    @open, @days, @sums
) RETURNING *;

-- name: CopyPlaces :copyfrom
INSERT INTO place (id, spot, facts, extra, matrix, times, flags, free)
VALUES (@id, @spot, @facts, @extra, @matrix, @times, @flags, @free);

-- name: ListPlaces :many
-- py: iterator
SELECT * FROM place ORDER BY id;

-- name: FindByFlags :batchmany
SELECT id, matrix FROM place WHERE flags = @flags;
