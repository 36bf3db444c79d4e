"""Where a parameter stands more than once, PostgreSQL decides its type at the first of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import asyncpg

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.sql.statements import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES = {
    "id": "int4", "s": "st", "v": "varchar", "x": "text", "n": "int4", "b": "int8", "d": "dom",
    "j": "jsonb", "a": "_text", "at": "timestamptz", "ts": "timestamp", "dd": "date",
    "num": "numeric", "sm": "int2", "u": "uuid", "ok": "bool", "pl": "place",
}  # fmt: skip
STATEMENTS = r"""
UPDATE t SET s=$1, x=CASE WHEN $1='a' THEN 'y' END
UPDATE t SET v=$1, x=CASE WHEN $1='a' THEN 'y' END
UPDATE t SET x=$1, v=CASE WHEN $1='a' THEN 'y' END
UPDATE t SET v=$1 WHERE v <> $1
UPDATE t SET v=$1 WHERE x <> $1
UPDATE t SET v=$1, x=$1
UPDATE t SET x=$1, v=$1
UPDATE t SET n=$1, b=$1
UPDATE t SET b=$1, n=$1
UPDATE t SET n=$1, b=b+$1
UPDATE t SET b=$1, n=n+$1
INSERT INTO t(v,x) VALUES($1,$1)
INSERT INTO t(v,x) VALUES($1,lower($1))
INSERT INTO t(x,v) VALUES($1,lower($1))
INSERT INTO t(x,v) VALUES(lower($1),$1)
INSERT INTO t(v,x) SELECT $1,$1
INSERT INTO t(v,x) SELECT $1,lower($1)
INSERT INTO t(n,b) VALUES($1,$1+1)
INSERT INTO t(d,x) VALUES($1,$1)
INSERT INTO t(v,x) VALUES($1,$1),('a',$1)
INSERT INTO t(id,v) VALUES(1,$1) ON CONFLICT DO NOTHING RETURNING x=$1
SELECT * FROM t WHERE v=$1 AND x=$1
SELECT * FROM t WHERE n=$1 AND b=$1
SELECT * FROM t WHERE b=$1 AND n=$1
SELECT $1 = v, $1 = x FROM t
SELECT coalesce($1, x), $1=v FROM t
SELECT * FROM t WHERE at>$1 AND dd>$1
UPDATE t SET s=$1 WHERE s<>$1
UPDATE t SET at=$1, dd=$1
UPDATE t SET d=$1 WHERE d=$1
UPDATE t SET d=$1, x=lower(d)||$1
UPDATE t SET num=$1 WHERE num>$1
UPDATE t SET sm=$1, n=$1+n
UPDATE t SET s=coalesce($1,s), x=CASE WHEN $1 IS NOT NULL THEN 'a' ELSE x END
UPDATE t SET s=CASE WHEN $1='a' THEN $1 ELSE s END
SELECT * FROM t WHERE $1 IN (v) AND $1 IN (x)
UPDATE t SET j=$1, x=$1->>'a'
UPDATE t SET (v,x)=($1,$1)
UPDATE t SET v=$1 FROM (SELECT $1 AS q) z WHERE z.q=x
WITH w AS (SELECT $1 AS q) UPDATE t SET v=$1 FROM w
SELECT CASE WHEN $1 THEN 1 END, $1 FROM t
SELECT $1, v=$1 FROM t
SELECT v=$1 FROM t ORDER BY $1
INSERT INTO t(v,x) VALUES($1,'a') ON CONFLICT DO NOTHING
SELECT * FROM t WHERE (v,x)=($1,$1)
SELECT * FROM t WHERE v IN ($1,$1)
SELECT $1 || v, $1 || x FROM t
SELECT * FROM t LIMIT $1 OFFSET $1
SELECT * FROM t WHERE ($1 = '' OR s = $1)
SELECT * FROM t WHERE ($1 = '' OR v = $1)
SELECT * FROM t WHERE (s = $1 OR $1 = '')
SELECT * FROM t WHERE (n = $1 OR $1 = 0)
SELECT * FROM t WHERE ($1 = 0 OR b = $1)
SELECT $1 AS q FROM t WHERE n=$1
SELECT $1 AS q FROM t WHERE x=$1
SELECT lower($1), v=$1 FROM t
SELECT * FROM t WHERE (n,b)=($1,$1)
SELECT coalesce($1,n), coalesce($1,b) FROM t
INSERT INTO t(n) SELECT $1 WHERE $1 > 2
INSERT INTO t(x,n) SELECT $1, n FROM t WHERE n=$1
SELECT * FROM t WHERE x LIKE $1||'%' OR v=$1
SELECT $1 UNION SELECT n FROM t WHERE n=$1
WITH w AS (SELECT $1 AS q) SELECT * FROM w, t WHERE n=$1
SELECT greatest($1,n,$1) FROM t WHERE b>$1
SELECT CASE WHEN n=$1 THEN $1 ELSE b END FROM t
UPDATE t SET n=coalesce($1,n), b=coalesce($1,b)
UPDATE t SET x=$1 WHERE ($1 IS NULL OR x=$1)
UPDATE t SET x = CASE WHEN $1 THEN $2 ELSE x END, v = CASE WHEN $1 THEN v ELSE $2 END
INSERT INTO t(id,x,v) VALUES ($1,$2,$3) ON CONFLICT DO NOTHING
SELECT * FROM t WHERE a @> ARRAY[$1] OR x = $1
SELECT * FROM t WHERE $1 = ANY(a) AND v=$1
SELECT * FROM t ORDER BY CASE WHEN $1='a' THEN x END, CASE WHEN $1='b' THEN v END
SELECT exists(SELECT 1 FROM t WHERE n=$1) OR $1 > 3
INSERT INTO t(d,x) VALUES($1,lower($1))
UPDATE t SET x=$1, d=coalesce($1,d)
SELECT array_append(a,$1), v=$1 FROM t
SELECT make_interval(days => 1)
SELECT extract(epoch FROM $1::timestamptz), at > $1 FROM t
SELECT date_trunc('day', at) = $1, dd = $1 FROM t
SELECT to_char(at,$1), v=$1 FROM t
UPDATE t SET at = now() + $1, x = $1
SELECT num > $1, n > $1 FROM t
SELECT n > $1, num > $1 FROM t
SELECT string_agg(x,$1), max(v) = $1 FROM t
UPDATE t SET j = jsonb_set(j, ARRAY[$1], to_jsonb(n)), x=$1
UPDATE t SET j = jsonb_build_object('a', $1::text), x=$1, v=$1
INSERT INTO t(n, x) VALUES (length($1), $1)
INSERT INTO t(n, v) VALUES (length($1), $1)
INSERT INTO t(x, v) VALUES (upper($1), substring($1 FROM 1 for 3))
INSERT INTO t(at, dd) VALUES ($1, $1::date)
INSERT INTO t(at, dd) VALUES ($1::timestamptz, $1)
SELECT $1 AS q FROM t WHERE n = $1
SELECT $1 AS q FROM t WHERE n = $1 ORDER BY $1
SELECT * FROM t WHERE (n, b) = ($1, $1)
SELECT * FROM t WHERE (b, n) = ($1, $1)
SELECT * FROM t WHERE (n, $1) = ($1, b)
SELECT * FROM t WHERE (n, b) IN (($1, $1))
INSERT INTO t(d, x) VALUES ($1, $1)
INSERT INTO t(x, d) VALUES ($1, $1)
INSERT INTO t(d, v) VALUES ($1, $1)
UPDATE t SET d = $1, x = $1
UPDATE t SET d = $1 WHERE d = $1
UPDATE t SET d = $1, x = lower($1)
SELECT * FROM t WHERE ($1 = 'a' OR s = $1)
SELECT * FROM t WHERE s = $1 OR $1 = 'a'
SELECT * FROM t WHERE s = $1 OR x = $1
SELECT * FROM t WHERE x = $1 OR s = $1
SELECT * FROM t WHERE u = $1 OR x = $1
SELECT * FROM t WHERE n = $1 AND x = lower($1)
SELECT * FROM t WHERE x = $1 AND n = $1
SELECT * FROM t WHERE n = $1 AND coalesce($1, x) = x
UPDATE t SET n = $1 WHERE x = $1
UPDATE t SET s = $1 WHERE x = $1
UPDATE t SET x = $1 WHERE s = $1
UPDATE t SET x = $1 WHERE n = $1
UPDATE t SET s = $1 WHERE s::text = $1
INSERT INTO t(n) SELECT $1 FROM t WHERE x = $1
INSERT INTO t(x) SELECT $1 FROM t WHERE n = $1
INSERT INTO t(s, x) VALUES ($1, $1)
INSERT INTO t(s) VALUES ($1) ON CONFLICT DO NOTHING RETURNING x = $1
SELECT CASE WHEN $1 = 'a' THEN $1 ELSE x END FROM t
SELECT CASE WHEN n = 1 THEN $1 WHEN $1 = 5 THEN n END FROM t
SELECT CASE $1 WHEN 'a' THEN 1 WHEN x THEN 2 END FROM t
SELECT CASE n WHEN $1 THEN 1 WHEN $2 THEN b END FROM t
SELECT CASE n WHEN $1 THEN $1 ELSE b END FROM t
SELECT * FROM t WHERE n BETWEEN $1 AND $2
SELECT * FROM t WHERE $1 BETWEEN n AND b
SELECT * FROM t WHERE $1 BETWEEN b AND n
SELECT * FROM t WHERE n BETWEEN $1 AND b AND b > $1
SELECT * FROM t WHERE d BETWEEN $1 AND $2
SELECT * FROM t WHERE d IN ($1, $2)
SELECT * FROM t WHERE v IN ($1, $2)
SELECT * FROM t WHERE v = ANY($1)
SELECT * FROM t WHERE d = ANY($1)
SELECT * FROM t WHERE s = ANY($1)
SELECT * FROM t WHERE n = ANY($1)
SELECT * FROM t WHERE x LIKE ANY($1)
SELECT * FROM t WHERE $1 = ANY(a)
SELECT * FROM t WHERE v IS DISTINCT FROM $1
SELECT * FROM t WHERE d IS DISTINCT FROM $1
SELECT coalesce($1, d) FROM t
SELECT coalesce(d, d) FROM t WHERE d = $1
SELECT coalesce($1, v) FROM t
SELECT nullif($1, v) FROM t
SELECT nullif(v, $1) FROM t
SELECT nullif($1, '') = x FROM t
SELECT * FROM t WHERE $1 IN (SELECT v FROM t)
SELECT * FROM t WHERE $1 IN (SELECT d FROM t)
SELECT * FROM t WHERE $1 IN (SELECT n FROM t)
SELECT * FROM t WHERE (n, x) IN (SELECT n, v FROM t WHERE v = $1)
SELECT * FROM t WHERE ($1, $2) IN (SELECT n, v FROM t)
SELECT $1 UNION ALL SELECT n FROM t
SELECT $1 UNION ALL SELECT $2
SELECT n FROM t EXCEPT SELECT $1
SELECT n FROM t INTERSECT SELECT $1
SELECT * FROM (SELECT $1 AS q) z, t WHERE n = $1
WITH w AS (SELECT $1 AS q) SELECT * FROM w WHERE q = 'a'
WITH w AS (SELECT $1 AS q) SELECT * FROM w, t WHERE n = $1
SELECT (SELECT $1) = x FROM t
SELECT (SELECT $1) = n FROM t
SELECT exists (SELECT $1)
VALUES ($1, $2)
VALUES ($1, 1), (2, $2)
SELECT * FROM (VALUES ($1, 1), ($2, 2)) v(a, b)
SELECT * FROM (VALUES ($1, 1)) z(a, b), t WHERE n = $1
INSERT INTO t(n, x) SELECT * FROM (VALUES ($1, $2)) z
INSERT INTO t(n, x) VALUES ($1, $2), ($2, $1)
INSERT INTO t(n, x) VALUES ($1, $2), ($1, $2)
SELECT n, $1 FROM t GROUP BY n, $1
SELECT count(*) FROM t GROUP BY $1
SELECT $1 FROM t ORDER BY 1
SELECT DISTINCT $1 FROM t
SELECT sum(n) FILTER (WHERE x = $1) FROM t
SELECT array_agg(n ORDER BY $1) FROM t
SELECT row($1, $1) FROM t
SELECT ARRAY[$1, n] FROM t
SELECT ARRAY[$1, $2] FROM t
SELECT ARRAY[$1, d] FROM t
SELECT greatest($1, d) FROM t
SELECT $1::dom, x = $1 FROM t
SELECT $1::varchar, x = $1 FROM t
INSERT INTO t(x) VALUES ($1::varchar)
INSERT INTO t(v, x) VALUES ($1::varchar, $1)
INSERT INTO t(x, v) VALUES ($1, $1::varchar)
UPDATE t SET n = $1, sm = $1::int2
UPDATE t SET n = n + $1, b = b + $1
UPDATE t SET n = $1 + 1, b = $1
UPDATE t SET b = $1, n = $1 + 1
SELECT * FROM t WHERE at > $1 AND ts > $1
SELECT * FROM t WHERE at > $1 AND dd = $1
SELECT * FROM t WHERE dd = $1 AND at > $1
SELECT * FROM t WHERE ok = $1 OR $1
SELECT * FROM t WHERE $1 AND ok = $1
SELECT * FROM t WHERE NOT $1
SELECT * FROM t WHERE $1 IS TRUE AND ok = $1
SELECT * FROM t WHERE n = $1 LIMIT $1
SELECT * FROM t WHERE b = $1 LIMIT $1
SELECT * FROM t WHERE x = $1 LIMIT $1
SELECT * FROM t WHERE j @> $1
SELECT * FROM t WHERE j ? $1
SELECT * FROM t WHERE j ->> $1 = $2
SELECT * FROM t WHERE j -> $1 -> $2 IS NOT NULL
SELECT * FROM t WHERE j #>> $1 = 'a'
SELECT * FROM t WHERE a && $1
SELECT * FROM t WHERE a @> ARRAY[$1]
SELECT * FROM t WHERE x ILIKE '%' || $1 || '%'
SELECT * FROM t WHERE x ILIKE $1 || '%' AND s = $1
SELECT * FROM t WHERE at > now() - $1
SELECT * FROM t WHERE at > now() - $1 * interval '1 day'
SELECT * FROM t WHERE at > now() - make_interval(days => $1)
SELECT * FROM t WHERE at > now() - make_interval(hours := $1, secs => $2)
SELECT make_interval(days => $1, x => 1)
SELECT jsonb_set(j, $1, $2, create_if_missing => TRUE) FROM t
SELECT * FROM generate_series(1, $1) g
SELECT * FROM unnest($1::int[]) u
SELECT lag(n, $1) OVER (ORDER BY id) FROM t
SELECT lag(n, 1, $1) OVER (ORDER BY id) FROM t
SELECT ntile($1) OVER () FROM t
SELECT string_to_array($1, ',')
SELECT split_part(x, $1, $2) FROM t
SELECT left(x, $1) FROM t
SELECT to_timestamp($1)
SELECT date_trunc($1, at) FROM t
SELECT extract(epoch FROM at - $1) FROM t
SELECT n + $1 FROM t WHERE b = $1
SELECT percentile_cont($1) WITHIN GROUP (ORDER BY n) FROM t
SELECT n = $1 FROM t WHERE ($2 = '' OR s::text = $2)
DELETE FROM t WHERE s = $1 RETURNING $1 = 'a'
SELECT * FROM t WHERE ($1 IS NULL OR n = $1)
SELECT * FROM t WHERE (n = $1 OR $1 IS NULL)
SELECT * FROM t WHERE ($1::int IS NULL OR n = $1)
SELECT * FROM t WHERE coalesce($1, 0) = 0 OR n = $1
SELECT * FROM t WHERE coalesce($1, '') = '' OR s = $1
SELECT * FROM t WHERE coalesce($1, s) = s
SELECT * FROM t WHERE s = coalesce($1, s) AND x = $1
SELECT * FROM t WHERE s IN ($1, 'a')
SELECT * FROM t WHERE $1 = ANY('{a,b}')
SELECT * FROM t WHERE n = $1 AND num = $1 AND sm = $1
SELECT * FROM t WHERE num = $1 AND n = $1
SELECT * FROM t JOIN t t2 ON t2.n = $1 WHERE t.b = $1
SELECT * FROM t LEFT JOIN LATERAL (SELECT $1 AS q) l ON TRUE WHERE n = $1
UPDATE t SET (v, x) = (SELECT $1, $2)
UPDATE t SET (n, b) = ($1, $1)
UPDATE t SET n = (SELECT $1)
UPDATE t SET n = (SELECT max(n) FROM t WHERE n < $1) WHERE b = $1
INSERT INTO t(n) VALUES ((SELECT $1))
INSERT INTO t(id, n) SELECT id, $1 FROM t UNION ALL SELECT 1, 2
INSERT INTO t(n, x) SELECT $1, $2
INSERT INTO t(n, b) SELECT $1, $1
UPDATE t SET s = $1::st, x = CASE WHEN $1::st = 'a' THEN 'y' END
UPDATE t SET n = $1::int4, x = $1::int4
SELECT $1::int4 AS q FROM t WHERE n = $1::int4
SELECT * FROM t WHERE (n, b) = ($1::int8, $1::int8)
INSERT INTO t(d, x) VALUES ($1::dom, $1::dom)
INSERT INTO t(x, d) VALUES ($1::dom, $1::dom)
INSERT INTO t(v, x) VALUES ($1::varchar, $1::varchar)
SELECT * FROM t WHERE $1 = '' OR s::text = $1
SELECT * FROM t WHERE u = $1 OR x = $1::text
SELECT * FROM t WHERE x = $1 OR u::text = $1
SELECT * FROM t WHERE x = $1 AND n::text = $1
UPDATE t SET n = $1::int4 WHERE x = $1
UPDATE t SET s = $1::st WHERE x = $1
SELECT * FROM t WHERE n = $1 AND coalesce($1::text, x) = x
SELECT * FROM t WHERE n = $1 AND x = lower($1::text)
SELECT * FROM t WHERE at > now() - $1::interval
SELECT * FROM t WHERE n = $1 OR $1::text = ''
UPDATE t SET j = $1::jsonb, x = $1::jsonb ->> 'a'
UPDATE t SET at=$1::date, dd=$1::date
UPDATE t SET sm=$1::int4, n=$1::int4+n
SELECT * FROM t WHERE x = ANY($1) OR $1 IS NULL
SELECT * FROM t WHERE cardinality($1) = 0 OR x = ANY($1)
SELECT * FROM t WHERE cardinality($1::text[]) = 0 OR x = ANY($1)
SELECT * FROM t WHERE array_length($1, 1) IS NULL OR n = ANY($1)
SELECT * FROM t WHERE n = ANY($1) OR cardinality($1) = 0
SELECT * FROM t WHERE n = ANY($1::int[]) AND NOT b = ANY($1)
SELECT * FROM t WHERE n = ANY($1) AND b = ANY($1)
SELECT * FROM t WHERE $1 <> '' AND x LIKE $1
SELECT * FROM t WHERE j @> $1 AND j ? $1
SELECT * FROM t WHERE to_tsvector(x) @@ to_tsquery($1) OR x ILIKE $1
SELECT * FROM t WHERE at::date = $1
SELECT * FROM t WHERE date_trunc('day', at) = $1
SELECT * FROM t WHERE at >= $1 AND at < $1 + interval '1 day'
SELECT * FROM t WHERE at >= $1::date AND at < $1::date + 1
SELECT * FROM t WHERE at >= $1::date AND at < $1 + 1
SELECT * FROM t WHERE n = $1::int OR $1 = 0
SELECT * FROM t WHERE ($1::text IS NULL OR x = $1) AND ($2::st IS NULL OR s = $2)
SELECT * FROM t WHERE ($1::text = '' OR x ILIKE '%' || $1 || '%') AND ($2 = 0 OR n = $2)
SELECT * FROM t WHERE ($1 = 0 OR b = $1) AND ($2 = 0 OR sm = $2)
SELECT * FROM t WHERE ($1 = 0.0 OR num = $1)
SELECT * FROM t WHERE ($1 = 0.0 OR n = $1)
SELECT * FROM t WHERE NOT ok OR ok = $1 OR $1
SELECT count(*) FILTER (WHERE x = $1), count(*) FILTER (WHERE v = $1) FROM t
SELECT sum(n) FROM t HAVING sum(n) > $1 AND count(*) > $1
SELECT greatest(n, $1) FROM t WHERE n > $1
SELECT DISTINCT ON (x) x FROM t WHERE x > $1 ORDER BY x, n = $1
SELECT row_number() OVER (PARTITION BY x = $1 ORDER BY n) FROM t WHERE v = $1
SELECT CASE x WHEN $1 THEN n ELSE $2 END FROM t WHERE x = $1
SELECT CASE WHEN $1 THEN x WHEN NOT $1 THEN v END FROM t
SELECT CASE WHEN n > $1 THEN $1 ELSE 0 END FROM t
SELECT CASE WHEN n > $1 THEN $1 ELSE 0.5 END FROM t
SELECT CASE WHEN n > $1 THEN 'a' ELSE $2 END FROM t
SELECT CASE $1 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END
SELECT CASE $1::int WHEN 1 THEN 'a' WHEN $2 THEN 'b' END
SELECT coalesce($1, 1), coalesce($2, 'a'), coalesce($3, now())
SELECT coalesce(n, $1) + coalesce(b, $1) FROM t
SELECT coalesce($1, s) FROM t
SELECT coalesce(s, 'a') FROM t
SELECT coalesce(s, 'zzz') FROM t
SELECT nullif($1, '')::int
SELECT nullif($1, 0) + 1
SELECT n FROM t WHERE x IN ('a', $1, v)
SELECT n FROM t WHERE n IN (1, $1, b)
SELECT n FROM t WHERE $1 IN (1, 2) AND b = $1
SELECT n FROM t WHERE $1 NOT IN (SELECT x FROM t) AND v = $1
SELECT n FROM t WHERE (x, n) IN (VALUES ($1, $2))
SELECT n FROM t WHERE (n, b) IN (SELECT $1, $2)
SELECT n FROM t WHERE EXISTS (SELECT 1 FROM t AS i WHERE i.n = t.n AND i.x = $1) AND v = $1
SELECT n FROM t WHERE n = (SELECT max(b) FROM t WHERE sm = $1) AND n = $1
SELECT n FROM t WHERE n > ALL (SELECT $1::bigint)
SELECT n FROM t WHERE s <> ALL ($1)
SELECT n FROM t WHERE x NOT LIKE ALL ($1)
SELECT ARRAY[n, $1, b] FROM t
SELECT ARRAY[$1, 'a'], ARRAY[$2, 1.5]
SELECT a || $1 FROM t
SELECT $1 || a FROM t
SELECT a || ARRAY[$1] FROM t WHERE x = $1
SELECT array_append(a, $1) FROM t WHERE v = $1
SELECT array_remove(a, $1), array_position(a, $1) FROM t
SELECT unnest(a) = $1 FROM t
SELECT j || $1 FROM t
SELECT j || jsonb_build_object('a', $1) FROM t
SELECT j || jsonb_build_object('a', $1::int, 'b', $1) FROM t
SELECT jsonb_set(j, '{a}', to_jsonb($1::text)) FROM t WHERE x = $1
SELECT j -> 'a' ->> $1 FROM t
SELECT (j ->> 'a')::int = $1 FROM t
SELECT j #>> ARRAY['a', $1] FROM t
SELECT j @? $1 FROM t
SELECT jsonb_path_exists(j, $1) FROM t
SELECT jsonb_array_elements($1)
SELECT * FROM jsonb_to_recordset($1) AS r(a int, b text) WHERE r.a = $2
SELECT * FROM unnest($1, $2) AS u(a, b)
SELECT * FROM unnest($1::int[], $2::text[]) AS u(a, b) WHERE a = $3
SELECT * FROM generate_series($1::timestamptz, $2, '1 day') AS g
SELECT * FROM generate_series($1, $2, $3) AS g
SELECT * FROM (SELECT n FROM t WHERE x = $1) AS i JOIN t ON t.n = i.n AND t.v = $1
SELECT * FROM t AS a JOIN t AS b ON a.n = $1 AND b.b = $1
SELECT * FROM t AS a LEFT
    JOIN LATERAL (SELECT b.n FROM t AS b WHERE b.b = $1 LIMIT $2) AS i ON i.n = $1
WITH c AS (SELECT n FROM t WHERE x = $1) UPDATE t SET v = $1 FROM c WHERE c.n = t.n
WITH c AS (INSERT INTO t (x) VALUES ($1) RETURNING n) SELECT * FROM c WHERE n = $2
WITH c AS (INSERT INTO t (v) VALUES ($1) RETURNING n) SELECT n FROM t WHERE x = $1
WITH c AS (DELETE FROM t WHERE n = $1 RETURNING *) INSERT INTO t SELECT * FROM c WHERE b > $1
WITH RECURSIVE r AS (SELECT n FROM t WHERE n = $1
    UNION ALL SELECT t.n FROM t JOIN r ON r.n = t.sm WHERE t.b < $2) SELECT * FROM r
WITH RECURSIVE r(i, p) AS (SELECT n, ARRAY[n] FROM t WHERE x = $1
    UNION ALL SELECT t.n, p || t.n FROM t, r WHERE t.sm = r.i AND array_length(p, 1) < $2)
    SELECT * FROM r WHERE i > $2
WITH RECURSIVE r AS (SELECT 1 AS i
    UNION ALL SELECT i + 1 FROM r WHERE i < $1) SELECT i, $2::text FROM r
INSERT INTO t (n, x) VALUES ($1, $2) ON CONFLICT DO NOTHING
INSERT INTO t (n, x, v) VALUES ($1, $2, upper($2))
INSERT INTO t (n, x) VALUES ($1, $2) RETURNING n + $1, x || $2
INSERT INTO t (n, b) VALUES ($1, $1 * 2)
INSERT INTO t (b, n) SELECT $1, n FROM t WHERE n = $1
INSERT INTO t (n, x) SELECT n, $1 FROM t WHERE v = $1
INSERT INTO t (n, x) SELECT unnest($1::int[]), $2
INSERT INTO t (n, x) SELECT u, $2 FROM unnest($1::int[]) AS u
INSERT INTO t (at) VALUES (now() + $1)
INSERT INTO t (at) VALUES (now() + $1 * interval '1 second')
INSERT INTO t (at) VALUES (coalesce($1, now()))
INSERT INTO t (at, dd) VALUES ($1, $1)
INSERT INTO t (s) VALUES (coalesce($1, 'a'))
INSERT INTO t (s) VALUES (CASE WHEN $1 THEN 'a' ELSE 'b' END)
INSERT INTO t (s) VALUES (CASE WHEN $1 THEN 'a'::st ELSE $2 END)
INSERT INTO t (j) VALUES ($1), (jsonb_build_object('k', $2::text))
INSERT INTO t (a) VALUES (ARRAY[$1, $2])
INSERT INTO t (a) VALUES (string_to_array($1, ','))
INSERT INTO t (u) VALUES (coalesce($1, gen_random_uuid()))
INSERT INTO t (n) VALUES ((SELECT n FROM t WHERE x = $1)), ($2)
UPDATE t SET n = n + $1, b = $2 WHERE n >= $1
UPDATE t SET n = CASE WHEN $1 THEN $2 ELSE n END, b = CASE WHEN $1 THEN b ELSE $2 END
UPDATE t SET x = coalesce($1, x), v = coalesce($1, v)
UPDATE t SET x = coalesce($1, x), n = coalesce($2, n), s = coalesce($3, s)
UPDATE t SET x = $1 || x, v = $1
UPDATE t SET x = nullif($1, '') WHERE x <> $1
UPDATE t SET at = now(), x = $1 WHERE n = $2 RETURNING $1 = x
UPDATE t SET a = array_append(a, $1), x = $1
UPDATE t SET a = a || $1
UPDATE t SET j = j || $1
UPDATE t SET j = jsonb_set(j, '{a}', $1), x = $2
UPDATE t SET n = i.n FROM (VALUES ($1, $2)) AS i(n, x) WHERE t.x = i.x
UPDATE t SET n = i.n FROM (VALUES ($1::int, $2)) AS i(n, x) WHERE t.x = i.x
UPDATE t SET n = i.n FROM (SELECT unnest($1::int[]) AS n, unnest($2::text[]) AS x)
    AS i WHERE t.x = i.x
UPDATE t SET ok = NOT $1, n = CASE WHEN $1 THEN 1 END
UPDATE t SET sm = $1, n = $2 WHERE b = $1
DELETE FROM t USING t AS o WHERE o.n = $1 AND t.b = $1
DELETE FROM t WHERE at < now() - $1::interval OR at < $2
SELECT n FROM t WHERE at > now() - ($1 || ' days')::interval
SELECT n FROM t WHERE at > now() - $1 * interval '1 day' AND n = $1
SELECT n FROM t WHERE extract(year FROM at) = $1 AND n = $1
SELECT n FROM t WHERE age(at) > $1
SELECT n FROM t WHERE at - now() < $1
SELECT n FROM t WHERE (at, at) OVERLAPS ($1, $2)
SELECT n FROM t WHERE num * $1 > 1 AND n * $2 > 1
SELECT n FROM t WHERE num / $1 > n / $1
SELECT n FROM t WHERE n % $1 = 0 AND b % $1 = 0
SELECT n FROM t WHERE round(num, $1) = $2
SELECT n FROM t WHERE length(x) > $1 AND left(x, $1) = $2
SELECT n FROM t WHERE x ~ $1 OR x ~* $1 OR x SIMILAR TO $1
SELECT n FROM t WHERE x = lower($1) OR v = upper($1)
SELECT n FROM t WHERE lower(x) = lower($1) AND md5($1) = v
SELECT n FROM t WHERE starts_with(x, $1) AND position($1 IN x) > 0
SELECT n FROM t WHERE u = $1 AND x = $1::text
SELECT n FROM t WHERE u::text = $1 OR x = $1
SELECT n FROM t WHERE x COLLATE "C" > $1
SELECT n FROM t ORDER BY CASE WHEN $1 = 'n' THEN n END, CASE WHEN $1 = 'b' THEN b END DESC LIMIT $2
SELECT n FROM t FETCH FIRST $1 ROWS ONLY
SELECT n FROM t UNION SELECT $1 UNION SELECT b FROM t WHERE b = $1
SELECT x FROM t UNION ALL SELECT $1 ORDER BY 1 LIMIT $2
SELECT $1 EXCEPT SELECT x FROM t
(SELECT n FROM t WHERE x = $1) UNION (SELECT n FROM t WHERE v = $1)
VALUES ($1, 1), ('a', $2)
SELECT concat_ws(',', x, $1::text), $1 FROM t
SELECT format('%s', $1::int), n = $1 FROM t
SELECT pg_notify('c', $1), x = $1 FROM t
SELECT set_config('a.b', $1, $2)
SELECT to_char(at, $1), to_date($2, $1) FROM t
SELECT x IS NOT DISTINCT FROM $1, v IS DISTINCT FROM $1 FROM t
SELECT $1 IS NOT DISTINCT FROM $2
SELECT grouping(x), x FROM t GROUP BY ROLLUP (x) HAVING x = $1
SELECT n FROM t WHERE num BETWEEN $1 AND $1 + 1
SELECT n FROM t WHERE $1 BETWEEN 1 AND 2.5
SELECT n FROM t WHERE dd BETWEEN $1 AND $1 + 7
SELECT n FROM t WHERE dd = $1 + 1
SELECT n FROM t WHERE dd - $1 > 7
SELECT n FROM t WHERE dd - $1::date > 7
SELECT n FROM t WHERE daterange(dd, $1) @> $1
SELECT n FROM t WHERE tstzrange($1, $2) @> at
SELECT n FROM t WHERE at <@ tstzrange($1, $2, '[)') AND at < $1
SELECT n FROM t WHERE int4range($1, $2) && int4range(n, sm)
SELECT * FROM t WHERE n
SELECT * FROM t WHERE ok AND ($1 = n OR $1)
SELECT * FROM t WHERE num IS NOT UNKNOWN
UPDATE t SET ok = $1 WHERE n = $1
UPDATE t SET ok = $1::int::bool WHERE n = $1
UPDATE t SET a[$1] = $2
UPDATE t SET a[1:$1] = $2, x = $3
UPDATE t SET a[$1:] = $2 WHERE a[$1] = $3
UPDATE t SET a[1] = $1, n = $1
UPDATE t AS u SET a[n] = v.x FROM (SELECT $1::text AS x) AS v WHERE u.a[$2] = v.x
UPDATE t SET j['a'] = $1
UPDATE t SET j[$1]['b'] = $2
UPDATE t SET pl.street = $1, pl.codes[$2] = $3
INSERT INTO t (x) VALUES ($1) ON CONFLICT DO NOTHING RETURNING a[$2]
INSERT INTO t (id) VALUES ($1) ON CONFLICT (id) DO UPDATE SET a[$2] = excluded.x, pl.street = $3
SELECT * FROM t TABLESAMPLE bernoulli ($1)
SELECT * FROM t AS u TABLESAMPLE system ($1) REPEATABLE ($2) WHERE n = $3
SELECT pg_advisory_xact_lock(hashtext($1)), hashtextextended($2, $3)
"""


def spelled(name: str) -> str:
    """A type as the driver names it, in our spelling; of a domain it says the base."""
    return f"_{name[:-2]}" if name.endswith("[]") else name


def inferred(sql: str) -> list[str] | None:
    """The types of the parameters; None for what is refused, as it is where one is not sure."""
    infos = {
        name: ValueType(kind.removeprefix("_"), int(kind.startswith("_")))
        for name, kind in TYPES.items()
    }
    tables = {("public", "t"): infos}
    schema = Schema(
        "public",
        tables,
        domains={"dom": "text"},
        composites={"place": {"street": ValueType("text"), "codes": ValueType("int4", 1)}},
        enums={"st": ("a", "b")},
    )
    inference = Inference(schema, {1, 2, 3})
    columns(inference, parse(sql), None)
    if inference.ambiguous_params or inference.untyped or inference.type_errors:
        return None
    found: list[str] = []
    for number in sorted(set(re.findall(r"\$(\d)", sql))):
        info = inference.params.get(int(number), ValueType(""))
        found.append("_" * info.dims + {"dom": "text"}.get(info.type, info.type))
    return None if "" in found else found


async def prepared(connection: asyncpg.Connection[asyncpg.Record], sql: str) -> list[str] | None:
    """The types as the server knows them; None for what it refuses."""
    try:
        statement = await connection.prepare(sql)
    except asyncpg.PostgresError:
        return None
    return [spelled(each.name) for each in statement.get_parameters()]


def statements() -> Iterator[str]:
    yield from re.split(r"\n(?! )", STATEMENTS.strip())  # a statement may go on behind blanks


async def test_what_the_server_refuses_is_refused_and_nothing_else(database: str) -> None:
    wrong: list[str] = []
    connection = await asyncpg.connect(database)
    try:
        await connection.execute("CREATE TYPE st AS ENUM ('a', 'b'); CREATE DOMAIN dom AS text")
        await connection.execute("CREATE TYPE place AS (street text, codes int[])")
        names = ", ".join(
            f"{name} {kind.removeprefix('_')}{'[]' * kind.startswith('_')}"
            for name, kind in TYPES.items()
        )
        await connection.execute(f"CREATE TABLE t ({names}, UNIQUE (id))")
        for sql in statements():
            mine, theirs = inferred(sql), await prepared(connection, sql)
            if mine != theirs:
                wrong.append(f"{sql}: {mine}, on the server {theirs}")
    finally:
        await connection.close()
    assert wrong == []
