"""Statements of unusual shapes are generated, and run on a server."""

from __future__ import annotations

import importlib
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest_asyncio

from golden.golden_cases import run, write_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import pytest

SCHEMA = """
CREATE TYPE spot AS (x int, y numeric);
CREATE TABLE item (id bigint PRIMARY KEY, title text NOT NULL, price numeric, "class" text);
CREATE TABLE part (id bigint PRIMARY KEY, item_id bigint, title text, "class" text, id_2 int);
CREATE SEQUENCE counter;
CREATE PROCEDURE add_item(id bigint, title text DEFAULT 'untitled')
    LANGUAGE sql AS $$ INSERT INTO item (id, title) VALUES (id, title) $$;
CREATE FUNCTION touch(key bigint) RETURNS void
    LANGUAGE sql AS $$ UPDATE item SET title = title || '!' WHERE id = key $$;
CREATE FUNCTION pairs(low int) RETURNS TABLE (a int, "end" text)
    LANGUAGE sql AS $$ SELECT low, 'x' UNION ALL SELECT low + 1, NULL $$;
CREATE FUNCTION split(x int, OUT half int, OUT rest int)
    LANGUAGE sql AS $$ SELECT x / 2, x % 2 $$;
CREATE FUNCTION newest() RETURNS item
    LANGUAGE sql AS $$ SELECT * FROM item ORDER BY id DESC LIMIT 1 $$;
CREATE FUNCTION at(x int) RETURNS spot LANGUAGE sql AS $$ SELECT ROW(x, 2.5)::spot $$;
CREATE FUNCTION spots(x int) RETURNS SETOF spot LANGUAGE sql AS $$ SELECT ROW(x, 2.5)::spot $$;
"""
QUERIES = """
-- name: Call :exec
CALL add_item($1, $2);
-- name: CallNamed :exec
CALL add_item(title => @label, id => @id);
-- name: CallDefault :exec
CALL add_item(@id);
-- name: Lock :one
SELECT pg_advisory_lock(@key::bigint);
-- name: Touch :one
SELECT touch(@id);
-- name: Notify :many
SELECT pg_notify('channel', title) FROM item;
-- name: NotifyBoth :many
SELECT id, pg_notify('channel', title) AS sent FROM item ORDER BY id;
-- name: Touched :batchone
SELECT touch(id) FROM item WHERE id = @id;
-- name: Pairs :many
SELECT * FROM pairs(@low);
-- name: PairsAlias :many
SELECT p.* FROM pairs(@low) AS p WHERE a > 1;
-- name: Split :one
SELECT * FROM split(@x);
-- name: Half :one
SELECT (split(@x::int)).half AS half;
-- name: Newest :one
SELECT * FROM newest();
-- name: NewestTitle :one
SELECT (newest()).title AS title;
-- name: SpotY :one
SELECT (at(@x::int)).y AS y;
-- name: RowField :many
SELECT (i).title AS title, (p).title AS part
FROM item AS i LEFT JOIN part AS p ON p.item_id = i.id ORDER BY i.id;
-- name: Spots :many
SELECT * FROM spots(@x::int);
-- name: Unnested :many
SELECT u.x, u.y FROM unnest(@spots::spot[]) AS u (x, y) ORDER BY u.x;
-- name: UnnestedBoth :many
SELECT u.x, u.y, u.n
FROM ROWS FROM (unnest(@spots::spot[]), unnest(@n::int[])) AS u (x, y, n) ORDER BY u.n;
-- name: UnnestedRow :many
SELECT * FROM unnest(@spots::spot[]);
-- name: JoinAll :many
SELECT * FROM item LEFT JOIN part ON part.item_id = item.id ORDER BY item.id;
-- name: Twice :many
WITH one AS (SELECT count(*) FROM item), other AS (SELECT count(*) FROM part)
SELECT one.count, other.count FROM one, other;
-- name: Coalesced :many
SELECT coalesce(price, 0), coalesce(price, 1) FROM item ORDER BY id;
-- name: Built :one
SELECT json_build_object('a', 1), json_build_object('b', 2);
-- name: NextTwo :one
SELECT nextval('counter'), nextval('counter');
-- name: EmbedTwice :many
SELECT sqlc.embed(item), sqlc.embed(item) FROM item ORDER BY id;
"""


@pytest_asyncio.fixture
async def db(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    options = {
        "package": "gen",
        "json": "text",
        "unnamed_parameters": "number",
        "duplicate_columns": "number",
    }
    write_project(tmp_path, query=QUERIES, schema=SCHEMA, options=options)
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    connection = await asyncpg.connect(database)
    await connection.execute(SCHEMA)
    yield connection
    await connection.close()
    for each in [name for name in sys.modules if name.partition(".")[0] == "gen"]:
        del sys.modules[each]


async def test_procedures_and_void_functions_return_none(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    query: Any = importlib.import_module("gen.query")
    await query.call(db, id=1, title="a")
    await query.call_named(db, id=2, label="b")
    await query.call_default(db, id=3)
    assert await query.lock(db, key=7) is None
    assert await query.touch(db, id=1) is None
    assert await query.notify(db) == [None] * 3
    assert [(row.id, row.sent) for row in await query.notify_both(db)] == [
        (1, None),
        (2, None),
        (3, None),
    ]
    rows = [query.TouchedParams(id=1), query.TouchedParams(id=9)]
    assert await query.touched(db, rows=rows) == [None, None]
    titles = [row["title"] for row in await db.fetch("SELECT title FROM item ORDER BY id")]
    assert titles == ["a!!", "b", "untitled"]
    assert query.lock.__annotations__["return"] in {None, "None"}


async def test_columns_and_fields_of_functions_are_read(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    query: Any = importlib.import_module("gen.query")
    models: Any = importlib.import_module("gen.models")
    await query.call(db, id=1, title="a")
    assert [(row.a, row.end) for row in await query.pairs(db, low=1)] == [(1, "x"), (2, None)]
    assert [row.a for row in await query.pairs_alias(db, low=1)] == [2]
    assert (await query.split(db, x=7)).rest == 1
    assert await query.half(db, x=7) == 3
    assert (await query.newest(db)).title == "a"
    assert await query.newest_title(db) == "a"
    assert await query.spot_y(db, x=1) == Decimal("2.5")
    assert [(row.title, row.part) for row in await query.row_field(db)] == [("a", None)]
    one, two = models.Spot(x=1, y=Decimal("0.5")), models.Spot(x=2, y=None)
    assert await query.spots(db, x=1) == [models.Spot(x=1, y=Decimal("2.5"))]
    found = await query.unnested(db, spots=[two, one])
    assert [(row.x, row.y) for row in found] == [(1, Decimal("0.5")), (2, None)]
    both = await query.unnested_both(db, spots=[one], n=[3, 4])
    assert [(row.x, row.y, row.n) for row in both] == [(1, Decimal("0.5"), 3), (None, None, 4)]
    assert await query.unnested_row(db, spots=[one, two]) == [one, two]


async def test_columns_of_one_name_are_numbered(db: asyncpg.Connection[asyncpg.Record]) -> None:
    query: Any = importlib.import_module("gen.query")
    await db.execute("INSERT INTO item VALUES (1, 'a', 2.5, 'c'), (2, 'b', NULL, NULL)")
    await db.execute("INSERT INTO part VALUES (10, 1, 'p', 'd', 5)")
    first, second = await query.join_all(db)
    assert first.model_dump(by_alias=True) == {
        "id": 1,
        "title": "a",
        "price": Decimal("2.5"),
        "class": "c",
        "id_3": 10,
        "item_id": 1,
        "title_2": "p",
        "class_2": "d",
        "id_2": 5,
    }
    assert (second.id, second.id_3, second.class_2) == (2, None, None)
    assert [(row.count, row.count_2) for row in await query.twice(db)] == [(2, 1)]
    coalesced = await query.coalesced(db)
    values = [(row.price, row.price_2) for row in coalesced]
    assert values == [(Decimal("2.5"), Decimal("2.5")), (0, 1)]
    built = await query.built(db)
    assert (built.json_build_object, built.json_build_object_2) == ({"a": 1}, {"b": 2})
    numbers = await query.next_two(db)
    assert (numbers.nextval, numbers.nextval_2) == (1, 2)
    assert [(row.item.id, row.item_2.id) for row in await query.embed_twice(db)] == [(1, 1), (2, 2)]


def test_columns_of_one_name_are_refused_without_the_option(tmp_path: Path) -> None:
    query = "-- name: Q :many\nSELECT item.id, part.id FROM item, part;"
    write_project(tmp_path, query=query, schema=SCHEMA, options={"package": "gen"})
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 1
    assert "two columns would be called id; name one with AS" in completed.stderr


def test_refused_enum_is_one_line(tmp_path: Path) -> None:
    schema = "CREATE TYPE e AS ENUM ('a b', 'a_b'); CREATE TABLE t (a e, b e[], c e NOT NULL);"
    query = (
        "-- name: Q :many\nSELECT * FROM t WHERE a = @a;\n"
        "-- name: R :exec\nUPDATE t SET a = @a, b = @b::e[];\n"
        "-- name: S :many\nSELECT coalesce(a, c) AS d, jsonb_agg(t) FROM t GROUP BY 1;"
    )
    write_project(tmp_path, query=query, schema=schema, options={"package": "gen"})
    completed = run(tmp_path, "sqlc", "generate")
    lines = [line for line in completed.stderr.splitlines() if "enum" in line or "type" in line]
    assert len(lines) == 1
    assert "py_type" not in completed.stderr
