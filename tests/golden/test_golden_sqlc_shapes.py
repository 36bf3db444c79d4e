"""Shapes of statements that sqlc's own tests have: generated, and called on a server."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import pytest_asyncio

from golden.golden_cases import CASES_FOLDER, run, write_project

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

ROWS = """
INSERT INTO harbour VALUES (1, 'Kiel', 11.5), (2, 'Ribe', 3);
INSERT INTO boat VALUES
    (1, 'Ada', 1, '{mira,ben}', '2026-05-02'), (2, 'Bea', NULL, '{}', '2025-03-01');
INSERT INTO "order" VALUES ('Ada', 1, 'rope'), ('Cleo', 2, NULL);
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    """Make the golden packages importable for the time of a test."""
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    yield
    for name in [each for each in sys.modules if each.startswith("gen_shapes")]:
        del sys.modules[name]


@pytest_asyncio.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    await connection.execute((CASES_FOLDER / "shapes" / "schema.sql").read_text() + ROWS)
    yield connection
    await connection.close()


async def test_columns_of_outer_joins_are_numbered_and_none(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    joins: Any = importlib.import_module("gen_shapes.joins")
    ada, bea, ribe = await joins.full_join(db)
    assert (ada.id, ada.id_2, ada.name_2, ada.depth) == (1, 1, "Kiel", Decimal("11.5"))
    assert (bea.name, bea.id_2, bea.name_2) == ("Bea", None, None)
    assert (ribe.id, ribe.name, ribe.crew, ribe.name_2) == (None, None, None, "Ribe")
    found = [(row.id, row.id_2) for row in await joins.right_join(db)]
    assert found == [(1, 1), (None, 2)]
    assert [row.depth for row in await joins.left_join(db)] == [Decimal("11.5"), None]
    (pair,) = await joins.joined_with_itself(db)
    assert (pair.id, pair.id_2, pair.launched_2) == (1, 2, dt.date(2025, 3, 1))
    assert [row.depth for row in await joins.joined_alias(db, name="Kiel")] == [Decimal("11.5")]


async def test_stars_have_the_columns_of_their_tables(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    stars: Any = importlib.import_module("gen_shapes.stars")
    models: Any = importlib.import_module("gen_shapes.models")
    rows = await stars.star_of_two_tables(db)
    assert [(row.name, row.user, row.line_no) for row in rows] == [
        ("Kiel", "Ada", 1), ("Kiel", "Cleo", 2), ("Ribe", "Ada", 1), ("Ribe", "Cleo", 2),
    ]  # fmt: skip
    orders = await stars.star_of_reserved_words(db)
    assert orders[1] == models.Order(user="Cleo", line_no=2, select=None)
    assert [row.again for row in await stars.star_of_alias(db, user="Ada")] == ["rope"]
    assert [row.name for row in await stars.star_of_cte(db, depth=Decimal(5))] == ["Kiel"]
    assert [row.select for row in await stars.star_of_subquery(db)] == ["rope", None]
    returned = await stars.star_returned(db, user="Dora", line_no=3, select="sail")
    assert returned == models.Order(user="Dora", line_no=3, select="sail")


async def test_unnamed_parameters_reach_their_places(
    db: asyncpg.Connection[asyncpg.Record],
) -> None:
    parameters: Any = importlib.import_module("gen_shapes.parameters")
    first, last = dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2)  # noqa: DTZ001  # no zone
    assert await parameters.numbers(db, dollar_1=2, dollar_2=4) == [2, 3, 4]
    assert await parameters.numbers_in_from(db, dollar_1=2, dollar_2=1) == []
    assert await parameters.days(db, dollar_1=first, dollar_2=last) == [first, last]
    renamed = await parameters.rename_boat(db, name="Ava", id=1)
    assert (renamed.id, renamed.name) == (1, "Ava")
    assert await parameters.rename_boat(db, name="Ava", id=9) is None
    assert await parameters.replace_sailor(db, crew=2, crew_2="eva", id=1) == 1
    assert await db.fetchval("SELECT crew FROM boat WHERE id = 1") == ["mira", "eva"]
    assert await parameters.season_start(db, year=2026) == dt.date(2026, 4, 1)
    assert await parameters.season_launches(db, year=2026) == [1]
    assert await parameters.left_parameter(db, id=9, name="Bea", crew="eva") == [1, 2]
    assert await parameters.case_value(db, dollar_1="Bea") == [None, "named"]
    rows = await parameters.case_result(db, id=2, dollar_2="?")
    assert [row.title for row in rows] == ["Ava", "?"]
    assert await parameters.rename_some(db, dollar_1=False, name="x", id=1) == 1
    assert await parameters.greet_boats(db, dollar_1=False) == 2
    assert await parameters.add_boat(db, id=3, name="Cleo") == 3
    assert [row.name for row in await parameters.remove_boats(db, id=1)] == ["Bye", "Cleo"]


async def test_geometric_values_travel_as_text(db: asyncpg.Connection[asyncpg.Record]) -> None:
    drawings: Any = importlib.import_module("gen_shapes.drawings")
    await drawings.add_drawing(db, id=1, dollar_2="(1,2)", dollar_3="(3,4),(1,2)")
    drawing = await drawings.read_drawing(db, id=1)
    assert (drawing.spot, drawing.x, drawing.frame) == ("(1,2)", 1.0, "(3,4),(1,2)")
    assert drawing.size is None
    assert await drawings.near(db, dollar_1=1.0, dollar_2=2.5, dollar_3=1.0) == [1]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (":exec\nUPDATE t SET a = CASE $1 WHEN true THEN 'x' ELSE a END", "PostgreSQL refuses"),
        (":many\nSELECT id FROM t WHERE ? = id", "syntax error"),
        (":execlastid\nDELETE FROM t WHERE id = $1", ":execlastid"),
        (":many\nSELECT id, spot FROM t", "there is no Python type for point"),
        (":exec\nINSERT INTO t (id, spot) VALUES ($1, $2)", "there is no Python type for point"),
        (":many\nSELECT FROM t", "needs a result; list the columns"),
        (":one\nSELECT unknown_function($1) AS n FROM t", "unknown_function"),
    ],
)
def test_shape_that_has_no_function_is_refused(tmp_path: Path, query: str, message: str) -> None:
    schema = "CREATE TABLE t (id int PRIMARY KEY, a text, spot point);"
    options = {
        "package": "gen",
        "unnamed_parameters": "number",
        "duplicate_columns": "number",
        "omit_unused_models": True,
    }
    write_project(tmp_path, query=f"-- name: Q {query};", schema=schema, options=options)
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 1
    assert message in completed.stderr
    assert "Traceback" not in completed.stderr
