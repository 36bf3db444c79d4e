"""Runs that start together, with a slow vector file and a short lock timeout."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import PostgresClient, migrate
from agentrows.migrate import Migrator
from support.catalog import columns, fingerprint
from support.runners import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from support.postgres import Server
    from support.runners import App

# `agentrows` with another vector track.
PROGRAM = """
from dataclasses import replace
from pathlib import Path
from agentrows import PostgresClient, migrate
from agentrows.cli import main
core, vector, ours, ours_vector = migrate.builtin_tracks()
slow = replace(vector, directory=Path(__file__).parent / "vector")
migrate.builtin_tracks = lambda **_: (core, slow, ours, ours_vector)
main()
"""
NO_DROPS = """
CREATE FUNCTION refuse_drops() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_type = 'table') THEN
        RAISE 'a table is dropped';
    END IF;
END $$;
CREATE EVENT TRIGGER refuse_drops ON sql_drop EXECUTE FUNCTION refuse_drops();
"""


def slow_vector(folder: Path) -> None:
    """Create a vector track with a second file that takes 3 s."""
    vector = migrate.builtin_tracks()[1]
    shutil.copytree(vector.directory, folder / "vector")
    second = folder / "vector" / "000002_hnsw_index.up.sql"
    second.write_text(f"{second.read_text()}SELECT pg_sleep(3);\n")
    (folder / "slow.py").write_text(PROGRAM)
    (folder / "app.py").write_text("TRACKS = []\n")


@pytest.mark.parametrize("replicas", [2, 3, 6])
async def test_one_of_several_runs_migrates_and_the_others_report_why_not(
    app: App, db: asyncpg.Connection, server: Server, replicas: int, rounds: int
) -> None:
    slow_vector(app.folder)
    app.program = (sys.executable, app.folder / "slow.py")
    await db.execute(NO_DROPS)
    of = await columns(db)
    before = await fingerprint(db, of)
    base = await db.fetchval("SELECT current_database()")
    await db.close()
    for _ in range(rounds):
        name = await asyncio.to_thread(server.create_database, base)
        app.dsn = server.dsn(name)
        try:
            await race(app, replicas)
            assert await counted(app, of) == before
        finally:
            await asyncio.to_thread(server.drop_database, name)


async def test_services_started_together_beside_a_reader_all_open(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    """The reader's snapshot is older than the indexes, which `up` builds later."""
    of = await columns(db)
    before = await fingerprint(db, of)
    tracks = migrate.builtin_tracks()

    async def apply(context: migrate.MigrationContext) -> None:
        await Migrator(context.dsn, context.tracks, ddl_lock_timeout_s=0.2).apply()

    reader = await asyncpg.connect(database)
    with caplog.at_level(logging.WARNING, logger="agentrows"):
        async with reader.transaction(isolation="repeatable_read"):
            await reader.execute("SELECT")
            async with asyncio.timeout(PATIENCE_S):
                clients = await asyncio.gather(
                    *(PostgresClient.connect(database, migrations=apply) for _ in range(3))
                )
            for client in clients:
                await client.store_session("s-new", user_id="mira")
                await client.close()
            up = asyncio.create_task(Migrator(database, tracks, ddl_lock_timeout_s=0.2).up())
            waits = f"waits until these transactions end: pid {reader.get_server_pid()}"
            async with asyncio.timeout(PATIENCE_S):
                while waits not in caplog.text:
                    await asyncio.sleep(0.01)
            assert not up.done()
        await up
    await reader.close()
    assert "optional files pending: " in caplog.text
    assert (await Migrator(database, tracks).doctor()).is_healthy
    assert (await Migrator(database, tracks).verify()).is_current
    await db.execute("DELETE FROM session WHERE id = 's-new'")
    assert await fingerprint(db, of) == before


async def race(app: App, replicas: int) -> None:
    runners = [await app.start("up", "--lock-timeout", "1") for _ in range(replicas)]
    ended = [await runner.wait_for_end() for runner in runners]
    winners = [done for done in ended if done.out.startswith("applied")]
    assert len(winners) == 1, [done.err for done in ended]
    for done in ended:
        if done not in winners:
            gave_up = done.code == 1 and "another runner had the migration lock" in done.last
            assert gave_up or (done.code, done.out) == (0, "nothing to do\n"), done.err
    assert (await app.run("up")).out == "nothing to do\n"
    assert (await Migrator(app.dsn, migrate.builtin_tracks()[::2]).verify()).is_current
    assert "vector\t3\n" in (await app.run("version")).out


async def counted(app: App, of: dict[str, list[str]]) -> object:
    db = await asyncpg.connect(app.dsn)
    try:
        return await fingerprint(db, of)
    finally:
        await db.close()
