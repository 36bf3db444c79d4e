-- name: TripleQuotes :many
-- A docstring with """ and \ and 'quotes', $1 and {braces} %s.
SELECT id FROM odd WHERE id LIKE '%"""' OR id LIKE '\%' OR id = 'a''b' OR id = '😀{}%s';

-- name: EndsWithQuote :one
-- Ends with a "quote"
SELECT self AS "the self", id FROM odd ORDER BY "id";

-- name: Backslash :many
SELECT id FROM odd WHERE id = E'\\' OR id = '\';

-- name: Dollars :many
SELECT id FROM odd WHERE id = $$ '" $1 -- no comment $$ OR id = $x$ $$ $x$ AND json ? 'a' AND id = @value;

-- name: Tabs :exec
-- A	tab.
DELETE	FROM odd	WHERE id = @db OR id = @row OR id = @rows OR id = @class OR id = @list
	AND str = @str;

-- name: SetOdd :one
-- py: row OddPair
UPDATE odd SET _x = @_x, json = @json, dt = @dt, self = @self WHERE id = @id RETURNING id, _x;

-- name: Empty :exec
DELETE FROM odd WHERE id = '' -- nothing
;
