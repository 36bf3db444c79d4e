"""Optional files: a service starts without them, and `up` applies them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import PostgresClient, SchemaBehind, Settings
from agentrows.errors import ConfigError, DirtySchema, InvalidTrack
from agentrows.migrate import Migrator, builtin_tracks
from agentrows.migrate.lock import lock_ids
from agentrows.migrate.server import read_session
from agentrows.migrate.status import resolve_table_names
from agentrows.migrate.track import load
from support.runners import until
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentrows.migrate import Track

TRACKS = builtin_tracks()
OPTIONAL = sum(
    len(list(track.directory.glob("*.up.sql"))) for track in TRACKS if track.required_version == 0
)
LARGE = (
    "INSERT INTO event (id, user_id, session_id, data)"
    " SELECT i, 'mira', 's', repeat('x', 1000) FROM generate_series(1, 10000) AS i"
)


def pending_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The lines of the log about what is pending, each of at most 200 characters."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert all(len(line) <= 200 for line in lines), lines
    return lines


async def lock(db: asyncpg.Connection, tracks: Sequence[Track]) -> None:
    """Take the migration locks of these tracks, as a run that builds their indexes does."""
    session = await read_session(db)
    for one in lock_ids(session.database, resolve_table_names(tracks, session)):
        await db.execute("SELECT pg_advisory_lock($1)", one)


@pytest.mark.usefixtures("orm_made")
async def test_apply_leaves_the_indexes_of_large_tables_to_up(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await db.execute(LARGE)

    report = await Migrator(database, TRACKS).apply()

    assert report.status.versions == {"core": 7, "vector": 3}
    assert report.status.is_usable
    assert not report.status.is_current
    assert await db.fetchval("SELECT to_regclass('agentrows_schema_migrations')") is None
    (line,) = pending_lines(caplog)
    assert line.startswith(f"optional files pending: {OPTIONAL};")
    assert await Migrator(database, TRACKS).verify() == report.status
    planned = await Migrator(database, TRACKS).plan()
    assert len(planned) == OPTIONAL
    assert all(each.optional for each in planned)
    checkup = await Migrator(database, TRACKS).doctor()
    assert checkup.is_healthy
    assert all(step.optional for track in checkup.tracks for step in track.steps)

    async with PostgresClient.open(database, settings=Settings()) as client:
        with pytest.raises(SchemaBehind, match=r"agentrows_feedback_key.*`agentrows migrate up`"):
            await client.store_feedback(
                user_id="mira", feedback_text="x", is_positive=True, idempotency_key="k"
            )
        assert len((await Migrator(database, TRACKS).up()).files) == OPTIONAL
        await client.store_feedback(
            user_id="mira", feedback_text="x", is_positive=True, idempotency_key="k"
        )
    assert (await Migrator(database, TRACKS).apply()).status.is_current


async def test_apply_applies_optional_files_to_a_new_database(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    report = await Migrator(database, TRACKS).apply()
    assert report.status.is_current
    assert pending_lines(caplog) == []


async def test_apply_does_not_wait_for_a_session_that_builds_indexes(
    database: str, db: asyncpg.Connection
) -> None:
    await lock(db, TRACKS[2:])
    async with asyncio.timeout(30):
        report = await Migrator(database, TRACKS).apply()
        assert report.status.versions == {"core": 7, "vector": 3}
        assert (await Migrator(database, TRACKS).apply()).files == ()


async def test_replica_that_waits_opens_once_the_required_files_are_applied(
    database: str, db: asyncpg.Connection
) -> None:
    """The other runner has committed its transaction, and still builds indexes."""
    await lock(db, TRACKS)
    waiting = asyncio.ensure_future(Migrator(database, TRACKS).apply())
    other = await asyncpg.connect(database)
    try:
        await until(
            other,
            "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database()"
            " AND application_name = 'agentrows migrate' AND query LIKE '%try_advisory_lock%'",
        )
        await db.execute("SELECT pg_advisory_unlock_all()")
        await lock(db, TRACKS[2:])
        async with asyncio.timeout(30):
            assert (await waiting).status.is_usable
    finally:
        await other.close()


async def test_apply_opens_while_an_old_transaction_blocks_an_index(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await Migrator(database, TRACKS[:2]).apply()
    old = db.transaction(isolation="repeatable_read")
    await old.start()
    await db.fetchval("SELECT count(*) FROM session")
    report = await Migrator(database, TRACKS, ddl_lock_timeout_s=0.05).apply()
    assert report.status.is_usable
    assert report.status.tracks[2].dirty
    (line,) = pending_lines(caplog)
    assert "not applied: agentrows/000001_agent_created.up.sql: canceling statement" in line
    assert (await Migrator(database, TRACKS).verify()).versions["core"] == 7
    async with PostgresClient.open(database, settings=Settings(migrations="verify")):
        pass
    await old.rollback()
    assert (await Migrator(database, TRACKS).apply()).status.is_current


async def test_dirty_required_version_is_refused_and_an_optional_one_is_not(
    database: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, TRACKS).up()
    # A newer release builds the index of its file 99.
    await db.execute("UPDATE agentrows_schema_migrations SET version = 99, dirty = true")
    assert (await Migrator(database, TRACKS).verify()).is_usable
    await db.execute("UPDATE schema_migrations SET version = 5, dirty = true")
    with pytest.raises(DirtySchema, match="core"):
        await Migrator(database, TRACKS).verify()


async def test_optional_files_are_required_while_policies_that_come_after_lack(
    database: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, TRACKS[:2]).apply()
    await db.execute(LARGE)
    tracks = builtin_tracks(row_security=True)
    with pytest.raises(SchemaBehind, match=r"'agentrows' is at nothing.*'rls' is at nothing"):
        await Migrator(database, tracks).verify()
    report = await Migrator(database, tracks).apply()
    assert report.status.is_usable
    assert {"agentrows", "rls", "rls_vector"} <= report.status.versions.keys()


async def test_files_up_to_the_required_version_are_applied_and_the_others_left(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await db.execute(
        "CREATE TABLE big AS SELECT i, repeat('x', 1000) FROM generate_series(1, 10000) AS i"
    )
    track = dataclasses.replace(
        write_track(
            tmp_path,
            "t",
            "CREATE TABLE IF NOT EXISTS a (id int);",
            "-- no-transaction: test\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_id ON a (id);",
            "ALTER TABLE a ADD COLUMN IF NOT EXISTS n int;",
            "-- no-transaction: test\nCREATE INDEX CONCURRENTLY IF NOT EXISTS big_i ON big (i);",
        ),
        required_version=3,
    )
    with pytest.raises(SchemaBehind, match=r"needs 3 \(t/000001_step.up.sql and 2 more\)"):
        await Migrator(database, [track]).verify()
    found = (await Migrator(database, [track]).apply()).status
    assert found.versions == {"t": 3}
    assert found.tracks[0].optional == ("t/000004_step.up.sql",)
    assert found == await Migrator(database, [track]).verify()
    assert (await Migrator(database, [track]).up()).status.is_current


async def test_a_rebuild_logs_notices_and_leaves_nothing_in_the_session(
    database: str, db: asyncpg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    track = dataclasses.replace(
        write_track(
            tmp_path,
            "t",
            "CREATE TABLE IF NOT EXISTS a (id int);",
            "DO $$ BEGIN RAISE NOTICE 'building'; END $$; SET work_mem = '1MB';"
            " SELECT pg_advisory_lock(77); CREATE INDEX IF NOT EXISTS a_id ON a (id);",
            "CREATE TABLE IF NOT EXISTS seen AS SELECT current_setting('work_mem') AS work_mem,"
            " (SELECT count(*) FROM pg_locks WHERE objid = 77) AS locks;"
            " CREATE INDEX IF NOT EXISTS a_next ON a (id);",
        ),
        required_version=1,
    )
    await Migrator(database, [track]).up()
    await db.execute("DROP INDEX a_id; DROP INDEX a_next; DROP TABLE seen")
    caplog.clear()
    caplog.set_level(logging.INFO, "agentrows")
    assert len((await Migrator(database, [track]).up()).files) == 2
    assert "t/000002_step.up.sql: NOTICE: building" in caplog.text
    assert tuple(await db.fetchrow("SELECT work_mem, locks FROM seen") or ()) == ("4MB", 0)


def test_required_version_must_be_a_version_of_the_track(tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT 1;")
    with pytest.raises(InvalidTrack, match="required_version must be 0 or more, got -1"):
        dataclasses.replace(track, required_version=-1)
    with pytest.raises(InvalidTrack, match="required_version is 2, and the newest file is 1"):
        load(dataclasses.replace(track, required_version=2))


@pytest.mark.usefixtures("orm_made")
async def test_core_is_refused_on_tables_older_than_kagent_0_8(
    database: str, db: asyncpg.Connection
) -> None:
    await db.execute("ALTER TABLE session DROP COLUMN source CASCADE")
    with pytest.raises(ConfigError, match="kagent older than v0"):
        await Migrator(database, TRACKS).up()
    assert await db.fetchval("SELECT to_regclass('schema_migrations')") is None


@pytest.mark.parametrize("orm_release", ["0_7"])  # later ones have no two rows with the same id
@pytest.mark.usefixtures("orm_made")
async def test_rows_of_feedback_that_get_a_new_id_are_counted_in_the_log(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    copied = await db.execute(
        "INSERT INTO feedback (id, user_id, feedback_text)"
        " SELECT id, 'twin of ' || user_id, 'x' FROM feedback"
    )
    twins = int(copied.split()[-1])
    assert twins > 0
    await Migrator(database, TRACKS).up()
    assert f"core/000004 gives {twins} rows of feedback a new id" in caplog.text
