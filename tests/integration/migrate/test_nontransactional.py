"""Files that cannot run in a transaction: after it, under the dirty protocol."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.errors import DirtySchema, InvalidTrack, MigrationFailed
from agentrows.migrate import FileRun, Migrator, builtin_tracks, run
from agentrows.migrate.lock import lock_id
from support.catalog import catalog
from support.tracks import newest_versions, write_track

if TYPE_CHECKING:
    from pathlib import Path

TABLE = "CREATE TABLE IF NOT EXISTS a (n int); INSERT INTO a SELECT generate_series(1, 100);"
TWICE = "CREATE TABLE IF NOT EXISTS a (n int); INSERT INTO a VALUES (1), (1);"
BUILD = "-- no-transaction: writers go on.\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a_n ON a (n);\n"
NEWEST = newest_versions()
OURS, OUR_VECTORS, POLICIES = (NEWEST[name] for name in ("agentrows", "agentrows_vector", "rls"))
UNIQUE = BUILD.replace("CREATE INDEX", "CREATE UNIQUE INDEX")


async def row(db: asyncpg.Connection) -> tuple[int, bool]:
    found = await db.fetch("SELECT version, dirty FROM t_versions")
    assert len(found) == 1
    return found[0]["version"], found[0]["dirty"]


async def is_valid(db: asyncpg.Connection, index: str = "a_n") -> bool | None:
    query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)"
    valid: bool | None = await db.fetchval(query, index)
    return valid


async def test_an_index_is_built_concurrently_and_the_files_behind_it_follow(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", TABLE, BUILD, "CREATE TABLE b (id int);")
    report = await Migrator(database, [*builtin_tracks(), track]).up()
    ran = [run.file[:8] for run in report.files]
    assert [file for file in ran if file.startswith("t/")] == ["t/000001", "t/000002", "t/000003"]
    assert ran.index("t/000001") < ran.index("agentrow") < ran.index("t/000002")
    assert await row(db) == (3, False)
    assert await is_valid(db)
    assert (await Migrator(database, [*builtin_tracks(), track]).up()).files == ()


async def test_locks_of_other_tracks_are_free_during_a_concurrent_build(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    look = (
        "-- no-transaction: looks.\nCREATE TABLE held AS"
        " SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
    )
    await Migrator(database, [*builtin_tracks(), write_track(tmp_path, "t", look)]).up()
    name = await db.fetchval("SELECT current_database()")
    held = {each[0] for each in await db.fetch("SELECT objid FROM held")}
    assert held == {
        lock_id("public", table, n)
        for table in (
            "agentrows_schema_migrations",
            "agentrows_vector_schema_migrations",
            "t_versions",
        )
        for n in (name, f"/{name}")
    }
    assert await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0


async def test_a_build_that_fails_is_never_recorded_and_its_index_is_built_anew(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", TWICE, UNIQUE)
    with pytest.raises(MigrationFailed, match=r"SQLSTATE 23505\); version 2 in \"public\""):
        await Migrator(database, [track]).up()
    assert await row(db) == (2, True)
    assert await is_valid(db) is False
    with pytest.raises(MigrationFailed, match="23505"):
        await Migrator(database, [track]).up()

    await db.execute("DELETE FROM a")
    report = await Migrator(database, [track]).up()

    assert [run.file[:8] for run in report.files] == ["t/000002"]
    assert await row(db) == (2, False)
    assert await is_valid(db)


@pytest.mark.parametrize(
    ("file", "reached"),
    [
        ("agentrows/000012", (11, None, None, None)),
        ("agentrows/000013", (12, None, None, None)),
        ("agentrows_vector/000001", (OURS, None, None, None)),
        ("agentrows_vector/000002", (OURS, 1, None, None)),
        ("rls/000001", (OURS, OUR_VECTORS, None, None)),
        ("rls/000002", (OURS, OUR_VECTORS, 1, None)),
        ("rls_vector/000001", (OURS, OUR_VECTORS, POLICIES, None)),
    ],
)
async def test_run_that_ended_between_two_files_is_continued(
    fresh_database: str,
    database: str,
    db: asyncpg.Connection,
    file: str,
    reached: tuple[int | None, ...],
) -> None:
    tracks = builtin_tracks(row_security=True)

    def stop(run: FileRun) -> None:
        if run.file.startswith(file) and run.duration_s is None:
            task.cancel()

    task = asyncio.create_task(Migrator(database, tracks, on_progress=stop).up())
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await Migrator(database, tracks).status()
    assert tuple(each.version for each in found.tracks[2:]) == reached

    assert (await Migrator(database, tracks).apply()).status.is_current
    await Migrator(fresh_database, tracks).up()
    in_one_go = await asyncpg.connect(fresh_database)
    assert await catalog(db) == await catalog(in_one_go)
    await in_one_go.close()


@pytest.mark.parametrize(
    "taken", ["CREATE INDEX a_n ON other (n)", "CREATE VIEW a_n AS SELECT 1", "CREATE TABLE a_n ()"]
)
async def test_relation_with_the_name_of_an_index_is_not_the_index(
    database: str, db: asyncpg.Connection, tmp_path: Path, taken: str
) -> None:
    """IF NOT EXISTS is content with anything of that name."""
    await db.execute(f"CREATE TABLE other (n int); {taken}")
    track = write_track(tmp_path, "t", TABLE, BUILD)
    with pytest.raises(
        MigrationFailed, match=r"t/000002.*the name a_n is taken by another relation"
    ):
        await Migrator(database, [track]).up()
    assert await row(db) == (2, True)
    kind = "INDEX" if "INDEX" in taken else taken.split()[1]
    await db.execute(f"ALTER {kind} a_n RENAME TO of_somebody_else")
    await Migrator(database, [track]).up()
    assert await row(db) == (2, False)
    assert await is_valid(db)


@pytest.mark.parametrize(
    "taken", ["CREATE INDEX a_n ON other (n)", "CREATE VIEW a_n AS SELECT 1", "CREATE TABLE a_n ()"]
)
async def test_taken_name_in_a_transactional_file_is_not_the_index(
    database: str, db: asyncpg.Connection, tmp_path: Path, taken: str
) -> None:
    await db.execute(f"CREATE TABLE other (n int); {taken}")
    track = write_track(tmp_path, "t", f"{TABLE} CREATE INDEX IF NOT EXISTS a_n ON a (n)")
    with pytest.raises(MigrationFailed, match=r"t/000001.*a_n is taken by .*was rolled back"):
        await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT to_regclass('a') IS NULL")


async def test_an_index_may_go_with_its_table_or_change_its_name_in_one_file(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    index = "CREATE INDEX IF NOT EXISTS {0}_n ON {0} (n);"
    file = (
        f"CREATE TABLE a (n int); {index.format('a')} DROP TABLE a; CREATE TABLE a_n (n int);"
        f"CREATE TABLE b (n int); {index.format('b')} ALTER INDEX b_n RENAME TO b_m;"
        f"CREATE TABLE c (n int); {index.format('c')} ALTER TABLE c RENAME TO d;"
    )
    tracks = [write_track(tmp_path, "t", file)]
    assert (await Migrator(database, tracks).up()).status.is_current
    assert await is_valid(db, "c_n")
    (found,) = (await Migrator(database, tracks).doctor()).tracks
    assert found.missing == ("b_n",)


async def test_builtin_indexes_are_rolled_back_and_applied_again(
    database: str, db: asyncpg.Connection
) -> None:
    tracks = builtin_tracks()
    await Migrator(database, tracks).up()
    before = await catalog(db)
    gone = [
        file
        for track in ("agentrows_vector", "agentrows")
        for file in (await Migrator(database, tracks).goto(track, 0)).files
    ]
    assert all("down" in file.file for file in gone)
    left = "SELECT count(*) FROM pg_indexes WHERE indexname LIKE 'agentrows_%'"
    assert await db.fetchval(f"{left} AND tablename NOT LIKE 'agentrows_%'") == 0
    assert len((await Migrator(database, tracks).up()).files) == len(gone)
    assert await catalog(db) == before


async def test_an_invalid_index_is_replaced_by_a_file_in_a_transaction_too(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    """IF NOT EXISTS would take it for the index that is wanted."""
    await db.execute("CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("CREATE UNIQUE INDEX CONCURRENTLY a_n ON a (n)")
    await db.execute("DELETE FROM a")
    track = write_track(tmp_path, "t", "CREATE INDEX IF NOT EXISTS a_n ON a (n);")
    await Migrator(database, [track]).up()
    assert await is_valid(db)


async def test_blocker_of_a_file_that_is_not_concurrent_is_named(
    database: str, db: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "FIRST_PAUSE_S", 0.01)
    track = write_track(tmp_path, "t", TABLE, "-- no-transaction: frees the disk\nVACUUM FULL a;")
    await db.execute("CREATE TABLE a (n int)")
    async with db.transaction():
        await db.execute("INSERT INTO a VALUES (1)")
        with pytest.raises(MigrationFailed, match=r"55P03.*tried 5 times") as caught:
            await Migrator(database, [track], ddl_lock_timeout_s=0.05).up()
        assert f"pid {db.get_server_pid()}" in str(caught.value)
    assert await row(db) == (2, True)
    await Migrator(database, [track]).up()
    assert await row(db) == (2, False)


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO a VALUES (1)", "SELECT"],
    ids=["a writer of the table", "a reader of nothing, with an old snapshot"],
)
async def test_a_build_waits_for_old_transactions_and_names_them(
    database: str,
    db: asyncpg.Connection,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    statement: str,
) -> None:
    track = write_track(tmp_path, "t", TABLE, BUILD)
    await db.execute("CREATE TABLE a (n int); SET application_name = 'the other one'")
    with caplog.at_level(logging.WARNING, logger="agentrows"):
        async with db.transaction(isolation="repeatable_read"):
            await db.execute(statement)
            run = asyncio.create_task(Migrator(database, [track], ddl_lock_timeout_s=0.05).up())
            while not (caplog.messages or run.done()):
                await asyncio.sleep(0.01)
            assert not run.done()
            with pytest.raises(DirtySchema, match="'t': a run is still applying version 2: pid "):
                await Migrator(database, [track]).verify()
            (found,) = (await Migrator(database, [track]).doctor()).tracks
            assert found.status
            assert "(agentrows migrate)" in found.status.lock_holders[0]
        await run
    assert caplog.messages[0].startswith(
        f"t/000002_step.up.sql waits until these transactions end: pid {db.get_server_pid()}"
        " (the other one), running for "
    )
    assert await row(db) == (2, False)
    assert await is_valid(db)
    assert "SQLSTATE" not in caplog.text


async def test_wait_for_a_table_is_limited_again_after_a_build(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    show = "CREATE TABLE found AS SELECT current_setting('lock_timeout') AS wait;"
    outside = f"-- no-transaction: looks\n{show.replace('found', 'outside')}"
    track = write_track(tmp_path, "t", TABLE, BUILD, show, outside)
    await Migrator(database, [track], ddl_lock_timeout_s=7).up()
    query = "SELECT array_agg(wait) FROM (TABLE found UNION ALL TABLE outside) AS both_of_them"
    assert await db.fetchval(query) == ["7s", "7s"]


@pytest.mark.parametrize("sql", ["VACUUM a; VACUUM a;", "VACUUM nonsense nonsense"])
async def test_a_file_that_the_server_cannot_read_marks_nothing(
    database: str, db: asyncpg.Connection, tmp_path: Path, sql: str
) -> None:
    track = write_track(tmp_path, "t", TABLE, f"-- no-transaction: why\n{sql}")
    with pytest.raises(MigrationFailed, match=r"t/000002.*SQLSTATE 42601"):
        await Migrator(database, [track]).up()
    assert await row(db) == (1, False)


async def test_a_concurrent_index_without_a_name_is_refused_before_anything_runs(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    nameless = "-- no-transaction: why\nCREATE INDEX CONCURRENTLY ON a (n);"
    with pytest.raises(InvalidTrack, match="concurrently without a name"):
        await Migrator(database, [write_track(tmp_path, "t", TABLE, nameless)]).up()
    assert await db.fetchval("SELECT to_regclass('a')") is None


async def test_a_golang_migrate_that_waits_for_core_does_not_spoil_the_index(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    """It waits inside a statement, and a build waits for every older snapshot."""
    name = await db.fetchval("SELECT current_database()")
    slow = f"{TABLE} SELECT pg_sleep(0.3);"
    track = write_track(tmp_path, "t", slow, BUILD)
    run = asyncio.create_task(Migrator(database, [*builtin_tracks(), track]).up())
    while not await db.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"):
        await asyncio.sleep(0.01)
    core = lock_id("public", "schema_migrations", name)
    await db.execute(f"SELECT pg_advisory_lock({core})")
    assert await db.fetchval("SELECT version FROM schema_migrations") == 7
    await run
    assert await is_valid(db)
    assert await row(db) == (2, False)


async def test_failed_run_with_transaction_per_file_keeps_committed_files(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE a (n int);", "SELECT nope;")
    with pytest.raises(MigrationFailed, match="the files before it remain applied; "):
        await Migrator(database, [track]).up(transaction="file")
    assert await row(db) == (1, False)
    write_track(tmp_path, "t", "CREATE TABLE a (n int);", "SELECT 1;")
    assert len((await Migrator(database, [track]).up(transaction="file")).files) == 1
    assert await row(db) == (2, False)


async def test_apply_repairs_a_version_that_its_own_run_left_dirty(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", TWICE, UNIQUE)
    with pytest.raises(MigrationFailed):
        await Migrator(database, [track]).apply()
    (found,) = (await Migrator(database, [track]).status()).tracks
    assert (found.dirty, found.moved_by) == (True, "agentrows")
    await db.execute("DELETE FROM a")
    assert len((await Migrator(database, [track]).apply()).files) == 1
    assert (await Migrator(database, [track]).verify()).is_current


async def test_an_index_is_dropped_concurrently_on_the_way_down(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", TABLE, BUILD)
    down = "-- no-transaction: writers go on.\nDROP INDEX CONCURRENTLY IF EXISTS a_n;\n"
    (track.directory / "000002_step.down.sql").write_text(down)
    await Migrator(database, [track]).up()
    assert len((await Migrator(database, [track]).down("t", 1)).files) == 1
    assert await row(db) == (1, False)
    assert await is_valid(db) is None
    assert (await Migrator(database, [track]).up()).status.is_current


async def test_interrupted_down_is_continued(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "CREATE TABLE IF NOT EXISTS a (n int);", BUILD)
    down = "-- no-transaction: writers go on.\nDROP INDEX CONCURRENTLY IF EXISTS a_n;\n"
    (track.directory / "000002_step.down.sql").write_text(down)
    await Migrator(database, [track]).up()
    async with db.transaction():
        await db.execute("INSERT INTO a VALUES (1)")
        down_again = asyncio.create_task(Migrator(database, [track]).down("t", 1))
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        while not (await db.fetchval(waits) or down_again.done()):
            await db.execute("SELECT pg_stat_clear_snapshot()")
            await asyncio.sleep(0.01)
        await db.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'agentrows migrate'"
        )
        with pytest.raises(MigrationFailed, match="applies that version again"):
            await down_again
    assert await row(db) == (1, True)
    assert await is_valid(db) is False
    assert (await Migrator(database, [track]).up()).status.is_current
    assert await is_valid(db)
