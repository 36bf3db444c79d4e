"""The types of single statements: as the server says, or not sure, never otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import Candidate, ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql.statements import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = """
CREATE TYPE shade AS ENUM ('dark', 'light');
CREATE TABLE lamp (
    a text NOT NULL, b int, n name, lit bool, t text[], j jsonb, at timestamptz, s shade, x numeric
);
CREATE FUNCTION lower(i int) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
CREATE FUNCTION twice(i int, times int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT i * times';
CREATE FUNCTION twice(t text) RETURNS text LANGUAGE sql AS 'SELECT t || t';
"""
TYPES = {
    "a": "text", "b": "int4", "n": "name", "lit": "bool", "t": "_text", "j": "jsonb",
    "at": "timestamptz", "s": "shade", "x": "numeric",
}  # fmt: skip
FUNCTIONS = {
    "lower": (Candidate("u", ("int4",), "int8"),),
    "twice": (
        Candidate("u1", ("int4", "int4"), "int4", names=("i", "times")),
        Candidate("u", ("text",), "text", names=("t",)),
    ),
}
# What stands in a SELECT list; `$1` and `$2` are parameters.
EXPRESSIONS = """
concat('a', $1)
format('%s', $1)
json_build_object('a', $1)
concat_ws(',', $1, $2)
count($1)
num_nulls($1)
to_jsonb($1)
row($1) IS NULL
pg_typeof($1)
array_length($1, 1)
cardinality($1)
CASE WHEN $1 IS TRUE THEN 1 END
CASE WHEN $1 IS NULL THEN a ELSE $1 END
ARRAY[$1]
$1 = $2
coalesce($1, $2)
$1 IS DISTINCT FROM $2
$1 || 'a'
$1 || $2
($1, $2) = (a, b)
length($1)
$1 + 1
$1 - interval '1 day'
now() - $1
$1 * 2.5
a LIKE $1
upper($1)
sum($1)
max($1)
b = ANY ($1)
$1 = ANY (ARRAY[1])
nullif($1, '')
greatest($1, 1)
date_trunc('day', $1)
abs($1)
round($1, 2)
$1 BETWEEN 1 AND 2
$1::text || $1
CASE WHEN lit THEN $1 ELSE b END
n = $1
CASE WHEN lit THEN $1 END
string_agg(a, $1)
to_tsvector($1)
generate_series(1, $1)
unnest($1)
unnest($1::int[])
jsonb_set('{}', $1, $2)
j -> $1
j ->> $1
j ? $1
j - $1
t || $1
t && $1
array_append($1, 1)
array_append(ARRAY[1], $1)
$1 && ARRAY['a']
make_interval(days => $1)
make_interval(hours := $1, mins => 2)
make_interval(1, days => $1, secs := $2)
make_interval(none => $1)
make_date(month => $1, day => 1, year => $2)
make_date(month => $1, day => 1)
jsonb_set(j, path => $1, replacement => $2)
jsonb_insert(j, $1, $2, insert_after => true)
jsonb_path_query_first(j, '$.a', silent => $1)
regexp_replace(a, pattern => $1, replacement => '')
twice(i => $1)
twice(t => $1)
twice(times => $1, i => b)
twice($1, times := 2)
age($1)
to_char($1, 'x')
extract(day FROM $1)
$1 AT TIME ZONE 'utc'
EXISTS (SELECT $1)
$1 IN (SELECT b FROM lamp)
substring(a FROM $1)
position($1 IN a)
trim($1)
date '2020-01-01' + $1
lower($1)
lower(1)
lower(a)
lower(int4range(1, 2))
twice(1)
twice($1)
twice($1, 3)
twice(b)
twice(a)
min(s)
max(s)
array_agg(s)
array_remove(t, NULL)
array_remove(t, $1)
s = $1
a IS JSON OBJECT
$1 IS JSON
at > $1
at - $1
at + $1
b / 2
x / b
b * 1.5
2 ^ b
b % $1
JSON_EXISTS(j, '$.a')
JSON_VALUE(j, '$.a')
JSON_VALUE(j, '$.a' RETURNING int)
JSON_QUERY(j, '$.a')
(at, at) OVERLAPS (at, at)
sum(b)
sum(x)
avg(b)
sum(b::int8)
percentile_cont(0.5) WITHIN GROUP (ORDER BY b)
-$1
NOT $1
$1 IS NOT NULL AND a = $1
a = $1 AND $1 IS NOT NULL
CASE a WHEN $1 THEN 1 ELSE 2.5 END
a || b
t || t
j || '{}'
b::text || $1
coalesce(b, 1.5)
coalesce(a, n)
least(at, now())
"""
STATEMENTS = """
SELECT * FROM lamp WHERE $1 IS NULL OR a = $1
SELECT * FROM lamp WHERE a = $1 AND $1 IS NULL
SELECT a FROM lamp LIMIT $1 OFFSET $2
UPDATE lamp SET a = CASE WHEN $1 IS NULL THEN a ELSE $1 END
UPDATE lamp SET s = $1, t = CASE WHEN $1 = 'dark' THEN t END
UPDATE lamp SET s = $1, t = CASE WHEN s = $1 THEN t END
UPDATE lamp SET b = $1, x = $1
UPDATE lamp SET b = $1, x = x + $1 WHERE b = $1
UPDATE lamp SET (a, n) = ($1, lower($1))
UPDATE lamp SET b = coalesce($1, b) WHERE $1 IS NULL
UPDATE lamp SET b = CASE WHEN $1 IS NULL THEN b END WHERE b = $1
UPDATE lamp SET a = $1 || a, t = t || $2 RETURNING a, t, lower(a)
INSERT INTO lamp (a, b) VALUES ($1, $2), (upper($1), $2)
INSERT INTO lamp (a, b) VALUES ($1, length($1))
INSERT INTO lamp (n, b) VALUES ($1, length($1))
INSERT INTO lamp (a, n) SELECT $1, $1
INSERT INTO lamp (b) SELECT $1 FROM lamp
INSERT INTO lamp (a, b) VALUES ($1, $2 + 1) RETURNING b * 2.0, s
DELETE FROM lamp WHERE (a, b) IN (SELECT $1, $2::int) RETURNING at - now()
SELECT x.v FROM (SELECT a || $1 AS v FROM lamp) AS x WHERE x.v = $2
WITH w AS (SELECT b FROM lamp WHERE b > $1) SELECT sum(b) FROM w
WITH w AS (SELECT 0 AS b UNION ALL SELECT count(*) FROM lamp) SELECT sum(b) FROM w
WITH RECURSIVE w AS (SELECT 0 AS b UNION SELECT count(*) FROM lamp) SELECT sum(b) FROM w
WITH RECURSIVE w AS (SELECT 1 AS b UNION SELECT b + 1 FROM w WHERE b < 3) SELECT sum(b) FROM w
WITH lamp AS (SELECT a FROM lamp UNION SELECT n FROM lamp) SELECT a FROM lamp
SELECT a FROM lamp UNION SELECT n FROM lamp
SELECT b FROM lamp UNION ALL SELECT x FROM lamp
SELECT e.* FROM ROWS FROM (unnest($1::uuid[]), generate_series(1, $2::int)) WITH ORDINALITY AS e (u)
SELECT count(*), max(unnest) FROM ROWS FROM (unnest($1::date[]))
"""


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    made = await asyncpg.connect(database)
    await made.execute(TABLE)
    yield made
    await made.close()


def spelled(name: str) -> str:
    """A type as the driver names it, in our spelling."""
    bare = name.removesuffix("[]").removeprefix("_")
    return ("_" if bare != name else "") + normal_name(bare)


def ours(info: ValueType | None) -> str:
    kind = "text" if info and info.open else info.type if info else ""
    return ("_" if info and info.dims else "") + kind


def statements() -> list[str]:
    parts = [f"SELECT {each} FROM lamp" for each in EXPRESSIONS.split("\n") if each]  # noqa: S608
    return [*parts, *(each for each in STATEMENTS.split("\n") if each)]


def inferred(sql: str) -> tuple[Inference, list[ValueType]]:
    infos = {
        name: ValueType(kind.removeprefix("_"), int(kind.startswith("_")))
        for name, kind in TYPES.items()
    }
    inference = Inference(Schema("public", {("public", "lamp"): infos}, FUNCTIONS))
    return inference, [info for _, info in columns(inference, parse(sql), None)]


async def test_what_is_sure_is_what_the_server_says(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    wrong: list[str] = []
    sure = 0
    for sql in statements():
        inference, results = inferred(sql)
        numbers = {number for number in (1, 2) if f"${number}" in sql}
        refused = {*inference.untyped, *inference.ambiguous_params}
        known = numbers <= set(inference.params) and not refused
        known = known and all(each.type for each in results)
        try:
            statement = await connection.prepare(sql)
        except asyncpg.PostgresError as error:
            if known:
                wrong.append(f"{sql}: the server refuses it: {error}")
            continue
        theirs = [spelled(each.type.name) for each in statement.get_attributes()]
        takes = [spelled(each.name) for each in statement.get_parameters()]
        mine = [ours(each) for each in results]
        gives = [ours(inference.params.get(number)) for number in sorted(numbers)]
        pairs = [*zip(mine, theirs, strict=True), *zip(gives, takes, strict=True)]
        wrong += [f"{sql}: {one} is {other}" for one, other in pairs if one and one != other]
        sure += known
        if refused:
            wrong.append(f"{sql}: the server knows the type of ${min(refused)}")
    assert wrong == []
    assert sure > len(statements()) // 2
