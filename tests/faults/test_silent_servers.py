"""Migration runs on a server that stops replying, or that is too old."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from support.proxy import proxy_to, socket_of
from support.runners import GATE, WAITING_AT_GATE, App, close_gate, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


MAX_RUN_END_S = 10.0
"""The time limit within which a run must end after a signal."""
WORKER = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentrows migrate'"
    " AND datname = current_database()"
)


@pytest.fixture
async def suspended_pids(db: asyncpg.Connection) -> AsyncIterator[list[int]]:
    """Ids of the server processes that a test suspends; they are resumed after the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await until(db, f"SELECT NOT EXISTS ({WORKER})")


@pytest.mark.parametrize("signal_sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("no_transaction", [False, True])
async def test_signal_ends_run_with_silent_server_process(
    app: App,
    db: asyncpg.Connection,
    suspended_pids: list[int],
    signal_sent: signal.Signals,
    *,
    no_transaction: bool,
) -> None:
    header = "-- no-transaction: waits.\n" if no_transaction else "CREATE TABLE half (n int); "
    app.write(f"{header}{GATE}")
    await close_gate(db)
    runner = await app.start("up")
    await until(db, WAITING_AT_GATE)
    suspended_pids.append(await db.fetchval(WORKER))
    os.kill(suspended_pids[0], signal.SIGSTOP)

    done = await runner.wait_for_end(signal_sent)

    assert done.seconds < MAX_RUN_END_S, done
    assert done.code != 0
    assert await db.fetchval("SELECT to_regclass('half')") is None


async def test_signal_ends_run_whose_server_process_hangs_at_lock_table(
    app: App, db: asyncpg.Connection, suspended_pids: list[int]
) -> None:
    await db.execute("CREATE TABLE busy (n int)")
    app.write("ALTER TABLE busy ADD COLUMN m int;")
    reader = await asyncpg.connect(app.dsn)
    async with reader.transaction():
        await reader.execute("SELECT FROM busy")
        runner = await app.start("up", "--ddl-lock-timeout", "3")
        await until(
            db,
            "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND query LIKE 'LOCK TABLE%' AND datname = current_database()",
        )
        suspended_pids.append(await db.fetchval(WORKER))
        os.kill(suspended_pids[0], signal.SIGSTOP)

        done = await runner.wait_for_end(signal.SIGTERM)

    await reader.close()
    assert done.seconds < MAX_RUN_END_S, done


async def test_signal_ends_run_whose_server_ignores_cancel_requests(
    app: App, db: asyncpg.Connection, suspended_pids: list[int]
) -> None:
    app.write(GATE)
    await close_gate(db)
    runner = await app.start("up")
    await until(db, WAITING_AT_GATE)
    worker = await db.fetchval(WORKER)
    postmaster = int(
        await db.fetchval("SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)")
    )
    for pid in (worker, postmaster):
        suspended_pids.append(pid)
        os.kill(pid, signal.SIGSTOP)

    done = await runner.wait_for_end(signal.SIGTERM)

    assert done.seconds < MAX_RUN_END_S, done


@pytest.mark.parametrize("command", ["up", "status", "verify", "plan", "doctor"])
async def test_run_refuses_too_old_server_with_its_version(
    app: App, db: asyncpg.Connection, command: str
) -> None:
    app.write("CREATE TABLE a (n int);")
    major = str(db.get_server_version().major).encode()
    async with proxy_to(socket_of(app.dsn)) as proxy:
        name = b"server_version\0"
        proxy.rewrite = (name + major, name + b"13")
        done = await app.run(command, dsn=proxy.dsn(app.dsn))
    assert done.code == 1
    assert "PostgreSQL 15 or later is needed" in done.last
    assert " 13" in done.last
    assert await db.fetchval("SELECT to_regclass('a')") is None
