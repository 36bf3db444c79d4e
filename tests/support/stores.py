"""Helpers for the tests of the stores: rows to store, rows of other writers, paging."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from agentrows import NewEvent, Page

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import asyncpg
    from pydantic import JsonValue

T = TypeVar("T")

EARLY: Final = datetime(2024, 3, 1, 12, tzinfo=UTC)
BEFORE_ALL: Final = datetime.min.replace(tzinfo=UTC)
"""The time for NULL in the order: the oldest."""
DIMENSIONS: Final = 768
NO_DIRECTION: Final = f"[{','.join('0' * DIMENSIONS)}]"
"""A zero vector, as another program may store it."""
TIMES: Final[tuple[datetime | None, ...]] = (
    None,
    EARLY,
    EARLY,
    EARLY + timedelta(microseconds=1),
    EARLY,
    None,
    EARLY + timedelta(microseconds=1),
    EARLY + timedelta(days=1),
    None,
)
"""Times with ties, also of NULL, for rows of several pages."""


def event(
    id: str,  # noqa: A002  a column is called id
    *,
    user_id: str = "mira",
    session_id: str | None = "s-1",
    data: str = "{}",
) -> NewEvent:
    return NewEvent(id=id, user_id=user_id, session_id=session_id, data=data)


def towards(*numbers: float) -> list[float]:
    """A vector that begins with these values; the rest is zero."""
    return [*numbers, *[0.0] * (DIMENSIONS - len(numbers))]


async def visit(row: type[T], page: Callable[[T | str | None], Awaitable[Sequence[T]]]) -> list[T]:
    """Read a list page by page, until a page is empty: after the last rows, and by tokens."""
    seen: list[T] = []
    while found := await page(seen[-1] if seen else None):
        assert all(isinstance(each, row) for each in found)
        seen += found
        assert len(seen) < 1000, "the pages go round in a circle"

    found = await page(None)
    by_token = [*found]
    while isinstance(found, Page) and found.next_token is not None:
        found = await page(found.next_token)
        by_token += found
        assert len(by_token) < 1000, "the pages go round in a circle"
    assert by_token == seen
    return seen


async def spread(
    db: asyncpg.Connection, table: str, column: str, times: Sequence[datetime | None] = TIMES
) -> None:
    """Set the times of the rows of a table, in the order of their ids."""
    user = ", user_id" if table == "session" else ""
    ids = await db.fetch(f"SELECT ctid FROM {table} ORDER BY id{user}")  # noqa: S608
    assert len(ids) == len(times)
    for place, time in zip(ids, times, strict=True):
        await db.execute(f"UPDATE {table} SET {column} = $2 WHERE ctid = $1", place[0], time)  # noqa: S608


async def versions(db: asyncpg.Connection, table: str) -> list[tuple[object, ...]]:
    """The position and transaction of each row: equal only if no row was written."""
    found = await db.fetch(f"SELECT ctid, xmin::text FROM {table} ORDER BY ctid")  # noqa: S608
    return [tuple(row) for row in found]


async def count(db: asyncpg.Connection, table: str, where: str = "true") -> int:
    value = await db.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")  # noqa: S608
    assert isinstance(value, int)
    return value


def repeat(value: JsonValue) -> list[JsonValue]:
    """Return a JSON list that contains a value 5,000 times."""
    return [value] * 5000


MANY_BRACKETS: Final[dict[str, JsonValue]] = {
    "empty objects": repeat({}),
    "a text": "{" * 5000,
    "a text with quotes and backslashes": '\\"[\\' * 5000,
    "a key": {"[" * 5000: 1},
    "many nested lists": repeat([[[[[[1]]]]]]),
}
"""JSON with 5,000 brackets that is not nested deeply."""
NOT_JSON: Final = {
    "too deep": '{"kind":' * 6000 + "1" + "}" * 6000,
    "too deep after a quote": '"' + "[" * 100_000,
    "an open string of escaped quotes": '["' + '\\"' * 300_000 + "[" * 6000,
    "a backslash at the end": "[" * 6000 + '"\\',
}
"""Texts of another writer with 5,000 brackets that PostgreSQL cannot parse."""
