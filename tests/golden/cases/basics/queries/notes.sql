-- Notes, and who wrote them.
-- py: file

-- name: InsertUser :one
-- Store a user; the new id comes back.
INSERT INTO app.users (name, level) VALUES (@name, sqlc.narg('level')) RETURNING id;

-- name: InsertNote :one
INSERT INTO notes (
    id, user_id, title, body, mood, moods, tags, data, price, embedding, created_at, due, at_time,
    local, took, raw, address
)
VALUES (
    @id, @user_id, @title, sqlc.narg('body'), sqlc.narg('mood'), @moods, @tags, sqlc.narg('data'),
    sqlc.narg('price'), sqlc.narg('embedding'), @created_at, sqlc.narg('due'),
    sqlc.narg('at_time'), sqlc.narg('local'), sqlc.narg('took'), sqlc.narg('raw'),
    sqlc.narg('address')
)
RETURNING *;

-- name: GetNote :one
-- The note with this id.
-- None if there is none.
--
-- A second paragraph:
--   with an indented line.
SELECT * FROM notes WHERE id = $1;

-- name: GetTitle :one
SELECT title FROM notes WHERE id = @id;

-- name: GetBody :one
SELECT body FROM notes WHERE id = @id;

-- name: GetMood :one
SELECT mood FROM notes WHERE id = @id;

-- name: GetEmbedding :one
SELECT embedding FROM notes WHERE id = @id;

-- name: GetData :one
SELECT data FROM notes WHERE id = @id;

-- name: CountNotes :one
SELECT count(*) FROM notes WHERE user_id = @user_id;

-- name: LastPrice :one
SELECT max(price)::numeric AS "last?" FROM notes;

-- name: Summary :one
-- py: row NoteSummary
SELECT count(*) AS total, count(*) FILTER (WHERE mood = 'sad') AS sad FROM notes;

-- name: SummaryOfUser :one
-- py: row NoteSummary
SELECT count(*) AS total, count(*) FILTER (WHERE mood = 'sad') AS sad
FROM notes WHERE user_id = @user_id;

-- name: ListNotes :many
-- Notes since a moment, oldest first.
-- py: iterator
-- py: param since datetime?
SELECT * FROM notes
WHERE created_at >= coalesce(@since, '-infinity'::timestamptz)
ORDER BY created_at;

-- name: ListTitles :many
-- py: iterator
SELECT title FROM notes ORDER BY title;

-- name: ListMoods :many
SELECT mood FROM notes ORDER BY id;

-- name: ListMoodLists :many
SELECT moods FROM notes ORDER BY id;

-- name: ListTitleRows :many
SELECT * FROM titles ORDER BY title;

-- name: ListByIds :many
SELECT id, title FROM notes WHERE id IN (sqlc.slice('ids')) AND title NOT IN (sqlc.slice('titles'));

-- name: ListNotesWithUsers :many
SELECT sqlc.embed(notes), u.level, sqlc.embed(u)
FROM notes JOIN app.users AS u ON u.id = notes.user_id
ORDER BY notes.id;

-- name: ListUsersOnly :many
SELECT sqlc.embed(u) FROM app.users AS u ORDER BY u.id;

-- name: SearchNotes :many
SELECT id, 1 AS one, (1 - (embedding <=> @query::vector))::float8 AS "score?", title AS "title!"
FROM notes
ORDER BY embedding <=> @query, id
LIMIT sqlc.narg('limit');

-- name: FirstMoods :many
SELECT id FROM notes WHERE mood = ANY(@moods::mood[]) AND created_at = ANY(@times::timestamptz[]);

-- name: EnsureNote :one
-- py: one!
SELECT title FROM notes WHERE id = @id;

-- name: EnsureBody :one
-- py: one!
SELECT body FROM notes WHERE id = @id;

-- name: EnsureNoteRow :one
-- py: one!
SELECT * FROM titles WHERE id = @id;

-- name: RenameNote :execrows
UPDATE notes SET title = @title WHERE id = @id;

-- name: DeleteNote :exec
DELETE FROM notes WHERE id = @id;

-- name: DeleteNotes :execresult
DELETE FROM notes;

-- name: FindUsers :many
SELECT name FROM app.users WHERE id = sqlc.narg('id') OR sqlc.narg('id') IS NULL ORDER BY id;

-- name: SetBody :one
-- py: json body
UPDATE notes SET body = @body WHERE id = @id RETURNING *;

-- name: ListRemarks :many
-- py: row Remark
-- py: json text
SELECT id, body AS text, title FROM notes;

-- name: ListDrafts :many
-- py: json class
SELECT title AS class, body FROM notes;
