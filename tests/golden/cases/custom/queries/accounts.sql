-- name: AddAccount :one
-- Store an account.
INSERT INTO account (id, prefs, history, limits, other, note, balance, steps, pin, paid, during, off)
VALUES (@id, @prefs, @history, @limits, @other, @note, @balance, @steps, @pin, @paid, @during, @off)
RETURNING *;

-- name: GetPrefs :one
SELECT prefs FROM account WHERE id = @id;

-- name: GetLimits :one
SELECT limits FROM account WHERE id = @id;

-- name: ListHistory :many
SELECT history, balance FROM account ORDER BY id;

-- name: ListBalances :many
SELECT balance FROM account ORDER BY id;

-- name: SetPrefs :execrows
UPDATE account SET prefs = @prefs, pin = @pin WHERE id = @id;

-- name: SetBalances :batchexec
UPDATE account SET balance = @balance, prefs = @prefs, limits = @limits WHERE id = @id;

-- name: FindPrefs :batchone
SELECT prefs FROM account WHERE balance = @balance;

-- name: FindAccounts :many
-- py: iterator
SELECT * FROM account WHERE balance = ANY(@balances::cents[]) ORDER BY id;

-- name: AddFriends :execrows
-- py: batch friends NewFriend
-- py: param prefs shop_types.Prefs?[]
INSERT INTO friend (a, b, prefs) SELECT unnest(@a::integer[]), unnest(@b::integer[]), unnest(@prefs::jsonb[]);

-- name: CopyPins :copyfrom
INSERT INTO account (id, balance, pin) VALUES (@id, @balance, @pin);

-- name: CopyBoth :copyfrom
INSERT INTO friend (a, b) VALUES (@a, @b);

-- name: ReadNote :one
-- py: column note shop_types.Limits?
-- py: column total money
SELECT note, balance + 1 AS total, note ->> 'x' AS x FROM account WHERE id = @id;

-- name: WriteNote :exec
-- py: param note shop_types.Limits?
UPDATE account SET note = @note WHERE id = @id;

-- name: ListFriends :many
SELECT sqlc.embed(one), sqlc.embed(other), friend.prefs
FROM friend
JOIN account AS one ON one.id = friend.a
LEFT JOIN account AS other ON other.id = friend.b;

-- name: TurnPrefs :batchmany
-- py: column prefs shop_types.PreferencesOfOneAccount?
UPDATE account SET prefs = prefs || @patch::jsonb WHERE id = @id RETURNING prefs;

-- name: PatchPrefs :one
-- py: param patch JsonValue
-- py: column total money
UPDATE account SET prefs = prefs || @patch WHERE id = @id RETURNING balance AS total;
