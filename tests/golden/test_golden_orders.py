"""Orders that an argument selects, on a server."""

from __future__ import annotations

import datetime as dt
import importlib
import sys
from typing import TYPE_CHECKING, get_args

import asyncpg
import pytest
import pytest_asyncio

from golden.golden_cases import CASES_FOLDER
from sqlc_gen_asyncpg.build.orders import KEYWORDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path
    from types import ModuleType

ROWS = """
INSERT INTO team VALUES (1, 'red'), (2, 'blue');
INSERT INTO ticket (id, team_id, title, due, "order") VALUES
    (1, 1, 'b', NULL, 2), (2, 1, 'a', '2026-01-02', 2), (3, 1, 'b', '2026-01-01', 1),
    (4, 1, 'c', '2026-01-02', 1), (5, 2, 'd', NULL, 0);
"""
ORDERS = {
    "title": [2, 1, 3, 4],
    "title desc": [4, 1, 3, 2],
    "due": [3, 2, 4, 1],
    "due desc": [2, 4, 3, 1],
    "order": [3, 4, 1, 2],
    "order desc": [1, 2, 3, 4],
}


@pytest.fixture
def tickets(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    return importlib.import_module("gen_orders.tickets")


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    db = await asyncpg.connect(database)
    await db.execute((CASES_FOLDER / "orders" / "schema.sql").read_text() + ROWS)
    yield db
    await db.close()


async def test_each_value_selects_its_order_and_ties_have_a_fixed_one(
    tickets: ModuleType, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    assert get_args(tickets.ListTicketsSort) == tuple(ORDERS)
    for sort, expected in ORDERS.items():
        rows = await tickets.list_tickets(connection, sort=sort, team_id=1, page_size=9)
        assert [row.id for row in rows] == expected, sort
        (first,) = await tickets.list_tickets(connection, sort=sort, team_id=1, page_size=1)
        assert first.id == expected[0]


async def test_first_row_iterator_and_params_take_the_order(
    tickets: ModuleType, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    first = await tickets.first_ticket(connection, by="due", titles=["x"])
    assert (first.id, first.due) == (3, dt.date(2026, 1, 1))
    assert (await tickets.first_ticket(connection, by="id desc", titles=[])).id == 5
    titles = ["a", "b", "b", "blue", "c", "d", "red"]
    assert await tickets.stream_titles(connection, sql="title") == titles
    async with connection.transaction():
        streamed = [each async for each in tickets.iter_stream_titles(connection, sql="title desc")]
    assert streamed == titles[::-1]
    params = tickets.RankTicketsParams(team_ids=[1, 2], one="x", other="y")
    ranked = await tickets.rank_tickets(connection, params, sort="rank desc")
    assert [(row.team.id, row.rank) for row in ranked] == [(2, 2), (1, 1)]


@pytest.mark.parametrize("value", ["id", "title; DROP TABLE ticket", "TITLE", "", None, ["title"]])
async def test_other_value_is_refused_before_the_server_is_asked(
    value: object, tickets: ModuleType, connection: asyncpg.Connection[asyncpg.Record]
) -> None:
    await connection.close()
    values = ", ".join(map(repr, ORDERS))
    with pytest.raises(ValueError, match=r"^sort must be one of ") as caught:
        await tickets.list_tickets(connection, sort=value, team_id=1, page_size=9)
    assert str(caught.value) == f"sort must be one of {values}, got {value!r}"


async def test_words_that_are_quoted_are_those_that_the_server_reserves(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    rows = await connection.fetch("SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')")
    assert {row["word"] for row in rows} <= set(KEYWORDS.split())
