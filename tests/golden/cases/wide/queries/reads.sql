-- name: Lowered :many
SELECT lower(nick) AS low, lower(mail) AS mail_low, length(nick) AS size, nick || '!' AS shout FROM customer;

-- name: Coalesced :many
SELECT coalesce(nick, mail) AS name, coalesce(nick, item) AS maybe FROM customer, shop.line;

-- name: Arithmetic :many
SELECT amount * price AS total, amount + 1 AS more, amount / 2.0 AS half, price::float8 * 2 AS twice, -amount AS minus, weight * 2 AS w, cents + 1 AS c FROM shop.line JOIN shop.orders ON id = order_id;

-- name: Conditional :many
SELECT CASE WHEN amount > 1 THEN 'many' ELSE 'one' END AS word, CASE WHEN amount > 1 THEN item END AS some, CASE amount WHEN 1 THEN 1.5 ELSE 2 END AS num FROM shop.line;

-- name: Sums :one
SELECT sum(amount) AS amount, sum(price) AS price, avg(amount) AS mean, max(item) AS last, min(position) AS first, count(*) AS n, bool_or(amount > 1) AS any_many FROM shop.line;

-- name: SumsByOrder :many
SELECT order_id, sum(amount) AS amount, max(item) AS last, array_agg(position ORDER BY position) AS positions, array_agg(item) AS items, string_agg(DISTINCT item, ',') AS text, jsonb_agg(item) AS js FROM shop.line GROUP BY order_id;

-- name: Rolled :many
SELECT order_id, position, sum(amount) AS s FROM shop.line GROUP BY ROLLUP (order_id, position);

-- name: SumOrZero :one
SELECT coalesce(sum(amount), 0) AS total FROM shop.line;

-- name: Windows :many
SELECT order_id, row_number() OVER w AS row, lag(amount) OVER w AS before, sum(amount) OVER (PARTITION BY order_id ORDER BY position ROWS 2 PRECEDING) AS running, rank() OVER (ORDER BY price DESC) AS rank, ntile(4) OVER w AS quarter, first_value(item) OVER w AS f FROM shop.line WINDOW w AS (PARTITION BY order_id ORDER BY position);

-- name: Unioned :many
SELECT id::text AS id, nick FROM customer UNION ALL SELECT id::text, "Group" FROM shop.orders ORDER BY 1;

-- name: UnionNullable :many
SELECT label AS name FROM tree UNION SELECT a FROM loose;

-- name: Excepted :many
SELECT label FROM tree EXCEPT SELECT a FROM loose;

-- name: Recursive :many
WITH RECURSIVE up AS (
    SELECT id, parent, 1 AS depth, ARRAY[id] AS path FROM tree WHERE tree.id = @id
    UNION ALL
    SELECT t.id, t.parent, up.depth + 1, up.path || t.id FROM tree AS t JOIN up ON up.parent = t.id
)
SELECT id, parent, depth, path FROM up;

-- name: Joined :many
SELECT c.id, o.id AS order_id, o.state, l.item, l.amount FROM customer AS c LEFT JOIN shop.orders AS o ON o.customer_id = c.id LEFT JOIN shop.line AS l ON l.order_id = o.id;

-- name: RightJoined :many
SELECT c.mail, o.cents FROM customer AS c RIGHT JOIN shop.orders AS o ON o.customer_id = c.id;

-- name: FullJoined :many
SELECT c.mail, o.cents FROM customer AS c FULL JOIN shop.orders AS o ON o.customer_id = c.id;

-- name: UsingJoined :many
SELECT a.id, a.label, b.label AS other FROM tree AS a LEFT JOIN tree AS b USING (id);

-- name: LeftCte :many
WITH per AS (SELECT order_id, count(*) AS n FROM shop.line GROUP BY order_id) SELECT o.id, per.n, coalesce(per.n, 0) AS safe FROM shop.orders AS o LEFT JOIN per ON per.order_id = o.id;

-- name: LeftDerived :many
SELECT o.id, d.most FROM shop.orders AS o LEFT JOIN (SELECT order_id, max(amount) AS most FROM shop.line GROUP BY order_id) AS d ON d.order_id = o.id;

-- name: Lateral :many
SELECT o.id, x.item FROM shop.orders AS o LEFT JOIN LATERAL (SELECT item FROM shop.line WHERE order_id = o.id LIMIT 1) AS x ON true;

-- name: ScalarSub :many
SELECT id, (SELECT max(amount) FROM shop.line WHERE order_id = o.id) AS most, (SELECT count(*) FROM shop.line WHERE order_id = o.id) AS n, (SELECT label FROM tree WHERE tree.id = 1) AS label, EXISTS (SELECT 1 FROM shop.line) AS has, ARRAY(SELECT position FROM shop.line) AS positions FROM shop.orders AS o;

-- name: EmbedOuter :many
SELECT c.id, sqlc.embed(o) FROM customer AS c LEFT JOIN shop.orders AS o ON o.customer_id = c.id ORDER BY c.id;

-- name: EmbedOnlyOuter :many
SELECT sqlc.embed(l) FROM shop.orders AS o LEFT JOIN shop.line AS l ON l.order_id = o.id;

-- name: EmbedBoth :many
SELECT sqlc.embed(o), sqlc.embed(l) FROM shop.orders AS o JOIN shop.line AS l ON l.order_id = o.id;

-- name: Json :many
SELECT prefs -> 'a' AS a, prefs ->> 'b' AS b, prefs #>> '{a,b}' AS c, prefs ? 'x' AS has, jsonb_build_object('id', id) AS obj, prefs['k'] AS k, extra || '{}' AS merged, jsonb_array_length(prefs -> 'list') AS size FROM customer;

-- name: Times :many
SELECT date_trunc('day', joined) AS day, extract(epoch FROM joined) AS epoch, extract(month FROM joined) AS month, joined + interval '1 day' AS later, now() - joined AS age, joined::date AS date, current_date - born AS days, born + 1 AS next, to_char(joined, 'YYYY') AS text, joined AT TIME ZONE 'UTC' AS utc FROM customer;

-- name: Ranges :many
SELECT during, slots, lower(during) AS since, upper(during) AS until, during @> now() AS now, flags, near, few, doubled, "Group", "order", former FROM shop.orders;

-- name: InRange :many
SELECT id FROM shop.orders WHERE during && @during AND slots @> @slot::int AND state = @state AND state = ANY(@states::shop.state[]);

-- name: Arrays :many
SELECT tags, tags[1] AS first, array_length(tags, 1) AS size, cardinality(tags) AS n, tags || ARRAY['x'] AS more, array_remove(tags, 'x') AS less, 'a' = ANY(tags) AS has, unnest(tags) AS tag FROM customer;

-- name: Tagged :many
SELECT id FROM customer WHERE @tag = ANY(tags) AND tags @> @all_of AND id = ANY(@ids);

-- name: Generated :many
SELECT g AS number FROM generate_series(1, @upto::int) AS g;

-- name: Days :many
SELECT d::date AS day, count(c.id) AS joined FROM generate_series(@since::timestamptz, @until::timestamptz, '1 day') AS d LEFT JOIN customer AS c ON c.joined::date = d::date GROUP BY d;

-- name: View :many
SELECT * FROM shop.totals WHERE total > @least;

-- name: ViewItem :many
SELECT items, last_item FROM shop.totals;

-- name: Grouped :many
SELECT state, count(*) FILTER (WHERE cents > 10) AS big, sum(cents) FILTER (WHERE cents > 10) AS big_sum, percentile_cont(0.5) WITHIN GROUP (ORDER BY cents) AS median FROM shop.orders GROUP BY state HAVING count(*) > @least;

-- name: Distances :many
SELECT id, near <=> @query AS distance, 1 - (near <-> @query) AS score FROM shop.orders ORDER BY near <=> @query LIMIT @most;

-- name: Distinct :many
SELECT DISTINCT ON (customer_id) customer_id, cents, nullif(cents, 0) AS some, greatest(cents, 5) AS least FROM shop.orders ORDER BY customer_id, cents DESC;

-- name: Own :many
SELECT shop.tax(price) AS tax FROM shop.line;

-- name: Literals :one
SELECT 1 AS i, 1.5 AS n, 'x' AS t, true AS b, NULL AS z, 3000000000 AS big, DATE '2026-01-01' AS d, ARRAY[1, 2] AS a, current_user AS u;

-- name: Whole :many
SELECT * FROM shop.line WHERE (order_id, position) IN (SELECT id, 1 FROM shop.orders) OR item ILIKE @pattern OR item IS DISTINCT FROM @item FOR UPDATE;

-- name: Page :many
SELECT id FROM customer WHERE (joined, id) < (@joined, @id) AND (sqlc.narg('nick')::text IS NULL OR nick = sqlc.narg('nick')) ORDER BY joined DESC LIMIT @size OFFSET @skip;

-- name: Between :many
SELECT id FROM shop.orders WHERE cents BETWEEN @low AND @high AND placed > @since AND rate IN (@one, 2) AND NOT (cents = @not_this);

-- name: Math :many
SELECT round(price, 1) AS r, abs(amount) AS a, ceil(price) AS c, power(amount, 2) AS p, mod(amount, 2) AS m, amount % 2 = 0 AS even, sqrt(amount) AS s, random() AS x FROM shop.line;

-- name: Texts :many
SELECT substring(mail FROM 1 FOR 3) AS sub, position('@' IN mail) AS at, split_part(mail, '@', 2) AS host, trim(mail) AS t, concat(nick, mail) AS c, md5(mail) AS h, format('%s', mail) AS f, mail ~ 'x' AS m, substring(mail FROM '@(.*)') AS tail FROM customer;

-- name: Ships :many
SELECT id, ship, (ship).zip AS zip FROM shop.orders;

-- name: Uneven :many
SELECT generate_series(1, 3) AS n, unnest(tags) AS tag, regexp_match(mail, '(x)?@') AS found FROM customer;

-- name: NearestBits :many
SELECT id, flags <~> @flags AS hamming, flags <%> @flags::bit(3) AS jaccard,
    (1 - (flags <%> @flags))::numeric(3, 2) AS alike
FROM shop.orders WHERE flags <~> @flags < @most ORDER BY flags <~> @flags, id LIMIT 5;

-- name: HammingTo :many
SELECT hamming_distance(flags, @flags) AS far FROM shop.orders WHERE flags IS NOT NULL ORDER BY far;
