"""Databases that golang-migrate, or a program built on it, has migrated before us."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.errors import (
    DirtySchema,
    InvalidTrack,
    MigrationError,
    MigrationFailed,
    SchemaBehind,
)
from agentrows.migrate import Migrator, Status, Track, builtin_tracks
from agentrows.migrate.track import load_all
from support.catalog import catalog
from support.foreign import golang_migrate, set_row
from support.tracks import write_track

if TYPE_CHECKING:
    from pathlib import Path


async def history(db: asyncpg.Connection, table: str) -> list[tuple[object, ...]]:
    query = f"SELECT version, direction, outcome, sha256 IS NULL FROM {table}_history ORDER BY id"  # noqa: S608
    return [tuple(row) for row in await db.fetch(query)]


CORE, VECTOR, OURS, OURS_VECTOR = builtin_tracks()


@pytest.fixture
def three(tmp_path: Path) -> Track:
    """A track of three files that can be applied twice."""
    return write_track(
        tmp_path,
        "t",
        "CREATE TABLE IF NOT EXISTS a (id int);",
        "ALTER TABLE a ADD COLUMN IF NOT EXISTS n int;",
        "CREATE TABLE IF NOT EXISTS b (id int);",
    )


async def test_up_continues_from_the_version_of_another_tool(
    database: str, db: asyncpg.Connection
) -> None:
    await golang_migrate(db, CORE, 5)
    report = await Migrator(database, builtin_tracks()).up()
    assert [run.file for run in report.files][:3] == [
        "core/000006_session_shares.up.sql",
        "core/000007_task_owner.up.sql",
        "vector/000001_vector_support.up.sql",
    ]
    assert await history(db, "schema_migrations") == [
        (5, "up", "external", True),
        (6, "up", "applied", False),
        (7, "up", "applied", False),
    ]


async def test_golang_migrate_continues_from_the_version_of_a_run(
    database: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, builtin_tracks()).up()
    await set_row(db, "schema_migrations", 13, dirty=False)
    assert (await Migrator(database, builtin_tracks()).up()).files == ()
    assert (await history(db, "schema_migrations"))[-1] == (13, "up", "external", True)
    await set_row(db, "schema_migrations", 6, dirty=False)
    report = await Migrator(database, builtin_tracks()).up()
    assert [run.file for run in report.files] == ["core/000007_task_owner.up.sql"]
    assert (await history(db, "schema_migrations"))[-2] == (6, "down", "external", True)


async def test_apply_leaves_a_database_that_another_tool_migrates_as_it_is(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await golang_migrate(db, CORE, 5)
    before = await catalog(db)
    report = await Migrator(database, builtin_tracks()).apply()
    assert report.files == ()
    assert await catalog(db) == before
    assert await db.fetchval("SELECT to_regclass('schema_migrations_history')") is None
    assert "track 'core' is at 5, this release needs 7" in caplog.text


async def test_apply_migrates_foreign_database_after_up_was_run(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await golang_migrate(db, three, 3)
    await Migrator(database, [three]).up()
    for way in ("up", "down"):
        text = "CREATE TABLE IF NOT EXISTS c (id int);"
        (three.directory / f"000004_step.{way}.sql").write_text(text)
    assert len((await Migrator(database, [three]).apply()).files) == 1

    await set_row(db, "t_versions", 3, dirty=False)
    assert (await Migrator(database, [three]).apply()).files == (), (
        "it moved it again: it is theirs"
    )


@pytest.mark.usefixtures("orm_made")
async def test_apply_migrates_an_empty_database_and_one_that_an_orm_made(
    database: str, fresh_database: str
) -> None:
    for dsn in (database, fresh_database):
        assert (await Migrator(dsn, builtin_tracks()).apply()).status.is_current
        assert (await Migrator(dsn, builtin_tracks()).apply()).files == ()


async def test_apply_takes_no_lock_when_there_is_nothing_to_do(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).apply()
    await db.execute("SELECT pg_advisory_lock(id) FROM generate_series(0, 1) AS id")
    await Migrator(database, [three], lock_timeout_s=0.0).apply()


async def test_apply_reads_under_the_lock_that_another_tool_migrated(
    database: str, db: asyncpg.Connection, three: Track, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = await Migrator(database, [three]).status()

    async def as_it_was(_migrator: Migrator) -> Status:
        return empty

    monkeypatch.setattr(Migrator, "status", as_it_was)
    await golang_migrate(db, three, 1)
    assert (await Migrator(database, [three]).apply()).files == ()
    assert await db.fetchval("SELECT to_regclass('b')") is None


async def test_apply_refuses_a_dirty_foreign_database(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await golang_migrate(db, three, 2, dirty=True)
    with pytest.raises(DirtySchema, match="`agentrows migrate up` runs that version again"):
        await Migrator(database, [three]).apply()


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("reached", ["nothing", "half", "all"])
async def test_dirty_version_is_run_again_and_the_run_continues(
    database: str, db: asyncpg.Connection, three: Track, version: int, reached: str
) -> None:
    applied = version if reached == "all" else version - 1
    await golang_migrate(db, three, applied)
    await set_row(db, "t_versions", version, dirty=True)

    report = await Migrator(database, [three]).up()

    assert [run.file[2:8] for run in report.files] == [f"{v:06}" for v in range(version, 4)]
    assert report.status.is_current
    assert (await history(db, "t_versions"))[0] == (version, "up", "healed", False)


async def test_failed_down_of_the_first_file_starts_again_from_it(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await golang_migrate(db, three, 1)
    await set_row(db, "t_versions", -1, dirty=True)
    assert len((await Migrator(database, [three]).up()).files) == 3
    assert (await Migrator(database, [three]).status()).is_current


@pytest.mark.parametrize("track", [CORE, VECTOR], ids=lambda track: track.name)
@pytest.mark.parametrize("down_ran", [False, True])
async def test_every_version_of_kagent_is_repaired_after_a_failed_down(
    database: str, fresh_database: str, db: asyncpg.Connection, track: Track, *, down_ran: bool
) -> None:
    """(v, true) is left by a down from v + 1 as well; its file may have run, or not."""
    await Migrator(fresh_database, builtin_tracks()).up()
    fresh = await asyncpg.connect(fresh_database)
    whole = await catalog(fresh)
    await fresh.close()
    (loaded,) = load_all([track])

    for above in loaded.migrations[1:]:
        await db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        await golang_migrate(db, track, above.version)
        if down_ran and not above.down.is_blank:
            await db.execute(above.down.sql)
        await set_row(db, track.table, above.version - 1, dirty=True)

        await Migrator(database, builtin_tracks()).up()

        assert await catalog(db) == whole, above.down.label


async def test_version_that_cannot_be_repaired_keeps_its_row_with_a_cure(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int);", "CREATE TABLE b (id int);")
    await golang_migrate(db, track, 2, dirty=True)
    with pytest.raises(MigrationFailed, match=r"already exists .* is still half applied") as e:
        await Migrator(database, [track]).up()
    assert "record the version of the schema" in str(e.value)
    assert [tuple(row) for row in await db.fetch("SELECT * FROM t_versions")] == [(2, True)]


async def test_newer_database_is_accepted_and_not_changed(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await golang_migrate(db, three, 3)
    await set_row(db, "t_versions", 9, dirty=False)
    before = await catalog(db)
    assert (await Migrator(database, [three]).verify()).tracks[0].is_ahead
    assert (await Migrator(database, [three]).apply()).files == ()
    assert (await Migrator(database, [three]).up()).files == ()
    assert await catalog(db) == before
    assert await db.fetchval("SELECT version FROM t_versions") == 9


async def test_a_missing_file_that_this_release_applied_is_refused(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    newest = "SELECT max(version) FROM agentrows_schema_migrations_history"
    above = await db.fetchval(newest) + 1
    await db.execute(
        "INSERT INTO agentrows_schema_migrations_history"
        " (version, direction, outcome, file, sha256, finished_at, applied_by, library_version)"
        " SELECT $1, direction, outcome, 'agentrows/000099_lost.up.sql', 'abc', finished_at,"
        " applied_by, library_version"
        " FROM agentrows_schema_migrations_history LIMIT 1",
        above,
    )
    await set_row(db, "agentrows_schema_migrations", above, dirty=False)
    for act in (Migrator.up, Migrator.verify, Migrator.apply):
        with pytest.raises(InvalidTrack, match=r"000099_lost.up.sql was applied by .* sha256 abc"):
            await act(Migrator(database, tracks))

    await db.execute("UPDATE agentrows_schema_migrations_history SET library_version = '99.0'")
    (found,) = (
        track
        for track in (await Migrator(database, tracks).verify()).tracks
        if track.name == "agentrows"
    )
    assert (found.is_ahead, found.unknown_applied) == (True, ("agentrows/000099_lost.up.sql",))


async def test_a_newer_and_dirty_database_is_refused(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await set_row(db, "t_versions", 9, dirty=True)
    for act in (Migrator.up, Migrator.apply, Migrator.verify):
        with pytest.raises(DirtySchema, match="9"):
            await act(Migrator(database, [three]))


async def test_the_table_of_dbmate_is_refused(database: str, db: asyncpg.Connection) -> None:
    await db.execute("CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)")
    for act in (Migrator.up, Migrator.apply, Migrator.verify, Migrator.status):
        with pytest.raises(MigrationError, match=r"version character varying\(128\).* dbmate"):
            await act(Migrator(database, builtin_tracks()))


async def test_a_tracking_table_with_two_rows_is_refused(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await set_row(db, "t_versions", 1, dirty=False)
    await db.execute("INSERT INTO t_versions VALUES (2, false)")
    for act in (Migrator.up, Migrator.apply, Migrator.verify, Migrator.status):
        with pytest.raises(MigrationError, match=r"has 2 rows \(versions 1, 2\)"):
            await act(Migrator(database, [three]))


async def test_verify_names_the_pending_required_files(database: str, three: Track) -> None:
    with pytest.raises(SchemaBehind, match=r"'t' is at nothing, this release needs 3 \(t/000001"):
        await Migrator(database, [three]).verify()
    await Migrator(database, [three]).up()
    assert (await Migrator(database, [three]).verify()).is_current
