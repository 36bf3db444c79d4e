-- name: AddProduct :one
INSERT INTO product (id, features, more, code, place, places)
VALUES (@id, @features, @more, @code, @place, @places) RETURNING *;

-- name: FindProducts :many
SELECT id, (features -> 'colour')::text AS "colour?" FROM product
WHERE features @> @features::hstore AND code = @code::ext.citext ORDER BY id;

-- name: ListPlaces :many
SELECT place FROM product ORDER BY id;

-- name: SetFeatures :batchexec
UPDATE product SET features = @features WHERE id = @id;
