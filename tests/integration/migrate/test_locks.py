"""Other runners, other tools and other sessions in the way."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from agentrows.errors import ConfigError, LockTimeout, MigrationFailed
from agentrows.migrate import Migrator, builtin_tracks, run
from agentrows.migrate.lock import lock_id
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest_asyncio.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody else's session."""
    connection = await asyncpg.connect(
        database, server_settings={"application_name": "the other one"}
    )
    yield connection
    await connection.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries without long pauses."""
    monkeypatch.setattr(run, "FIRST_PAUSE_S", 0.01)


async def advisory_locks(db: asyncpg.Connection) -> int:
    return int(await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"))


@pytest.mark.parametrize("table", ["schema_migrations", "agentrows_schema_migrations"])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_either_lock_of_any_track_blocks_a_run(
    database: str, db: asyncpg.Connection, other: asyncpg.Connection, table: str, slash: str
) -> None:
    name = await db.fetchval("SELECT current_database()")
    await other.execute(f"SELECT pg_advisory_lock({lock_id('public', table, slash + name)})")
    with pytest.raises(LockTimeout) as caught:
        await Migrator(database, builtin_tracks(), lock_timeout_s=0.1).up()
    assert f"pid {other.get_server_pid()} (the other one)" in str(caught.value)
    assert await db.fetchval("SELECT to_regclass('agent')") is None
    assert await advisory_locks(db) == 1, "we hold none of our other ids"


async def test_run_holds_every_lock_id_until_its_end(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path,
        "t",
        "CREATE TABLE held AS SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'",
    )
    await Migrator(database, [track]).up()
    name = await db.fetchval("SELECT current_database()")
    held = {row[0] for row in await db.fetch("SELECT objid FROM held")}
    assert held == {lock_id("public", "t_versions", n) for n in (name, f"/{name}")}
    assert await advisory_locks(db) == 0


async def test_failed_run_releases_its_locks(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    with pytest.raises(MigrationFailed):
        await Migrator(database, [write_track(tmp_path, "t", "SELECT nope;")]).up()
    assert await advisory_locks(db) == 0


async def test_run_continues_when_the_other_runner_ends(
    database: str, db: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    name = await db.fetchval("SELECT current_database()")
    held = lock_id("public", "schema_migrations", name)
    await other.execute(f"SELECT pg_advisory_lock({held})")
    run = asyncio.create_task(Migrator(database, builtin_tracks()).up())
    await asyncio.sleep(0.1)
    assert not run.done()
    await other.execute(f"SELECT pg_advisory_unlock({held})")
    assert (await run).files


async def test_replica_that_gives_up_undoes_nothing_of_the_running_one(
    database: str, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int);", "SELECT pg_sleep(0.5);")
    winner = asyncio.create_task(Migrator(database, [track]).up())
    await asyncio.sleep(0.15)
    with pytest.raises(LockTimeout, match="agentrows migrate"):
        await Migrator(database, [track], lock_timeout_s=0.1).up()
    assert (await winner).status.is_current
    assert (await Migrator(database, [track]).verify()).is_current


async def test_golang_migrate_waits_for_a_run_and_reads_its_version(
    database: str, other: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "SELECT pg_sleep(0.3);")
    run = asyncio.create_task(Migrator(database, [track]).up())
    await asyncio.sleep(0.15)
    name = await other.fetchval("SELECT current_database()")
    await other.execute(f"SELECT pg_advisory_lock({lock_id('public', 't_versions', name)})")
    assert await other.fetchval("SELECT version FROM t_versions WHERE NOT dirty") == 1
    assert (await run).files


async def test_cancellation_ends_the_wait_for_the_lock_at_once(
    database: str, db: asyncpg.Connection, other: asyncpg.Connection
) -> None:
    name = await db.fetchval("SELECT current_database()")
    held = lock_id("public", "schema_migrations", name)
    await other.execute(f"SELECT pg_advisory_lock({held})")
    run = asyncio.create_task(Migrator(database, builtin_tracks()).up())
    await asyncio.sleep(0.1)
    started = time.monotonic()
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert time.monotonic() - started < 0.5


async def test_run_reads_the_work_of_the_runner_that_it_waited_for(
    database: str, db: asyncpg.Connection, other: asyncpg.Connection, tmp_path: Path
) -> None:
    """The versions are read under the lock, so golang-migrate's work is not done again."""
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int);")
    name = await db.fetchval("SELECT current_database()")
    held = lock_id("public", "t_versions", name)
    await other.execute(f"SELECT pg_advisory_lock({held})")
    run = asyncio.create_task(Migrator(database, [track]).up())
    await asyncio.sleep(0.1)
    await other.execute(
        "CREATE TABLE t_versions (version bigint not null primary key, dirty boolean not null);"
        "CREATE TABLE a (id int); INSERT INTO t_versions VALUES (1, false);"
    )
    await other.execute(f"SELECT pg_advisory_unlock({held})")
    assert (await run).files == ()


@pytest.mark.usefixtures("quick")
async def test_file_on_a_table_in_use_is_retried_until_it_is_free(
    database: str, other: asyncpg.Connection, tmp_path: Path
) -> None:
    await other.execute("CREATE TABLE a (id int)")
    track = write_track(tmp_path, "t", "CREATE TABLE b (id int); ALTER TABLE a ADD COLUMN n int;")
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM a")
    run = asyncio.create_task(Migrator(database, [track], ddl_lock_timeout_s=0.1).up())
    await asyncio.sleep(0.15)
    await transaction.rollback()
    assert len((await run).files) == 1


@pytest.mark.usefixtures("quick")
async def test_a_table_in_use_ends_the_run_with_the_sessions_that_use_it(
    database: str,
    db: asyncpg.Connection,
    other: asyncpg.Connection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await db.execute("CREATE TABLE a (id int)")
    track = write_track(tmp_path, "t", "CREATE TABLE b (id int); ALTER TABLE a ADD COLUMN n int;")
    async with other.transaction():
        await other.execute("SELECT FROM a")
        with pytest.raises(MigrationFailed, match="SQLSTATE 55P03") as caught:
            await Migrator(database, [track], ddl_lock_timeout_s=0.02).up()
    who = f"pid {other.get_server_pid()} (the other one)"
    assert who in str(caught.value)
    assert caplog.text.count(who) == run.ATTEMPTS - 1
    assert await db.fetchval("SELECT to_regclass('b')") is None


@pytest.mark.usefixtures("quick")
async def test_wait_for_a_tracking_table_in_use_is_limited(
    database: str, other: asyncpg.Connection, tmp_path: Path
) -> None:
    await Migrator(database, [write_track(tmp_path, "t", "SELECT 1;")]).up()
    async with other.transaction():
        await other.execute("LOCK TABLE t_versions")
        with pytest.raises(MigrationFailed, match="tried 5 times"):
            await Migrator(
                database, [write_track(tmp_path, "t", "SELECT 1;")], ddl_lock_timeout_s=0.02
            ).up()


async def test_run_does_not_wait_for_a_reader_of_the_tracking_table(
    database: str, other: asyncpg.Connection, tmp_path: Path
) -> None:
    await Migrator(database, [write_track(tmp_path, "t", "SELECT 1;")]).up()
    async with other.transaction():
        await other.execute("SELECT * FROM t_versions")
        longer = write_track(tmp_path, "t", "SELECT 1;", "SELECT 2;")
        report = await Migrator(database, [longer], ddl_lock_timeout_s=0.1).up()
    assert len(report.files) == 1


async def test_a_pooler_is_refused(
    database: str, db: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server process is another one than the one that accepted the connection."""

    def get_server_pid(_connection: asyncpg.Connection) -> int:
        return 1

    monkeypatch.setattr(asyncpg.Connection, "get_server_pid", get_server_pid)
    with pytest.raises(ConfigError, match="through a pooler"):
        await Migrator(database, [write_track(tmp_path, "t", "CREATE TABLE a (id int);")]).up()
    assert await db.fetchval("SELECT to_regclass('a')") is None
