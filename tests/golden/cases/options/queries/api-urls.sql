-- name: GetAPIURLs :many
SELECT * FROM app.api_urls;

-- name: ListKinds :many
SELECT kind, kind_again FROM app.api_urls;

-- name: FindKind :one
SELECT kind FROM app.api_urls WHERE id = @id;

-- name: StoreAPIURL :one
INSERT INTO app.api_urls (id, kind, kind_again, mail, other_mail, amount, long_name)
VALUES (@id, @kind, @kind_again, @mail, @other_mail, @amount, @long_name)
RETURNING *;

-- name: SetKind :exec
UPDATE app.api_urls SET kind = @kind WHERE id = @id;

-- name: StoreStatus :one
INSERT INTO statuses (id, state, label) VALUES (@id, @state, @label) RETURNING *;
