"""Migration runs on a server that restarts, loses a connection at COMMIT, or starts late."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import Unavailable, migrate
from agentrows.migrate import Migrator, builtin_tracks
from support.failing_server import failing_server
from support.proxy import COMMIT, proxy_to
from support.runners import BUILDING, GATE, WAITING_AT_GATE, App, close_gate, until
from support.servers import EMBEDDED, OwnServer, own_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

SUPPORT = Path(__file__).parents[1] / "support"
A = "CREATE TABLE IF NOT EXISTS a (n int);"
BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    with own_server(EMBEDDED) as server:
        yield server


@pytest.fixture
async def there(own: OwnServer, app: App) -> AsyncIterator[asyncpg.Connection]:
    """A session on a new database of the server, which the application uses."""
    admin = await asyncpg.connect(own.dsn())
    await admin.execute("DROP DATABASE IF EXISTS app WITH (FORCE)")
    await admin.execute("CREATE DATABASE app")
    await admin.close()
    app.dsn = own.dsn("app")
    db = await asyncpg.connect(app.dsn)
    for name in ("orm_kagent_0_7.sql", "baseline_rows.sql"):
        await db.execute((SUPPORT / name).read_text())
    yield db
    if not db.is_closed():
        await db.close()


async def feedback(dsn: str) -> int:
    db = await asyncpg.connect(dsn)
    try:
        return int(await db.fetchval("SELECT count(*) FROM feedback"))
    finally:
        await db.close()


async def versions(dsn: str) -> tuple[int | None, bool]:
    db = await asyncpg.connect(dsn)
    try:
        if not await db.fetchval("SELECT to_regclass('app_versions')"):
            return None, False
        row = await db.fetchrow("SELECT version, dirty FROM app_versions")
        return (row["version"], row["dirty"]) if row else (None, False)
    finally:
        await db.close()


async def goes_on(app: App, version: int, rows: int) -> None:
    done = await app.run("up")
    assert done.code == 0, done.err
    assert await versions(app.dsn) == (version, False)
    assert await feedback(app.dsn) == rows
    assert (await app.run("doctor")).code == 0


async def test_server_restart_in_transactional_file_is_reported(
    app: App, own: OwnServer, there: asyncpg.Connection
) -> None:
    app.write(A, f"CREATE TABLE b (n int); {GATE}")
    rows = await feedback(app.dsn)
    await close_gate(there)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(there, WAITING_AT_GATE)
    await asyncio.to_thread(own.restart)
    done = await runner.wait_for_end()
    assert done.code == 1
    assert "the run was rolled back" in done.last
    assert await versions(app.dsn) == (None, False)
    await goes_on(app, 2, rows)


async def test_server_restart_in_nontransactional_file_is_reported(
    app: App, own: OwnServer, there: asyncpg.Connection
) -> None:
    app.write(A, BUILD)
    rows = await feedback(app.dsn)
    await there.execute("CREATE TABLE a (n int)")
    transaction = there.transaction()
    await transaction.start()
    await there.execute("INSERT INTO a VALUES (1)")
    watcher = await asyncpg.connect(app.dsn)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(watcher, BUILDING)
    await asyncio.to_thread(own.restart)
    done = await runner.wait_for_end()
    assert done.code == 1
    assert "`agentrows migrate up` runs it again" in done.last
    assert await versions(app.dsn) == (2, True)
    await goes_on(app, 2, rows)


async def test_lost_reply_to_commit_is_reported_as_unknown(
    app: App, own: OwnServer, there: asyncpg.Connection
) -> None:
    app.write(A)
    rows = await feedback(app.dsn)
    async with proxy_to(own.port) as proxy:
        lost = proxy.cut_at(COMMIT, "after")
        done = await app.run("up", dsn=own.dsn("app", proxy.port))
    assert lost.is_done
    assert done.code == 1
    assert "may or may not have taken effect" in done.last
    assert "the next run detects the outcome" in done.last
    again = await app.run("up")
    assert again.code == 0, again.err
    assert "core/" not in again.err, "the run's transaction was committed"
    assert "app/" not in again.err
    assert await versions(app.dsn) == (1, False)
    assert await feedback(app.dsn) == rows
    assert not there.is_closed()


async def test_run_waits_for_server_that_is_starting(
    app: App, own: OwnServer, there: asyncpg.Connection
) -> None:
    """Another program listens on the port until it has refused one connection."""
    app.write(A)
    await there.close()
    await asyncio.to_thread(own.stop)
    turned_away = asyncio.Event()

    async def turn_away(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()
        turned_away.set()

    stranger = await asyncio.start_server(
        turn_away, "127.0.0.1", own.port, family=socket.AF_INET, reuse_address=True
    )
    runner = await app.start("up")
    async with asyncio.timeout(20):
        await turned_away.wait()
    stranger.close()
    await asyncio.to_thread(own.start)
    done = await runner.wait_for_end()
    assert done.code == 0, done.err
    assert (await Migrator(app.dsn, migrate.builtin_tracks()).verify()).is_current


async def test_wait_ends_when_server_never_starts(app: App) -> None:
    app.write(A)
    done = await app.run(
        "up", dsn="postgresql://postgres@127.0.0.1:1/nowhere", AGENTROWS_READY_TIMEOUT_S="1"
    )
    assert done.code == 1
    assert "the database is not available" in done.last


@pytest.mark.parametrize("sqlstate", ["01000", "02000", "57P01"])
async def test_statement_ends_after_fatal_error_and_reset(sqlstate: str) -> None:
    """The driver fails on its own error if the SQLSTATE is one for warnings."""
    with failing_server() as failing:
        failing.severity, failing.sqlstate, failing.resets = "FATAL", sqlstate, True
        with pytest.raises(Unavailable, match="connection"):
            async with asyncio.timeout(10):
                await Migrator(failing.dsn, builtin_tracks()).status()
