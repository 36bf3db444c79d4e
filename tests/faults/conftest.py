"""Fixtures of the fault tests: rows that must not be lost, and an application that migrates."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import migrate
from agentrows.migrate import Migrator
from support.catalog import columns, fingerprint
from support.runners import App, IntactCheck

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SUPPORT = Path(__file__).parents[1] / "support"
TRACKS = migrate.builtin_tracks()


@pytest.fixture(scope="session")
def rounds() -> int:
    """The number of runs of each race: 20 in `make soak`."""
    return int(os.environ.get("AGENTROWS_ROUNDS", "1"))


@pytest.fixture
def orm_release() -> str:
    """The release of kagent with the ORM of the database; a test may set another."""
    return "0_7"


@pytest.fixture
async def db(database: str, orm_release: str) -> AsyncIterator[asyncpg.Connection]:
    """A separate session on a database that an ORM created, with rows in every table."""
    connection = await asyncpg.connect(database)
    for name in (f"orm_kagent_{orm_release}.sql", "baseline_rows.sql"):
        await connection.execute((SUPPORT / name).read_text())
    yield connection
    await connection.close()


@pytest.fixture
async def app(tmp_path: Path, database: str) -> AsyncIterator[App]:
    application = App(tmp_path, database)
    yield application
    await application.end()


@pytest.fixture
async def check_intact(db: asyncpg.Connection, app: App) -> IntactCheck:
    """A function that checks that no row is missing, no track is dirty and `doctor` is healthy."""
    of = await columns(db)
    before = await fingerprint(db, of)

    async def check(version: int) -> None:
        assert await fingerprint(db, of) == before
        rows = await db.fetch("SELECT version, dirty FROM app_versions")
        assert [tuple(row) for row in rows] == [(version, False)]
        tracks = [*TRACKS, migrate.Track("app", app.folder / "app", "app_versions")]
        found = await Migrator(app.dsn, tracks).doctor()
        assert found.is_healthy, found
        assert (await Migrator(app.dsn, tracks).verify()).is_current

    return check
