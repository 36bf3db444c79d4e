"""Runs that are killed or terminated in each phase, and their server processes."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.migrate.lock import lock_id
from support.runners import (
    BUILDING,
    GATE,
    NO_RUNNER_LEFT,
    TERMINATE_RUNNERS,
    WAITING,
    WAITING_AT_GATE,
    App,
    close_gate,
    open_gate,
    until,
)

if TYPE_CHECKING:
    from support.runners import IntactCheck

A = "CREATE TABLE IF NOT EXISTS a (n int);"
BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"
SIGNALS = pytest.mark.parametrize("fault", ["SIGKILL", "SIGTERM", "terminate"])


async def hit(runner_app: App, db: asyncpg.Connection, fault: str) -> str:
    """Inject the fault into the last run; return its last line of output."""
    runner = runner_app.runners[-1]
    if fault == "terminate":
        assert await db.fetchval(TERMINATE_RUNNERS)
        done = await runner.wait_for_end()
        assert done.code == 1
        assert "the database is not available" in done.last
        return done.last
    done = await runner.wait_for_end(signal.Signals[fault])
    assert done.seconds < 2, "a cancel ends a wait at once"
    assert done.code == (1 if fault == "SIGTERM" else -signal.SIGKILL)
    return done.last


async def rows(db: asyncpg.Connection) -> list[tuple[object, ...]]:
    if not await db.fetchval("SELECT to_regclass('app_versions')"):
        return []
    return [tuple(row) for row in await db.fetch("SELECT version, dirty FROM app_versions")]


@SIGNALS
async def test_run_killed_before_lock_changes_nothing(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, fault: str
) -> None:
    app.write(A)
    name = await db.fetchval("SELECT current_database()")
    theirs = lock_id("public", "schema_migrations", name)
    await db.execute(f"SELECT pg_advisory_lock({theirs})")
    runner = await app.start("up")
    await runner.wait_for_line(WAITING)
    await hit(app, db, fault)
    await db.execute(f"SELECT pg_advisory_unlock({theirs})")
    assert await rows(db) == []
    assert (await app.run("up")).code == 0
    await check_intact(1)


@SIGNALS
async def test_run_killed_in_transactional_file_changes_nothing(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, fault: str
) -> None:
    app.write(A, f"CREATE TABLE b (n int); {GATE}")
    await close_gate(db)
    await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, WAITING_AT_GATE)
    await hit(app, db, fault)
    await until(
        db, NO_RUNNER_LEFT
    )  # a server process detects the end of its client within a second
    await open_gate(db)
    assert await rows(db) == []
    assert await db.fetchval("SELECT to_regclass('b')") is None
    assert (await app.run("up")).code == 0
    await check_intact(2)


@SIGNALS
async def test_run_killed_between_transactions_of_files_continues_later(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, fault: str
) -> None:
    app.write(A, f"CREATE TABLE b (n int); {GATE}")
    await close_gate(db)
    runner = await app.start("up", "--transaction", "file", "--ddl-lock-timeout", "60")
    await runner.wait_for_line("app/000001_step.up.sql done")
    await until(db, WAITING_AT_GATE)
    await hit(app, db, fault)
    await open_gate(db)
    await until(db, NO_RUNNER_LEFT)
    assert await rows(db) == [(1, False)]
    assert (await app.run("up")).code == 0
    await check_intact(2)


@SIGNALS
async def test_run_killed_in_nontransactional_file_continues_later(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, fault: str, database: str
) -> None:
    app.write(A, BUILD, "CREATE TABLE IF NOT EXISTS b (n int);")
    await db.execute("CREATE TABLE a (n int)")
    writer = await asyncpg.connect(database)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("INSERT INTO a VALUES (1)")
    await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, BUILDING)
    await hit(app, db, fault)
    await until(
        db, NO_RUNNER_LEFT
    )  # a server process detects the end of its client within a second
    assert await rows(db) == [(2, True)], "the row tells the truth"
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('a_n')"
    assert await db.fetchval(valid) is False
    await transaction.commit()
    await writer.close()
    assert (await app.run("up")).code == 0
    assert await db.fetchval(valid)
    await check_intact(3)


async def test_sigterm_ends_wait_for_server(app: App) -> None:
    app.write(A)
    nowhere = "postgresql://postgres@127.0.0.1:1/nowhere"
    runner = await app.start("up", dsn=nowhere)
    await runner.wait_for_line("waiting for ")
    done = await runner.wait_for_end(signal.SIGTERM)
    assert (done.code, done.seconds < 2) == (1, True)
    assert "stopped" in done.last


async def test_progress_of_long_file_shows_elapsed_time(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck
) -> None:
    app.write(GATE)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await runner.wait_for_line("app/000001_step.up.sql running for 2 s")
    await open_gate(db)
    assert (await runner.wait_for_end()).code == 0
    await check_intact(1)
