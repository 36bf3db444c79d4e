"""golang-migrate on the same database, before us, after us, and killed at each of its steps."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import asyncpg
import pytest

from support.golang_migrate import GolangMigrate
from support.runners import AT_THE_GATE, GATE, WAITING, App, close_gate, open_gate, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from support.runners import Whole

FILES = (
    "CREATE TABLE IF NOT EXISTS a (n int);",
    f"CREATE TABLE IF NOT EXISTS b (n int); {GATE}",
)
SLASHES = pytest.mark.parametrize("slash", [False, True], ids=["name", "/name"])
STEPS = 7 + 2 * 3 + 1
# `make test` takes the ids by turns, `make soak` takes both at each step.
KILLED_AFTER = [
    (step, slash)
    for step in range(STEPS)
    for slash in (False, True)
    if "AGENTROWS_ROUNDS" in os.environ or step % 2 == slash
]


@pytest.fixture
async def theirs(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(
        database, server_settings={"application_name": "golang-migrate"}
    )
    yield connection
    if not connection.is_closed():
        await connection.close()


async def row(db: asyncpg.Connection) -> tuple[int, bool]:
    (found,) = await db.fetch("SELECT version, dirty FROM app_versions")
    return found["version"], found["dirty"]


@SLASHES
async def test_it_comes_first_and_we_wait_for_it(
    app: App, db: asyncpg.Connection, theirs: asyncpg.Connection, whole: Whole, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    run = asyncio.create_task(GolangMigrate(theirs, "app_versions", FILES, slash).run())
    await until(db, AT_THE_GATE)
    runner = await app.start("up")
    await runner.says(WAITING)
    assert await row(db) == (2, True), "we leave its work alone"
    await open_gate(db)
    assert await run == STEPS
    done = await runner.ends()
    assert done.code == 0
    assert "app/" not in done.err, "it has applied that track"
    await whole(2)


@SLASHES
async def test_we_come_first_and_it_waits_for_us(
    app: App, db: asyncpg.Connection, theirs: asyncpg.Connection, whole: Whole, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, AT_THE_GATE)
    run = asyncio.create_task(GolangMigrate(theirs, "app_versions", FILES, slash).run())
    waits = "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    await until(db, waits)
    await open_gate(db)
    assert (await runner.ends()).code == 0
    assert await run == STEPS - 6, "it finds nothing to do"
    await whole(2)


@pytest.mark.parametrize(("step", "slash"), KILLED_AFTER)
async def test_it_is_killed_after_a_step_and_we_go_on(
    app: App, theirs: asyncpg.Connection, whole: Whole, step: int, *, slash: bool
) -> None:
    app.write(*FILES)
    assert await GolangMigrate(theirs, "app_versions", FILES, slash).run(step) == step
    theirs.terminate()
    done = await app.run("up")
    assert done.code == 0, done.err
    await whole(2)


async def test_it_is_killed_in_a_file_and_its_server_process_goes_on(
    app: App, db: asyncpg.Connection, theirs: asyncpg.Connection, whole: Whole
) -> None:
    app.write(*FILES)
    await close_gate(db)
    run = asyncio.create_task(GolangMigrate(theirs, "app_versions", FILES, slash=True).run())
    await until(db, AT_THE_GATE)
    theirs.terminate()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await run
    late = await app.run("up", "--lock-timeout", "0.2")
    assert late.code == 1
    assert "golang-migrate" in late.last
    assert "Nothing was done" in late.last
    await open_gate(db)
    assert (await app.run("up")).code == 0
    await whole(2)


@SLASHES
async def test_it_goes_on_after_we_were_killed(
    app: App, db: asyncpg.Connection, theirs: asyncpg.Connection, whole: Whole, *, slash: bool
) -> None:
    app.write(*FILES)
    await close_gate(db)
    runner = await app.start("up", "--ddl-lock-timeout", "60")
    await until(db, AT_THE_GATE)
    runner.process.kill()
    await runner.ends()
    run = asyncio.create_task(GolangMigrate(theirs, "app_versions", FILES, slash).run())
    await open_gate(db)
    assert await run == STEPS
    assert (await app.run("up")).code == 0
    await whole(2)
