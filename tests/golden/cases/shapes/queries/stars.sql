-- name: StarOfTwoTables :many
SELECT h.*, "order".* FROM harbour AS h, "order" ORDER BY h.id, "order"."line no";

-- name: StarOfReservedWords :many
SELECT * FROM "order" ORDER BY "line no";

-- name: StarOfAlias :many
SELECT "o".*, "o"."select" AS again FROM "order" AS "o" WHERE "o"."user" = $1;

-- name: StarOfCte :many
WITH deep AS (SELECT * FROM harbour WHERE depth > $1), named AS (SELECT id, name FROM deep)
SELECT * FROM named ORDER BY id;

-- name: StarOfSubquery :many
SELECT * FROM (
    SELECT b.*, "o"."select" FROM boat AS b LEFT JOIN "order" AS "o" ON "o"."user" = b.name
) AS found ORDER BY id;

-- name: StarReturned :one
INSERT INTO "order" ("user", "line no", "select") VALUES ($1, $2, $3) RETURNING *;
