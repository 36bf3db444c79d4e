-- name: FullJoin :many
SELECT * FROM boat FULL JOIN harbour ON harbour.id = boat.harbour_id ORDER BY boat.id, harbour.id;

-- name: RightJoin :many
SELECT b.id, b.name, h.id, h.name
FROM boat AS b RIGHT JOIN harbour AS h ON h.id = b.harbour_id ORDER BY h.id;

-- name: LeftJoin :many
SELECT boat.*, harbour.* FROM boat LEFT JOIN harbour ON harbour.id = boat.harbour_id
ORDER BY boat.id;

-- name: JoinedWithItself :many
SELECT * FROM boat AS a JOIN boat AS b ON b.id = a.id + 1 ORDER BY a.id;

-- name: JoinedAlias :many
SELECT b.*, home.depth FROM boat AS b JOIN harbour AS home ON home.id = b.harbour_id
WHERE home.name = $1 ORDER BY b.id;
