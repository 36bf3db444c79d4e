"""Fixtures of the migration tests: a connection, a second database, one that an ORM made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import asyncpg
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.postgres import Server

SUPPORT = Path(__file__).parents[2] / "support"


@pytest.fixture
def fresh_database(server: Server) -> Iterator[str]:
    """The DSN of a second empty database."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


@pytest_asyncio.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture(params=["0_7", "0_8"])
def orm_release(request: pytest.FixtureRequest) -> str:
    """The release of kagent whose ORM made a database."""
    return cast("str", request.param)


@pytest_asyncio.fixture
async def orm_made(db: asyncpg.Connection, orm_release: str) -> asyncpg.Connection:
    """A database that an ORM made, with rows in every table."""
    for name in (f"orm_kagent_{orm_release}.sql", "baseline_rows.sql"):
        await db.execute((SUPPORT / name).read_text())
    await db.execute(
        "UPDATE feedback SET is_positive = NULL WHERE user_id = 'juno';"
        "UPDATE lg_checkpoint SET version = NULL WHERE checkpoint_id = 'c-1'"
    )
    return db
