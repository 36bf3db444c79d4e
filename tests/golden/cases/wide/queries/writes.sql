-- name: CopyLines :copyfrom
INSERT INTO shop.line (item, order_id, position, price, amount) VALUES (@item, @order_id, @position, @price, @amount);

-- name: CopyLabels :copyfrom
INSERT INTO loose (a) VALUES ($1);

-- name: CopyTwice :copyfrom
INSERT INTO tree (id, parent, label) VALUES (@id, @id, @label);

-- name: SetNicks :batchexec
UPDATE customer SET nick = @nick WHERE id = @id;

-- name: AddCustomers :batchone
INSERT INTO customer (mail, nick) VALUES (@mail, @nick) RETURNING id;

-- name: FindCustomers :batchone
SELECT id, nick FROM customer WHERE mail = @mail;

-- name: LinesOf :batchmany
SELECT * FROM shop.line WHERE order_id = @order_id;

-- name: NamesOf :batchmany
SELECT label FROM tree WHERE parent = @parent;

-- name: Place :one
INSERT INTO shop.orders (id, customer_id, state, cents, during, slots, flags, near, few, placed, "Group", "order")
VALUES (@id, @customer_id, @state, @cents, @during, @slots, @flags, @near, @few, @placed, @group_name, @number)
ON CONFLICT (id) DO UPDATE SET cents = orders.cents + excluded.cents RETURNING *, (xmax = 0) AS "created!";

-- name: Tag :execrows
UPDATE customer SET tags = array_append(tags, @tag), prefs = prefs || @prefs, joined = coalesce(sqlc.narg('joined'), joined) WHERE id = @id;

-- name: Move :many
WITH gone AS (DELETE FROM shop.line AS l WHERE l.order_id = @source RETURNING position, item, amount, price) INSERT INTO shop.line (order_id, position, item, amount, price) SELECT @target, position, item, amount, price FROM gone RETURNING position, item;

-- name: Raise :exec
UPDATE shop.line AS l SET price = l.price * @factor FROM shop.orders AS o WHERE o.id = l.order_id AND o.state = @state;

-- name: Ship :execrows
UPDATE shop.orders SET ship = @ship WHERE ship IS NULL OR ship = ANY(@former::shop.address[]);
