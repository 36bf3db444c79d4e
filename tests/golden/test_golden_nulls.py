"""Nullability: every expression that returned NULL on a server is inferred nullable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest_asyncio

from sqlc_gen_asyncpg.infer.expressions import Inference
from sqlc_gen_asyncpg.infer.relations import columns
from sqlc_gen_asyncpg.infer.scope import Schema
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.sql.statements import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

TABLE = """
CREATE TABLE t (id int NOT NULL, g int NOT NULL, n int, x text);
INSERT INTO t VALUES (1, 1, 1, 'a,b'), (2, 1, NULL, NULL), (3, 2, NULL, 'NULL,c'), (4, 2, NULL, '');
"""
COLUMNS = {
    "id": ValueType("int4", nullable=False),
    "g": ValueType("int4", nullable=False),
    "n": ValueType("int4"),
    "x": ValueType("text"),
}
# Items of `SELECT … FROM t`, and of a SELECT grouped by `g`.
NEVER = """
row_number() OVER ()
rank() OVER (ORDER BY n)
dense_rank() OVER (PARTITION BY g)
percent_rank() OVER (ORDER BY n)
cume_dist() OVER (ORDER BY n)
ntile(2) OVER (ORDER BY n)
count(*) OVER ()
count(n) OVER (ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)
sum(id) OVER ()
sum(id) OVER (PARTITION BY g ORDER BY id DESC)
max(id) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
min(id) OVER (ORDER BY id ROWS 1 PRECEDING)
min(id) OVER (ORDER BY id ROWS CURRENT ROW)
avg(id) OVER (ORDER BY n RANGE BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)
sum(id) OVER (ORDER BY n RANGE BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE NO OTHERS)
array_agg(n) OVER (ORDER BY id)
jsonb_agg(n) OVER (ORDER BY id)
string_agg(id::text, ',') OVER ()
sum(id) OVER w
first_value(id) OVER w
last_value(id) OVER w
first_value(id) OVER (ORDER BY n)
lag(id, 1, 0) OVER w
lead(id, 2, id) OVER w
int4range(n, NULL)
string_to_array('a', ',')
string_to_array('', NULL)
string_to_array(coalesce(x, ''), ',', 'NULL')
JSON_ARRAY(n, x)
JSON_OBJECT('n': n)
to_char(id, '9')
to_char(id::numeric, '9')
"""
SOMETIMES = """
ntile(n) OVER (ORDER BY n NULLS FIRST)
sum(n) OVER (ORDER BY id DESC)
sum(id) FILTER (WHERE n > 0) OVER (ORDER BY id DESC)
sum(id) OVER (ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING)
sum(id) OVER (ROWS BETWEEN 2 PRECEDING AND 1 PRECEDING)
sum(id) OVER (PARTITION BY id ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW)
array_agg(id) OVER (PARTITION BY id RANGE UNBOUNDED PRECEDING EXCLUDE GROUP)
sum(id) OVER odd
first_value(id) OVER odd
first_value(n) OVER (ORDER BY id DESC)
last_value(id) OVER (ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)
nth_value(id, 3) OVER w
lag(id) OVER w
lead(id, 1) OVER w
lead(id, n, 0) OVER w
lead(id, 1, n) OVER w
string_to_array(x, ',')
JSON_ARRAY(SELECT i.n FROM t AS i WHERE i.id > 4)
JSON_SCALAR(x)
JSON_SERIALIZE(to_json(n) RETURNING text)
to_char(CASE WHEN id = 1 THEN 'infinity'::timestamptz ELSE now() END, 'YYYY')
CASE WHEN id = 1 THEN timestamp 'infinity' ELSE timestamp '2026-01-01' END::time
to_number('1', CASE WHEN id = 1 THEN '' ELSE '9' END)
to_regproc(CASE WHEN id = 1 THEN 'none' ELSE 'now' END)
pg_get_viewdef(id::oid)
unnest(array_append(ARRAY[1], n))
id <> ALL (array_append(ARRAY[9], n))
"""
NEVER_OF_GROUPS = """
bit_xor(id)
stddev_pop(id)
var_pop(id)
range_agg(int4range(id, id + 1))
max(id)
sum(sum(id)) OVER ()
"""
SOMETIMES_OF_GROUPS = """
bit_xor(n)
var_pop(n)
stddev(g) FILTER (WHERE id = 1)
sum(sum(n)) OVER (PARTITION BY g)
"""
WINDOWS = "WINDOW w AS (ORDER BY id), odd AS (ORDER BY id ROWS BETWEEN 1 FOLLOWING AND 1 FOLLOWING)"


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    await connection.execute(TABLE)
    yield connection
    await connection.close()


def statements() -> list[tuple[str, bool]]:
    """Yield the statements, each with whether its result may be NULL."""
    plain = [
        (line, null) for text, null in ((NEVER, False), (SOMETIMES, True)) for line in lines(text)
    ]
    grouped = [
        (line, null)
        for text, null in ((NEVER_OF_GROUPS, False), (SOMETIMES_OF_GROUPS, True))
        for line in lines(text)
    ]
    return [
        *((f"SELECT {line} FROM t {WINDOWS}", null) for line, null in plain),  # noqa: S608
        *((f"SELECT {line} FROM t GROUP BY g", null) for line, null in grouped),  # noqa: S608
    ]


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def inferred(sql: str) -> ValueType:
    inference = Inference(Schema("public", {("public", "t"): COLUMNS}))
    ((_, info),) = columns(inference, parse(sql), None)
    return info


async def test_expressions_that_return_null_are_inferred_nullable(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    wrong: list[str] = []
    for sql, null in statements():
        values = [row[0] for row in await connection.fetch(sql)]
        if (None in values and not null) or inferred(sql).nullable != null:
            wrong.append(f"{sql}: {values}, inferred {inferred(sql)}")
        if null and None not in values:
            wrong.append(f"{sql}: no row shows that it may be NULL")
    assert wrong == []


async def test_arrays_with_null_items_are_inferred_with_null_items(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    for sql, null in {
        "SELECT string_to_array(x, ',') FROM t WHERE x IS NOT NULL": False,
        "SELECT string_to_array(x, ',', 'NULL') FROM t WHERE x IS NOT NULL": True,
        "SELECT array_append(ARRAY[1], n) FROM t": True,
        "SELECT array_append(ARRAY[1], id) FROM t": False,
        "SELECT array_prepend(n, ARRAY[1]) FROM t": True,
        "SELECT array_replace(ARRAY[1], 1, n) FROM t": True,
        "SELECT array_prepend(id, ARRAY[1]) FROM t": False,
        "SELECT array_replace(ARRAY[1], 1, id) FROM t": False,
        "SELECT array_cat(ARRAY[1], ARRAY[n]) FROM t": True,
        "SELECT array_remove(ARRAY[n], 9) FROM t": True,
        "SELECT trim_array(ARRAY[n, 1], 1) FROM t": True,
        "SELECT array_agg(n) FILTER (WHERE g = 1) FROM t": True,
        "SELECT array_reverse(ARRAY[n, 1]) FROM t": True,
        "SELECT array_sort(ARRAY[n, 1]) FROM t": True,
        "SELECT array_shuffle(ARRAY[n, 1]) FROM t": True,
        "SELECT array_sample(ARRAY[n, n], 1) FROM t": True,
        "SELECT array_positions(ARRAY[n], 1) FROM t": False,
        "SELECT array_fill(n, ARRAY[2]) FROM t": True,
        "SELECT ARRAY[1] || n FROM t": True,
        "SELECT ARRAY[1] || id FROM t": False,
        "SELECT '{1,NULL}'::text::int[] FROM t": True,
        "SELECT '{1,NULL}'::int[] FROM t": True,
        "SELECT '{1,2}'::int[] FROM t": False,
    }.items():
        items = [item for row in await connection.fetch(sql) for item in row[0]]
        assert (None in items) == null
        assert inferred(sql).null_items == null


async def test_null_that_reaches_a_column_in_the_fifth_round_is_inferred(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    sql = (
        "WITH RECURSIVE w AS (SELECT 0 AS i, 1 AS a, 1 AS b, 1 AS c, 1 AS d UNION ALL "
        "SELECT i + 1, b, c, d, NULL FROM w WHERE i < 5) SELECT a FROM w"
    )

    assert None in [row[0] for row in await connection.fetch(sql)]
    assert inferred(sql).nullable
