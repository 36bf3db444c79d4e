"""Migration runs on a silent server, or on one that is too old."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from support.proxy import proxy_to, socket_of
from support.runners import AT_THE_GATE, GATE, App, close_gate, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


LONGEST_S = 10.0
"""The time limit for the end of a run after a signal."""
WORKER = (
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'agentrows migrate'"
    " AND datname = current_database()"
)


@pytest.fixture
async def stopped(db: asyncpg.Connection) -> AsyncIterator[list[int]]:
    """Server processes that a test has suspended; they are resumed after it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    await until(db, f"SELECT NOT EXISTS ({WORKER})")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("build", [False, True])
async def test_signal_ends_run_with_silent_server_process(
    app: App, db: asyncpg.Connection, stopped: list[int], end: signal.Signals, *, build: bool
) -> None:
    header = "-- no-transaction: waits.\n" if build else "CREATE TABLE half (n int); "
    app.write(f"{header}{GATE}")
    await close_gate(db)
    runner = await app.start("up")
    await until(db, AT_THE_GATE)
    stopped.append(await db.fetchval(WORKER))
    os.kill(stopped[0], signal.SIGSTOP)

    done = await runner.ends(end)

    assert done.seconds < LONGEST_S, done
    assert done.code != 0
    assert await db.fetchval("SELECT to_regclass('half')") is None


async def test_signal_ends_run_whose_server_process_hangs_at_lock_table(
    app: App, db: asyncpg.Connection, stopped: list[int]
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
        stopped.append(await db.fetchval(WORKER))
        os.kill(stopped[0], signal.SIGSTOP)

        done = await runner.ends(signal.SIGTERM)

    await reader.close()
    assert done.seconds < LONGEST_S, done


async def test_signal_ends_run_whose_server_ignores_cancel_requests(
    app: App, db: asyncpg.Connection, stopped: list[int]
) -> None:
    app.write(GATE)
    await close_gate(db)
    runner = await app.start("up")
    await until(db, AT_THE_GATE)
    worker = await db.fetchval(WORKER)
    postmaster = int(
        await db.fetchval("SELECT split_part(pg_read_file('postmaster.pid'), E'\n', 1)")
    )
    for pid in (worker, postmaster):
        stopped.append(pid)
        os.kill(pid, signal.SIGSTOP)

    done = await runner.ends(signal.SIGTERM)

    assert done.seconds < LONGEST_S, done


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
