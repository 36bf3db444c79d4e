"""`up`: one transaction over all tracks, and what it leaves in the tracking tables."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.errors import (
    InvalidTrack,
    MigrationError,
    MigrationFailed,
    OutcomeUnknown,
    Unavailable,
)
from agentrows.migrate import FileRun, Migrator, Track, builtin_tracks
from support.catalog import catalog, columns, fingerprint
from support.tracks import write_track

if TYPE_CHECKING:
    from pathlib import Path


async def tables(db: asyncpg.Connection) -> set[str]:
    found = await db.fetch("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ '^pg_'")
    return {str(row[0]) for row in found if not str(row[0]).startswith("sql_")}


async def rows(db: asyncpg.Connection, table: str = "t_versions") -> list[tuple[object, ...]]:
    return [tuple(row) for row in await db.fetch(f'SELECT version, dirty FROM "{table}"')]  # noqa: S608


async def history(db: asyncpg.Connection, table: str = "t_versions") -> list[tuple[object, ...]]:
    query = f'SELECT version, direction, outcome, file FROM "{table}_history" ORDER BY id'  # noqa: S608
    return [tuple(row) for row in await db.fetch(query)]


async def until(db: asyncpg.Connection, query: str) -> None:
    while not await db.fetchval(query):
        await asyncio.sleep(0.01)


async def test_an_empty_database_gets_every_file_of_every_track(
    database: str, db: asyncpg.Connection
) -> None:
    report = await Migrator(database, builtin_tracks()).up()
    assert [run.file for run in report.files][:2] == [
        "core/000001_initial.up.sql",
        "core/000002_not_null_defaults.up.sql",
    ]
    assert report.status.is_current
    assert await rows(db, "schema_migrations") == [(7, False)]
    assert await rows(db, "vector_schema_migrations") == [(3, False)]


async def test_a_second_run_has_nothing_to_do(database: str, db: asyncpg.Connection) -> None:
    await Migrator(database, builtin_tracks()).up()
    entered = await history(db, "schema_migrations")
    report = await Migrator(database, builtin_tracks()).up()
    assert report.files == ()
    assert await history(db, "schema_migrations") == entered


async def test_the_tracking_table_has_the_shape_of_golang_migrate(
    database: str, db: asyncpg.Connection
) -> None:
    await Migrator(database, builtin_tracks()).up()
    shape = await db.fetch(
        "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute"
        " WHERE attrelid = 'schema_migrations'::regclass AND attnum > 0 ORDER BY attnum"
    )
    assert [tuple(row) for row in shape] == [
        ("version", "bigint", True),
        ("dirty", "boolean", True),
    ]
    assert (
        await db.fetchval(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'schema_migrations'::regclass AND contype = 'p'"
        )
        == "PRIMARY KEY (version)"
    )


async def test_the_history_records_file_time_and_role_of_each_run(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "SELECT pg_sleep(0.05);")
    await Migrator(database, [track]).up()
    entry = await db.fetchrow("SELECT * FROM t_versions_history")
    assert entry is not None
    assert (entry["version"], entry["direction"], entry["outcome"]) == (1, "up", "applied")
    assert entry["file"] == "t/000001_step.up.sql"
    assert len(entry["sha256"]) == 64
    assert (entry["finished_at"] - entry["started_at"]).total_seconds() >= 0.05
    assert entry["duration_s"] >= 0.05
    assert entry["applied_by"] == "postgres"
    assert entry["library_version"]


async def test_progress_is_reported_before_and_after_each_file(
    database: str, tmp_path: Path
) -> None:
    told: list[FileRun] = []
    track = write_track(tmp_path, "t", "SELECT 1;")
    report = await Migrator(database, [track], on_progress=told.append).up()
    assert told == [FileRun("t/000001_step.up.sql"), *report.files]


async def test_an_orm_made_database_is_taken_over_with_its_rows(
    orm_made: asyncpg.Connection, database: str
) -> None:
    compared = await columns(orm_made)
    compared["feedback"].remove("is_positive")
    compared["lg_checkpoint"].remove("version")
    before = await fingerprint(orm_made, compared)
    await Migrator(database, builtin_tracks()).up()
    assert await fingerprint(orm_made, compared) == before


@pytest.mark.parametrize("replicas", [2, 3, 6])
async def test_one_of_concurrent_runners_migrates_and_the_others_do_nothing(
    database: str, replicas: int
) -> None:
    reports = await asyncio.gather(
        *(Migrator(database, builtin_tracks()).up() for _ in range(replicas))
    )
    assert sorted(bool(report.files) for report in reports) == [False] * (replicas - 1) + [True]
    assert all(report.status.is_current for report in reports)


async def test_a_failure_in_the_last_track_leaves_the_database_as_it_was(
    orm_made: asyncpg.Connection, database: str, tmp_path: Path
) -> None:
    last = write_track(tmp_path, "app", "CREATE TABLE mine (id int);", "SELECT 1;\nSELECT nope;")
    before = (await catalog(orm_made), await tables(orm_made))
    rows_before = await fingerprint(orm_made, await columns(orm_made))

    with pytest.raises(MigrationFailed, match=r"app/000002_step\.up\.sql") as caught:
        await Migrator(database, [*builtin_tracks(), last]).up()

    assert str(caught.value) == (
        'app/000002_step.up.sql, line 2: column "nope" does not exist (SQLSTATE 42703); '
        "the run was rolled back"
    )
    assert isinstance(caught.value.__cause__, asyncpg.UndefinedColumnError)
    assert (await catalog(orm_made), await tables(orm_made)) == before
    assert await fingerprint(orm_made, await columns(orm_made)) == rows_before


@pytest.mark.parametrize("sql", ["", "-- Only words.\n", "/* /* nested */ */ ;\n"])
async def test_a_file_without_a_statement_counts_as_applied(
    database: str, db: asyncpg.Connection, tmp_path: Path, sql: str
) -> None:
    await Migrator(database, [write_track(tmp_path, "t", sql, "CREATE TABLE a (id int);")]).up()
    assert await rows(db) == [(2, False)]


async def test_file_with_an_open_begin_is_committed(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await Migrator(database, [write_track(tmp_path, "t", "BEGIN; CREATE TABLE a (id int);")]).up()
    assert await rows(db) == [(1, False)]
    assert "a" in await tables(db)


@pytest.mark.parametrize("rest", ["", " BEGIN;", " BEGIN; CREATE TABLE c (id int);"])
async def test_a_hidden_commit_is_caught_and_leaves_its_version_dirty(
    database: str, db: asyncpg.Connection, tmp_path: Path, rest: str
) -> None:
    track = write_track(
        tmp_path, "t", "CREATE TABLE a (id int);", f"CREATE TABLE b (id int); COMMIT;{rest}"
    )
    with pytest.raises(MigrationFailed, match=r"000002_step\.up\.sql ends the transaction"):
        await Migrator(database, [track]).up()
    assert await rows(db) == [(2, True)], "the row tells the truth: 1 is applied, 2 half"
    assert {"a", "b"} <= await tables(db)
    assert "c" not in await tables(db)


async def test_a_hidden_rollback_is_caught(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int);", "ROLLBACK;")
    with pytest.raises(MigrationFailed, match="ends the transaction"):
        await Migrator(database, [track]).up()
    assert await tables(db) == set()


async def test_a_commit_inside_a_do_block_fails_and_is_rolled_back(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int); DO $$ BEGIN COMMIT; END $$;")
    with pytest.raises(MigrationFailed, match="SQLSTATE 2D000"):
        await Migrator(database, [track]).up()
    assert await tables(db) == set()


async def test_a_setting_that_a_file_leaves_behind_does_not_reach_the_next(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path,
        "t",
        "SELECT set_config('search_path', '', false); SET lock_timeout = 0;",
        "CREATE TABLE a AS SELECT current_setting('lock_timeout') AS lock_timeout;",
    )
    await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT lock_timeout FROM public.a") == "5s"


async def test_a_track_has_a_schema_of_its_own_if_it_names_one(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    app = write_track(
        tmp_path,
        "app",
        "CREATE TABLE note (id int, embedding vector(3));",
        schema="app",
        extensions=("vector",),
    )
    await Migrator(database, [*builtin_tracks(), app]).up()
    await Migrator(database, [*builtin_tracks(), app]).up()
    assert await db.fetchval("SELECT to_regclass('app.note') IS NOT NULL")
    assert await db.fetchval("SELECT version FROM app.app_versions") == 1
    assert await db.fetchval("SELECT count(*) FROM app.app_versions_history") == 1


async def test_two_tracks_on_one_table_are_refused_before_anything_runs(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    one = write_track(tmp_path, "one", "CREATE TABLE a (id int);", table="versions")
    two = write_track(tmp_path, "two", "SELECT 1;", table="versions", schema="public")
    with pytest.raises(InvalidTrack, match="'one' and 'two' both use"):
        await Migrator(database, [one, two]).up()
    clash = write_track(tmp_path, "three", "SELECT 1;", table="versions_history")
    with pytest.raises(InvalidTrack, match="versions_history"):
        await Migrator(database, [one, clash]).up()
    assert await tables(db) == set()


async def test_golang_migrates_tracks_have_no_file_outside_of_a_transaction(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path,
        "t",
        "CREATE TABLE a (id int);",
        "-- no-transaction: why\nVACUUM a;",
        table="schema_migrations",
    )
    with pytest.raises(InvalidTrack, match=r"t/000002_step.up.sql: asks to run outside .* \(why\)"):
        await Migrator(database, [track]).up()
    assert await tables(db) == set()


async def test_prechecks_of_all_tracks_come_before_the_first_statement(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    async def refuse(_db: asyncpg.Connection) -> None:
        raise MigrationError("not here")

    first = write_track(tmp_path, "a", "SELECT 1 / 0;")
    second = write_track(tmp_path, "b", "SELECT 1;", precheck=refuse)
    with pytest.raises(MigrationError, match="not here"):
        await Migrator(database, [first, second]).up()
    assert await tables(db) == set()


async def test_a_track_with_nothing_to_apply_is_not_prechecked(
    database: str, tmp_path: Path
) -> None:
    async def refuse(_db: asyncpg.Connection) -> None:
        raise MigrationError("not here")

    track = write_track(tmp_path, "t", "SELECT 1;")
    await Migrator(database, [track]).up()
    checked = Track("t", track.directory, track.table, precheck=refuse)
    assert (await Migrator(database, [checked]).up()).files == ()


async def test_a_changed_applied_file_stops_the_run(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int);")
    await Migrator(database, [track]).up()
    changed = write_track(tmp_path, "t", "CREATE TABLE a (id bigint);", "CREATE TABLE b (id int);")
    for act in (Migrator.up, Migrator.apply, Migrator.verify):
        with pytest.raises(InvalidTrack, match=r"t/000001_step\.up\.sql was changed .* sha256"):
            await act(Migrator(database, [changed]))
    assert "b" not in await tables(db)
    assert (await Migrator(database, [changed]).status()).tracks[0].changed is not None


async def test_a_lost_connection_in_a_file_is_unavailable_and_rolled_back(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path, "t", "CREATE TABLE a (id int); SELECT pg_terminate_backend(pg_backend_pid());"
    )
    with pytest.raises(Unavailable, match=r"t/000001_step\.up\.sql"):
        await Migrator(database, [track]).up()
    assert await tables(db) == set()


async def test_a_connection_lost_in_commit_has_an_unknown_outcome(
    database: str, tmp_path: Path
) -> None:
    """A deferred trigger runs inside COMMIT, and ends the server process there."""
    track = write_track(
        tmp_path,
        "t",
        "CREATE TABLE a (id int);"
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER die AFTER INSERT ON a DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION die();"
        "INSERT INTO a VALUES (1);",
    )
    with pytest.raises(OutcomeUnknown):
        await Migrator(database, [track]).up()


async def test_a_constraint_that_fails_in_commit_is_a_failed_migration(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path,
        "t",
        "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO a VALUES (1, 2);",
    )
    with pytest.raises(MigrationFailed, match=r"COMMIT: .*SQLSTATE 23503") as caught:
        await Migrator(database, [track]).up()
    assert "(2)" not in str(caught.value), "no values of rows"
    assert await tables(db) == set()


async def test_a_progress_display_that_fails_does_not_stop_the_run(
    database: str, tmp_path: Path
) -> None:
    def closed(_run: FileRun) -> None:
        raise BrokenPipeError

    track = write_track(tmp_path, "t", "SELECT 1;")
    assert (await Migrator(database, [track], on_progress=closed).up()).files


async def test_a_cancelled_run_is_rolled_back_within_a_second(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (id int); SELECT pg_sleep(60);")
    run = asyncio.create_task(Migrator(database, [track]).up())
    await until(
        db,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = current_database()"
        " AND wait_event = 'PgSleep'",
    )
    async with asyncio.timeout(1):
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
        await until(db, "SELECT count(*) = 0 FROM pg_locks WHERE locktype = 'advisory'")
    assert await tables(db) == set()


async def test_a_copy_from_the_client_is_refused_before_anything_runs(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path, "t", "CREATE TABLE a (n int);", "SELECT 1;\nCOPY a FROM stdin;\n1\n\\.\n"
    )
    with pytest.raises(InvalidTrack, match=r"^t/000002_step\.up\.sql, line 2: COPY with STDIN"):
        await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT to_regclass('a')") is None


async def test_an_invalid_index_behind_a_string_with_a_backslash_is_built_anew(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await db.execute("CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON a (n)")
    await db.execute("DELETE FROM a")
    track = write_track(
        tmp_path,
        "t",
        r"COMMENT ON TABLE a IS 'C:\data\'; CREATE UNIQUE INDEX IF NOT EXISTS i ON a (n);"
        "COMMENT ON INDEX i IS 'x';",
    )
    await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass")
