"""`down`, `goto`, `force`, `plan`, `dry_run`, `doctor`, `new`: one track, on purpose."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.errors import (
    ConfigError,
    DirtySchema,
    InvalidTrack,
    MigrationError,
    MigrationFailed,
)
from agentrows.migrate import Migrator, Track, builtin_tracks, create_migration
from support.catalog import catalog, columns, fingerprint, uncommented_catalog
from support.tracks import write_track

if TYPE_CHECKING:
    from pathlib import Path

BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"


@pytest.fixture
def three(tmp_path: Path) -> Track:
    """A track of three versions, whose down files undo them."""
    track = write_track(
        tmp_path,
        "t",
        "CREATE TABLE IF NOT EXISTS a (n int);",
        "CREATE TABLE IF NOT EXISTS b (n int);",
        "CREATE TABLE IF NOT EXISTS c (n int);",
    )
    for version, table in enumerate("abc", start=1):
        down = track.directory / f"{version:06}_step.down.sql"
        down.write_text(f"DROP TABLE IF EXISTS {table};")
    return track


async def state(db: asyncpg.Connection) -> tuple[object, ...]:
    tables = [t for t in "abc" if await db.fetchval("SELECT to_regclass($1)", t)]
    rows = [tuple(row) for row in await db.fetch("SELECT version, dirty FROM t_versions")]
    return "".join(tables), rows


async def test_down_takes_the_newest_versions_first_and_leaves_the_rest(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    report = await Migrator(database, [three]).down("t", 2)
    assert [run.file for run in report.files] == [
        "t/000003_step.down.sql",
        "t/000002_step.down.sql",
    ]
    assert await state(db) == ("a", [(1, False)])
    assert report.status.tracks[0].moved_by == "agentrows"
    assert len((await Migrator(database, [three]).up()).files) == 2


async def test_goto_0_leaves_no_row_as_golang_migrate_does(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    await Migrator(database, [three]).goto("t", 0)
    assert await state(db) == ("", [])
    assert (await Migrator(database, [three]).goto("t", 2)).files
    assert await state(db) == ("ab", [(2, False)])
    assert (await Migrator(database, [three]).goto("t", 2)).files == ()


async def test_failed_down_is_rolled_back_whole(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    (three.directory / "000002_step.down.sql").write_text("SELECT nope;")
    with pytest.raises(MigrationFailed, match=r"000002_step\.down\.sql, line 1"):
        await Migrator(database, [three]).goto("t", 0)
    assert await state(db) == ("abc", [(3, False)])


async def test_unreachable_version_is_refused(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    with pytest.raises(MigrationError, match="cannot go down 4"):
        await Migrator(database, [three]).down("t", 4)
    with pytest.raises(MigrationError, match="no version 4"):
        await Migrator(database, [three]).goto("t", 4)
    with pytest.raises(InvalidTrack, match="there is no track 'u'; there are: t"):
        await Migrator(database, [three]).goto("u", 1)
    await db.execute("UPDATE t_versions SET version = 9")
    with pytest.raises(MigrationError, match="the release that has the files above it"):
        await Migrator(database, [three]).goto("t", 1)
    await db.execute("UPDATE t_versions SET version = 3, dirty = true")
    for act in (
        Migrator(database, [three]).goto("t", 1),
        Migrator(database, [three]).down("t", 1),
    ):
        with pytest.raises(DirtySchema, match="run `agentrows migrate up` first"):
            await act
    assert await state(db) == ("abc", [(3, True)])


async def test_other_tracks_keep_their_rows_during_down_and_up(
    orm_made: asyncpg.Connection, database: str
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    of = {table: names for table, names in (await columns(orm_made)).items() if table != "memory"}
    before = await fingerprint(orm_made, of)
    await Migrator(database, tracks).goto("vector", 0)
    assert await fingerprint(orm_made, of) == before
    await Migrator(database, tracks).up()
    assert (await Migrator(database, tracks).verify()).is_current


async def test_force_replaces_a_dirty_row_and_two_rows_and_is_in_the_history(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    await db.execute("UPDATE t_versions SET dirty = true; INSERT INTO t_versions VALUES (9, true)")
    found = await Migrator(database, [three]).force("t", 2)
    assert found.tracks[0].version == 2
    assert await state(db) == ("abc", [(2, False)])
    query = "SELECT version, direction, outcome FROM t_versions_history ORDER BY id DESC LIMIT 1"
    assert tuple(await db.fetchrow(query) or ()) == (2, "down", "forced")
    assert len((await Migrator(database, [three]).apply()).files) == 1, "it is ours still"
    await Migrator(database, [three]).force("t", 0)
    assert await state(db) == ("abc", [])
    with pytest.raises(MigrationError, match="no version 4"):
        await Migrator(database, [three]).force("t", 4)


async def test_force_does_not_touch_another_tools_table(
    database: str, db: asyncpg.Connection
) -> None:
    await db.execute("CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY)")
    with pytest.raises(MigrationError, match="dbmate"):
        await Migrator(database, builtin_tracks()).force("core", 1)


async def test_plan_lists_the_files_that_up_then_runs(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (n int);", BUILD, "SELECT 1;")
    tracks = [*builtin_tracks(), track]
    planned = await Migrator(database, tracks).plan()
    assert await catalog(db) == []
    outside = [each.file for each in planned if not each.in_transaction]
    assert outside[-1] == "t/000002_step.up.sql"
    assert [each.file for each in planned][-2:] == [outside[-1], "t/000003_step.up.sql"]
    report = await Migrator(database, tracks).up()
    assert [run.file for run in report.files] == [each.file for each in planned]
    assert await Migrator(database, tracks).plan() == ()
    (down,) = await Migrator(database, tracks).plan(track="core", target=6)
    assert (down.file, down.direction) == ("core/000007_task_owner.down.sql", "down")


async def test_a_dry_run_executes_everything_and_leaves_nothing(
    orm_made: asyncpg.Connection, database: str, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE IF NOT EXISTS a (n int);", BUILD, "SELECT 1;")
    before = await catalog(orm_made)
    rows = await fingerprint(orm_made, await columns(orm_made))
    report = await Migrator(database, [*builtin_tracks(), track]).dry_run()
    assert [run.file for run in report.files][-1] == "t/000001_step.up.sql"
    assert all(run.duration_s is not None for run in report.files)
    assert report.not_tried[-2:] == ("t/000002_step.up.sql", "t/000003_step.up.sql")
    assert "agentrows/000001_agent_created.up.sql" in report.not_tried
    assert await catalog(orm_made) == before
    assert await fingerprint(orm_made, await columns(orm_made)) == rows
    assert await orm_made.fetchval("SELECT to_regclass('schema_migrations')") is None
    assert not report.status.is_current


async def test_a_dry_run_raises_the_error_of_a_file_that_fails(
    database: str, tmp_path: Path
) -> None:
    with pytest.raises(MigrationFailed, match="division by zero"):
        await Migrator(database, [write_track(tmp_path, "t", "SELECT 1 / 0;")]).dry_run()


async def test_a_plan_has_the_order_of_the_run(database: str) -> None:
    """Policies are on tables that are made behind the files outside of the transaction."""
    tracks = builtin_tracks(row_security=True)
    planned = [step.file for step in await Migrator(database, tracks).plan()]
    assert planned == [run.file for run in (await Migrator(database, tracks).up()).files]
    assert planned[-1].startswith("rls_vector/")


async def test_doctor_reports_a_complete_database_as_healthy(database: str, tmp_path: Path) -> None:
    tracks = [*builtin_tracks(), write_track(tmp_path, "t", "SELECT 1;")]
    pending = await Migrator(database, tracks).doctor()
    assert pending.is_healthy
    assert pending.tracks[-1].steps[0].file == "t/000001_step.up.sql"
    await Migrator(database, tracks).up()
    found = await Migrator(database, tracks).doctor()
    assert found.is_healthy
    assert not any(track.steps or track.missing for track in found.tracks)


async def test_the_doctor_names_invalid_and_missing_indexes(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    tracks = [*builtin_tracks(), write_track(tmp_path, "t", "CREATE TABLE a (n int);")]
    await Migrator(database, tracks).up()
    await db.execute("DROP INDEX idx_memory_expires_at; INSERT INTO a VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("CREATE UNIQUE INDEX CONCURRENTLY a_n ON a (n)")
    found = await Migrator(database, tracks).doctor()
    assert not found.is_healthy
    assert found.invalid_indexes == (("public.a_n", "a"),)
    assert [track.missing for track in found.tracks] == [
        (),
        ("idx_memory_expires_at",),
        (),
        (),
        (),
    ]


async def test_doctor_reports_an_index_whose_name_another_table_uses(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    file = "CREATE TABLE IF NOT EXISTS a (n int); CREATE INDEX IF NOT EXISTS a_n ON a (n);"
    tracks = [write_track(tmp_path, "t", file)]
    await Migrator(database, tracks).up()
    await db.execute("DROP INDEX a_n; CREATE TABLE b (n int); CREATE INDEX a_n ON b (n)")
    (found,) = (await Migrator(database, tracks).doctor()).tracks
    assert (found.missing, found.repair_from) == (("a_n",), 0)


async def test_up_rebuilds_indexes_dropped_with_tables_of_core_and_vector(
    database: str, db: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    before = await uncommented_catalog(db)
    for track in ("vector", "core"):
        await Migrator(database, tracks).goto(track, 0)
        await Migrator(database, tracks).goto(track, 3 if track == "vector" else 7)
    builds = [
        path
        for path in tracks[2].directory.glob("*.up.sql")
        if re.search(r"CREATE INDEX CONCURRENTLY|ADD COLUMN", path.read_text())
        and not re.search(r"^ON agentrows_", path.read_text(), re.MULTILINE)
    ]
    found = await Migrator(database, tracks).verify()
    lost = found.tracks[2].missing
    assert "column agentrows_run_id of lg_checkpoint" in lost
    assert len([name for name in lost if not name.startswith("column")]) == len(builds) - 2
    assert found.tracks[3].missing == ("agentrows_memory_created", "fillfactor of memory")
    assert f"missing: {found.tracks[2].missing_summary}; missing: agentrows_mem" in caplog.text
    ours = (await Migrator(database, tracks).doctor()).tracks[2]
    assert (ours.is_healthy, ours.repair_from) == (False, None)
    assert [step.rebuilds for step in ours.steps] == [True] * len(builds)
    planned = await Migrator(database, tracks).plan()

    report = await Migrator(database, tracks).up()

    assert [run.file for run in report.files] == [each.file for each in planned]
    assert len(planned) == len(builds) + 2
    assert await uncommented_catalog(db) == before
    assert (await Migrator(database, tracks).doctor()).is_healthy
    assert not (await Migrator(database, tracks).status()).is_foreign, "the history agrees"
    assert (await Migrator(database, tracks).up()).files == ()


async def test_up_rebuilds_a_missing_and_an_invalid_index_and_keeps_the_others(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    before = await catalog(db)
    oids = "SELECT relname, oid FROM pg_class WHERE relname LIKE 'agentrows_%' AND relkind = 'i'"
    built = {row["relname"]: row["oid"] for row in await db.fetch(oids)}
    missing, invalid = "agentrows_event_order", "agentrows_task_order"
    await db.execute(f"DROP INDEX {missing}")
    await db.execute(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass($1)", invalid
    )
    checkup = await Migrator(database, tracks).doctor()
    assert checkup.tracks[2].missing == (missing,)
    assert [name for name, _ in checkup.invalid_indexes] == [f"public.{invalid}"]

    await Migrator(database, tracks).up()

    assert await catalog(db) == before
    kept = {name for name, oid in await db.fetch(oids) if built.get(name) == oid}
    assert kept == built.keys() - {missing, invalid}


async def test_rebuild_that_fails_keeps_the_version_and_names_the_file(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    await db.execute("DROP INDEX agentrows_event_order; CREATE TABLE agentrows_event_order ()")
    with pytest.raises(MigrationFailed, match=r"agentrows/000007.*is taken by another relation"):
        await Migrator(database, tracks).up()
    found = await Migrator(database, tracks).verify()
    assert found.versions["agentrows"] == found.tracks[2].newest
    await db.execute("DROP TABLE agentrows_event_order")
    assert [run.file[:16] for run in (await Migrator(database, tracks).up()).files] == [
        "agentrows/000007"
    ]


async def test_the_doctor_lists_the_file_of_a_dirty_row_as_a_step_of_up(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    await db.execute("UPDATE t_versions SET version = 2, dirty = true")
    (track,) = (await Migrator(database, [three]).doctor()).tracks
    assert not track.is_healthy
    assert [(step.file[2:8], step.heals) for step in track.steps] == [
        ("000002", True),
        ("000003", False),
    ]


async def test_doctor_accepts_every_tracking_table(
    database: str, db: asyncpg.Connection, three: Track
) -> None:
    await Migrator(database, [three]).up()
    (three.directory / "000001_step.up.sql").write_text("SELECT 1;")
    (changed,) = (await Migrator(database, [three]).doctor()).tracks
    assert "was changed after it was applied" in str(changed.problem)
    await db.execute("INSERT INTO t_versions VALUES (9, true)")
    (two,) = (await Migrator(database, [three]).doctor()).tracks
    assert (len(two.rows), two.status) == (2, None)
    assert "has 2 rows" in str(two.problem)
    await db.execute("DROP TABLE t_versions; CREATE TABLE t_versions (version text)")
    (other,) = (await Migrator(database, [three]).doctor()).tracks
    assert "another tool's table" in str(other.problem)


def test_new_writes_the_next_pair_of_files(three: Track, tmp_path: Path) -> None:
    up, down = create_migration(three, "Add a Note!")
    assert (up.name, down.name) == ("000004_add_a_note.up.sql", "000004_add_a_note.down.sql")
    assert create_migration(three, "more")[0].name == "000005_more.up.sql"
    first, _ = create_migration(Track("n", tmp_path / "n", "n_versions"), "first")
    assert first.name == "000001_first.up.sql"
    with pytest.raises(InvalidTrack, match="no ASCII letter or digit"):
        create_migration(three, "!!")


@pytest.mark.parametrize("orm_release", ["0_7"])
async def test_a_database_older_than_kagent_0_8_is_refused_unchanged(
    orm_made: asyncpg.Connection, database: str
) -> None:
    """Its ORM had no session.source yet; kagent 0.8 has to run first, and adds it."""
    await orm_made.execute("ALTER TABLE session DROP COLUMN source")
    before = await catalog(orm_made)
    rows = await fingerprint(orm_made, await columns(orm_made))

    with pytest.raises(ConfigError, match=r"kagent older than v0\.8\.0 created it"):
        await Migrator(database, builtin_tracks()).up()

    assert await catalog(orm_made) == before
    assert await fingerprint(orm_made, await columns(orm_made)) == rows
    await orm_made.execute("ALTER TABLE session ADD COLUMN source text")
    await Migrator(database, builtin_tracks()).up()
    assert (await Migrator(database, builtin_tracks()).verify()).is_current
