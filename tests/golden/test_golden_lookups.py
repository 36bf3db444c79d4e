"""The statements of many look-ups, on a server."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest
import pytest_asyncio

from golden.golden_cases import CASES_FOLDER, run, write_project
from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.check.lookups import lookup_problems

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import ModuleType

ROWS = """
INSERT INTO wanted
SELECT
    n, o, CASE WHEN n % 2 = 0 THEN 'book' ELSE 'film' END::kind,
    CASE WHEN n < 3 THEN 'small' ELSE 'large' END::shop."Size",
    chr(96 + n)::"char", CASE WHEN n < 4 THEN o || n END, n + 0.5,
    '2026-01-01Z'::timestamptz + n * interval '1 day', 100 + n
FROM generate_series(1, 5) AS n, unnest('{a,b}'::text[]) AS o
"""
DAY = dt.datetime(2026, 1, 4, tzinfo=dt.UTC)
ARGUMENTS: Final[dict[str, list[tuple[object, ...]]]] = {
    "GET_WANTED": [(n, owner) for n in (9, 1, 5, 1) for owner in ("b", "a", "c")],
    "FIND_NEWEST": [
        ("!", 1, "book", None), ("?", 1, "film", DAY), ("", 1, None, None), (None, 1, "film", None),
        ("!", 0, "book", None),
    ],
    "COUNT_OF_OWNER": [("a", Decimal(3)), ("c", Decimal(3)), (None, Decimal(1)), ("b", None)],
    "FIND_SIZED": [("small", b"a", "a"), ("large", b"a", "a"), ("large", b"e", "b")],
}  # fmt: skip


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    return importlib.import_module("gen_lookups.found")


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    db = await asyncpg.connect(database)
    await db.execute((CASES_FOLDER / "lookups" / "schema.sql").read_text() + ROWS)
    yield db
    await db.close()


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_batch_returns_the_row_of_each_lookup_with_its_number(
    name: str, found: ModuleType, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    lookup = getattr(found, name)
    expected: list[tuple[object, ...]] = []
    for number, args in enumerate(ARGUMENTS[name], start=1):
        row = await connection.fetchrow(lookup, *args)
        expected += [] if row is None else [(*row, number)]

    arrays = [list(column) for column in zip(*ARGUMENTS[name], strict=True)]
    rows = await connection.fetch(found.LOOKUP_BATCHES[lookup], *arrays)

    assert expected
    assert sorted(map(tuple, rows), key=lambda row: int(row[-1])) == expected


def test_table_has_each_declared_lookup(found: ModuleType) -> None:
    assert {
        getattr(found, name): getattr(found, f"{name}_BATCH") for name in ARGUMENTS
    } == found.LOOKUP_BATCHES


@pytest.mark.parametrize(
    ("written", "changed", "problem"),
    [
        ("found.*", "found.id", "returns int4, int8, the query int4, text, kind"),
        ("wanted_.number", "wanted_.arg1", "returns int4, text, kind"),
        ("LATERAL", "", "the server refuses the batch statement: invalid reference"),
    ],
)
async def test_check_reports_a_batch_with_other_rows(
    written: str,
    changed: str,
    problem: str,
    found: ModuleType,
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    lookup, batch = found.GET_WANTED, found.GET_WANTED_BATCH

    assert await lookup_problems(connection, lookup, ir.LookupBatch("X", batch)) == []
    broken = ir.LookupBatch("X", batch.replace(written, changed))
    (line,) = await lookup_problems(connection, lookup, broken)
    assert problem in line


async def test_types_with_names_of_keywords_find_the_rows(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = (
        "CREATE TYPE \"order\" AS ENUM ('up', 'down');"
        'CREATE TABLE item (id int PRIMARY KEY, flags bit(8), place "order");'
    )
    query = (
        "-- name: FindItem :one\n-- py: lookup\n"
        "SELECT id FROM item WHERE flags = @flags AND place = @place;\n"
    )
    write_project(tmp_path, query=query, schema=schema, options={"package": "gen_words"})
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "gen").rename(tmp_path / "gen_words")
    statement = importlib.import_module("gen_words.query").FIND_ITEM_BATCH
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(schema)
        await connection.execute("INSERT INTO item VALUES (7, B'10100000', 'up')")
        flags = [asyncpg.BitString.from_int(number, 8) for number in (0b10100000, 0)]
        rows = await connection.fetch(statement, flags, ["up", "up"])
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [(7, 1)]
