"""golang-migrate on the same database: before a run, after it, and killed at each step."""

from __future__ import annotations

import os
import signal
from functools import partial
from typing import TYPE_CHECKING, Protocol

import pytest

from agentrows.migrate import builtin_tracks
from agentrows.migrate.track import load
from support import golang_migrate
from support.golang_migrate import statements_of
from support.runners import GATE, WAITING, WAITING_AT_GATE, App, close_gate, open_gate, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

    from support.runners import IntactCheck, Runner

FILES = (
    "CREATE TABLE IF NOT EXISTS a (n int);",
    f"CREATE TABLE IF NOT EXISTS b (n int); {GATE}",
)
BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"
TWO_WAIT = "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
SLASHES = pytest.mark.parametrize("slash", [False, True], ids=["name", "/name"])
STEPS = 7 + 2 * 3 + 1
# `make test` takes the ids by turns, `make soak` takes both at each step.
# The database after one of these is the same as after the step before it.
UNCHANGED = {1, 2, 4, 5, 6}
KILLED_AFTER = [
    pytest.param(step, slash, marks=[pytest.mark.slow] if step in UNCHANGED else [])
    for step in range(STEPS)
    for slash in (False, True)
    if "AGENTROWS_ROUNDS" in os.environ or step % 2 == slash
]


class Start(Protocol):
    """Starts golang-migrate on the application's track."""

    async def __call__(self, *, slash: bool, steps: int | None = None) -> Runner: ...


@pytest.fixture
async def theirs(app: App) -> AsyncIterator[Start]:
    """A function that starts golang-migrate; processes that are still running are killed."""
    started: list[Runner] = []
    start = partial(golang_migrate.start, app.dsn, "app_versions", FILES)

    async def start_one(*, slash: bool, steps: int | None = None) -> Runner:
        started.append(await start(slash=slash, steps=steps))
        return started[-1]

    yield start_one
    for runner in started:
        if runner.process.returncode is None:
            await runner.wait_for_end(signal.SIGKILL)


async def row(db: asyncpg.Connection) -> tuple[int, bool]:
    (found,) = await db.fetch("SELECT version, dirty FROM app_versions")
    return found["version"], found["dirty"]


@SLASHES
async def test_run_waits_for_lock_of_golang_migrate(
    app: App, db: asyncpg.Connection, theirs: Start, check_intact: IntactCheck, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    tool = await theirs(slash=slash)
    await until(db, WAITING_AT_GATE)
    runner = await app.start("up")
    await runner.wait_for_line(WAITING)
    assert await row(db) == (2, True), "we leave its work alone"
    await open_gate(db)
    assert await statements_of(tool) == STEPS
    done = await runner.wait_for_end()
    assert done.code == 0
    assert "app/" not in done.err, "it has applied that track"
    await check_intact(2)


@SLASHES
async def test_golang_migrate_waits_for_lock_of_run(
    app: App, db: asyncpg.Connection, theirs: Start, check_intact: IntactCheck, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, WAITING_AT_GATE)
    tool = await theirs(slash=slash)
    await until(db, TWO_WAIT)
    await open_gate(db)
    assert (await runner.wait_for_end()).code == 0
    assert await statements_of(tool) == STEPS - 6, "it finds nothing to do"
    await check_intact(2)


@SLASHES
async def test_golang_migrate_waits_while_run_builds_index_concurrently(
    app: App, db: asyncpg.Connection, check_intact: IntactCheck, *, slash: bool
) -> None:
    """golang-migrate waits inside a statement, and a build waits for all open statements.

    There is no deadlock, because the run releases the lock of core before the build.
    """
    app.write(f"{FILES[0]} {GATE}", BUILD)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, WAITING_AT_GATE)
    core = load(builtin_tracks()[0]).migrations
    texts = [migration.up.sql for migration in core]
    tool = await golang_migrate.start(app.dsn, "schema_migrations", texts, slash=slash)
    await until(db, TWO_WAIT)
    await open_gate(db)
    done = await runner.wait_for_end()
    assert done.code == 0, done.err
    assert await statements_of(tool) == STEPS - 6, "it finds nothing to do"
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('a_n')"
    assert await db.fetchval(valid)
    await check_intact(2)


@pytest.mark.parametrize(("step", "slash"), KILLED_AFTER)
async def test_run_continues_after_golang_migrate_is_killed_between_statements(
    app: App, theirs: Start, check_intact: IntactCheck, step: int, *, slash: bool
) -> None:
    app.write(*FILES)
    tool = await theirs(slash=slash, steps=step)
    await tool.wait_for_line(f"stopped after {step}")
    assert (await tool.wait_for_end(signal.SIGKILL)).code == -signal.SIGKILL
    done = await app.run("up")
    assert done.code == 0, done.err
    await check_intact(2)


async def test_run_waits_for_server_process_of_killed_golang_migrate(
    app: App, db: asyncpg.Connection, theirs: Start, check_intact: IntactCheck
) -> None:
    app.write(*FILES)
    await close_gate(db)
    tool = await theirs(slash=True)
    await until(db, WAITING_AT_GATE)
    assert (await tool.wait_for_end(signal.SIGKILL)).code == -signal.SIGKILL
    late = await app.run("up", "--lock-timeout", "0.2")
    assert late.code == 1
    assert "golang-migrate" in late.last
    assert "Nothing was done" in late.last
    await open_gate(db)
    assert (await app.run("up")).code == 0
    await check_intact(2)


@SLASHES
async def test_golang_migrate_continues_after_run_is_killed(
    app: App, db: asyncpg.Connection, theirs: Start, check_intact: IntactCheck, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, WAITING_AT_GATE)
    await runner.wait_for_end(signal.SIGKILL)
    tool = await theirs(slash=slash)
    await open_gate(db)
    assert await statements_of(tool) == STEPS
    assert (await app.run("up")).code == 0
    await check_intact(2)
