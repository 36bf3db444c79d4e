-- name: Numbers :many
SELECT generate_series($1::int, $2::int);

-- name: NumbersInFrom :many
SELECT n FROM generate_series($1::int, $2::int) AS n;

-- name: Days :many
SELECT generate_series($1::timestamp, $2::timestamp, '1 day');

-- name: RenameBoat :one
UPDATE boat SET name = $1 WHERE id = $2 RETURNING id, name;

-- name: AddBoat :one
INSERT INTO boat (id, name) VALUES ($1, $2) RETURNING id;

-- name: RemoveBoats :many
DELETE FROM boat WHERE id > $1 RETURNING *;

-- name: ReplaceSailor :execrows
UPDATE boat SET crew[$1] = $2 WHERE id = $3;

-- name: SeasonStart :one
SELECT season_start($1);

-- name: SeasonLaunches :many
SELECT id FROM boat WHERE launched >= season_start($1) ORDER BY id;

-- name: LeftParameter :many
SELECT id FROM boat WHERE $1 = id OR $2 = name OR $3 = ANY (crew) ORDER BY id;

-- name: CaseValue :many
SELECT CASE $1::text WHEN name THEN 'named' WHEN 'all' THEN 'all' END AS found
FROM boat ORDER BY id;

-- name: GreetBoats :execrows
UPDATE boat SET name = CASE $1::bool WHEN true THEN 'Hello' WHEN false THEN 'Bye' ELSE name END;

-- name: CaseResult :many
SELECT id, CASE WHEN id = $1 THEN $2::text ELSE name END AS title FROM boat ORDER BY id;

-- name: RenameSome :execrows
UPDATE boat SET name = CASE WHEN $1::bool THEN $2 ELSE name END WHERE id = $3;
