"""The session of a run: limits of the role, leftovers of a file, and the locks it has to hold."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows.errors import ConfigError, LockTimeout, MigrationFailed, Unavailable
from agentrows.migrate import FileRun, Migrator, run, session_sql, work
from agentrows.migrate.lock import lock_id
from support.postgres import LOCKED_ROLE, as_role
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from agentrows.migrate.report import Transactions
    from agentrows.migrate.track import File

BUILD = "-- no-transaction: takes a while.\nSELECT pg_sleep(0.4)"
ROLE = "impatient"


@pytest.fixture
async def impatient(database: str, db: asyncpg.Connection) -> AsyncIterator[str]:
    """The DSN of a role with short limits for statements, transactions and idle sessions."""
    await db.execute(f"CREATE ROLE {ROLE} LOGIN SUPERUSER")
    for name in (
        *("statement_timeout", "transaction_timeout"),
        *("idle_in_transaction_session_timeout", "idle_session_timeout"),
    ):
        await db.execute(f"ALTER ROLE {ROLE} SET {name} = '200ms'")
    yield as_role(database, ROLE)
    await db.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")


@pytest.mark.parametrize("act_", [Migrator.up, Migrator.apply, Migrator.dry_run])
async def test_limits_of_the_role_do_not_end_a_run(
    impatient: str, tmp_path: Path, act_: Callable[..., Awaitable[object]]
) -> None:
    await act_(Migrator(impatient, [write_track(tmp_path, "t", "SELECT pg_sleep(0.4);", BUILD)]))


async def test_limit_in_the_dsn_overrides_that_of_the_role(impatient: str, tmp_path: Path) -> None:
    track = write_track(tmp_path, "t", "SELECT pg_sleep(5);")
    with pytest.raises(MigrationFailed, match="SQLSTATE 57014"):
        await Migrator(f"{impatient}&statement_timeout=100ms", [track]).up()


async def test_the_session_of_a_run_ends_soon_after_its_client_has_vanished(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path, "t", "CREATE TABLE seen AS SELECT name FROM pg_settings WHERE source = 'session'"
    )
    await Migrator(database, [track]).up()
    seen = {row[0] for row in await db.fetch("SELECT name FROM seen")}
    assert seen > {
        *("tcp_user_timeout", "tcp_keepalives_idle", "tcp_keepalives_interval"),
        *("tcp_keepalives_count", "client_connection_check_interval"),
    }


async def test_a_server_that_cannot_check_its_clients_is_used_without_that(
    database: str, db: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the setting has to be 0, the server answers any other value with this SQLSTATE."""
    monkeypatch.setattr(session_sql, "CHECK_CLIENT", "-5")
    track = write_track(tmp_path, "t", "SET work_mem = '1MB';", "CREATE TABLE a (n int);")
    await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT to_regclass('a') IS NOT NULL")


@pytest.mark.parametrize(
    "left",
    [
        "SET ROLE nothing_granted",
        "SET SESSION AUTHORIZATION nothing_granted",
        "SET statement_timeout = '20ms'",
        "SET LOCAL statement_timeout = '20ms'",
        "SET default_transaction_read_only = on",
        "SET search_path = nowhere",
        "SELECT pg_advisory_lock(7), pg_advisory_lock(7), pg_advisory_lock_shared(1, 2)",
        "CREATE TEMP TABLE left_over (n int)",
        "PREPARE left_over AS SELECT 1",
        "LISTEN left_over",
        "DECLARE left_over CURSOR WITH HOLD FOR SELECT 1",
    ],
)
@pytest.mark.parametrize("transaction", ["run", "file"])
async def test_nothing_of_a_file_reaches_the_next_one(
    database: str,
    db: asyncpg.Connection,
    tmp_path: Path,
    left: str,
    transaction: Transactions,
) -> None:
    exists = await db.fetchval(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = 'nothing_granted')"
    )
    if not exists:
        await db.execute("CREATE ROLE nothing_granted")
    look = (
        "SELECT pg_sleep(0.05); CREATE TABLE seen AS SELECT current_user::text AS role,"
        " current_setting('search_path') AS path, to_regclass('left_over') IS NULL"
        " AND NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'left_over')"
        " AND NOT EXISTS (SELECT FROM pg_cursors WHERE name = 'left_over')"
        " AND NOT EXISTS (SELECT FROM pg_listening_channels())"
        " AND (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory') = 2 AS is_clean;"
    )
    track = write_track(tmp_path, "t", f"{left};", look, "-- no-transaction: x\nSELECT 1")
    await Migrator(database, [track]).up(transaction=transaction)
    row = await db.fetchrow("SELECT * FROM seen")
    assert row
    assert row["role"] == await db.fetchval("SELECT current_user")
    assert row["path"] == await db.fetchval("SELECT current_setting('search_path')")
    assert row["is_clean"]


async def test_a_setting_of_a_file_outside_of_a_transaction_ends_with_it(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    track = write_track(
        tmp_path,
        "t",
        "-- no-transaction: x\nSELECT set_config('statement_timeout', '20ms', false)",
        BUILD,
        "SELECT pg_sleep(0.1)",
    )
    await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT version FROM t_versions WHERE NOT dirty") == 3


async def test_error_of_a_dropped_tracking_table_names_the_file(
    database: str, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "t", "DROP TABLE t_versions;")
    with pytest.raises(MigrationFailed, match=r"^t/000001_step\.up\.sql: .*SQLSTATE 42P01"):
        await Migrator(database, [track]).up()


@pytest.mark.parametrize(("header", "kept"), [("", False), ("-- no-transaction: x\n", True)])
async def test_file_that_releases_the_locks_of_the_run_fails(
    database: str, db: asyncpg.Connection, tmp_path: Path, header: str, *, kept: bool
) -> None:
    track = write_track(
        tmp_path, "t", "CREATE TABLE a (n int);", f"{header}SELECT pg_advisory_unlock_all();"
    )
    with pytest.raises(MigrationFailed, match=r"^t/000002.*releases advisory locks"):
        await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT to_regclass('a') IS NOT NULL") is kept


@pytest.mark.parametrize("sql", ["CREATE TABLE a (n int);", BUILD])
async def test_a_server_process_that_does_not_hold_the_locks_runs_nothing(
    database: str, db: asyncpg.Connection, tmp_path: Path, sql: str
) -> None:
    """As behind a pooler that changes the server process after some statements."""

    async def lose_the_locks(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT pg_advisory_unlock_all()")

    track = write_track(tmp_path, "t", sql, precheck=lose_the_locks)
    with pytest.raises(ConfigError, match="goes through a pooler"):
        await Migrator(database, [track]).up()
    assert await db.fetchval("SELECT to_regclass('a')") is None
    assert await db.fetchval("SELECT to_regclass('t_versions')") is None


async def test_the_holder_of_the_lock_is_named_once_and_again_when_it_changes(
    database: str, db: asyncpg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agentrows")
    key = lock_id("public", "t_versions", await db.fetchval("SELECT current_database()"))
    second = await asyncpg.connect(database)
    await db.execute(f"SELECT pg_advisory_lock({key})")
    track = write_track(tmp_path, "t", "SELECT 1;")
    run = asyncio.create_task(Migrator(database, [track], lock_timeout_s=30).up())

    async def logged(pid: int) -> None:
        async with asyncio.timeout(20):
            while f"migration lock: pid {pid}" not in caplog.text:
                await asyncio.sleep(0.02)

    await logged(db.get_server_pid())
    passed = asyncio.create_task(second.execute(f"SELECT pg_advisory_lock({key})"))
    while not await db.fetchval("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.02)
    await db.execute(f"SELECT pg_advisory_unlock({key})")
    await passed
    await logged(second.get_server_pid())
    await second.close()
    await run
    assert caplog.text.count("has the migration lock") == 2


async def test_a_holder_with_all_locks_is_named_once_at_the_deadline(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    name = await db.fetchval("SELECT current_database()")
    for table in ("t_versions", "u_versions"):
        for each in (name, f"/{name}"):
            await db.execute(f"SELECT pg_advisory_lock({lock_id('public', table, each)})")
    tracks = [write_track(tmp_path, one, "SELECT 1;") for one in ("t", "u")]
    with pytest.raises(LockTimeout) as caught:
        await Migrator(database, tracks, lock_timeout_s=0.05).up()
    assert str(caught.value).count(f"pid {db.get_server_pid()}") == 1


async def test_hint_and_detail_of_the_server_are_shown(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await db.execute("CREATE TABLE a (n int); CREATE VIEW of_a AS SELECT * FROM a")
    with pytest.raises(MigrationFailed) as caught:
        await Migrator(database, [write_track(tmp_path, "t", "DROP TABLE a;")]).up()
    assert "detail: view of_a depends on table a; hint: Use DROP ... CASCADE" in str(caught.value)


async def test_a_detail_that_quotes_a_row_is_not_shown(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await db.execute("CREATE TABLE a (n text NOT NULL); INSERT INTO a VALUES ('private')")
    track = write_track(tmp_path, "t", "ALTER TABLE a ADD CHECK (n = ''); ", "SELECT 1;")
    twice = write_track(
        tmp_path, "u", "INSERT INTO a SELECT n FROM a; ALTER TABLE a ADD UNIQUE (n)"
    )
    for each in (track, twice):
        with pytest.raises(MigrationFailed) as caught:
            await Migrator(database, [each]).up()
        assert "private" not in str(caught.value)


async def test_notices_and_warnings_of_a_file_are_logged(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "agentrows")
    track = write_track(
        tmp_path,
        "t",
        "DO $$ BEGIN RAISE NOTICE 'seven rows'; RAISE WARNING 'two were odd'; END $$;"
        "CREATE TABLE IF NOT EXISTS t_versions (n int);",
    )
    await Migrator(database, [track]).up()
    found = [(r.levelname, r.getMessage()) for r in caplog.records if "t/000001" in r.getMessage()]
    assert found == [
        ("INFO", "t/000001_step.up.sql: NOTICE: seven rows"),
        ("WARNING", "t/000001_step.up.sql: WARNING: two were odd"),
    ]


async def test_a_read_only_server_is_named_as_such(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    name = await db.fetchval("SELECT current_database()")
    await db.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(Unavailable, match=r"the server is read-only: .*SQLSTATE 25006"):
        await Migrator(database, [write_track(tmp_path, "t", "CREATE TABLE a (n int);")]).up()


async def test_an_invalid_index_that_a_do_block_skips_is_not_recorded(
    database: str, db: asyncpg.Connection, tmp_path: Path
) -> None:
    await db.execute("CREATE TABLE a (n int); INSERT INTO a VALUES (1), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await db.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON a (n)")
    track = write_track(
        tmp_path, "t", "DO $$ BEGIN CREATE UNIQUE INDEX IF NOT EXISTS i ON a (n); END $$;"
    )
    with pytest.raises(MigrationFailed, match=r"skipped the index public\.i, which"):
        await Migrator(database, [track]).up()


async def test_a_copy_that_asks_the_client_fails_and_does_not_hang(
    database: str, db: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Should the reader of files overlook a COPY, the run ends all the same."""

    def overlook(_file: File) -> None:
        """Find nothing."""

    monkeypatch.setattr(work, "check_statements", overlook)
    track = write_track(tmp_path, "t", "CREATE TABLE a (n int); COPY a FROM stdin;")
    with pytest.raises(MigrationFailed, match=r"^t/000001.*waits for rows of a COPY"):
        await asyncio.wait_for(Migrator(database, [track], ddl_lock_timeout_s=0.2).up(), 20)
    assert await db.fetchval("SELECT to_regclass('a')") is None


async def test_a_table_in_use_is_locked_first_by_the_next_try(
    database: str, db: asyncpg.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a run waits for the table of its last file, it blocks no other table."""
    monkeypatch.setattr(run, "FIRST_PAUSE_S", 0.01)
    await db.execute("CREATE TABLE busy (n int); CREATE TABLE free (n int)")
    track = write_track(
        tmp_path,
        "t",
        "ALTER TABLE free ADD COLUMN m int;",
        "ALTER TABLE busy ADD COLUMN m int;",
    )
    starts: list[str] = []

    def note(run: FileRun) -> None:
        if run.duration_s is None:
            starts.append(run.file[:8])

    other = await asyncpg.connect(database)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT FROM busy")
    running = asyncio.create_task(
        Migrator(database, [track], ddl_lock_timeout_s=1.0, on_progress=note).up()
    )
    waits_alone = (
        "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'busy'::regclass"
        " AND pid NOT IN (SELECT pid FROM pg_locks WHERE relation = 'free'::regclass)"
    )
    async with asyncio.timeout(20):
        while not await db.fetchval(waits_alone):
            await asyncio.sleep(0.02)
    await transaction.rollback()
    await other.close()
    assert len((await running).files) == 2
    assert starts.count("t/000001") == 2


async def test_second_connection_of_a_run_calls_the_password_function(
    database: str, db: asyncpg.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The second connection names the transactions that a build waits for."""
    if not await db.fetchval("SELECT true FROM pg_roles WHERE rolname = $1", LOCKED_ROLE):
        await db.execute(f"CREATE ROLE {LOCKED_ROLE} LOGIN")
    await db.execute(f"ALTER ROLE {LOCKED_ROLE} SUPERUSER PASSWORD 'hunter2-watched'")
    await db.execute("CREATE TABLE a (n int)")
    track = write_track(
        tmp_path, "t", "-- no-transaction: x\nCREATE INDEX CONCURRENTLY IF NOT EXISTS i ON a (n)"
    )
    try:
        async with db.transaction():
            await db.execute("LOCK TABLE a IN ROW EXCLUSIVE MODE")
            run = asyncio.create_task(
                Migrator(
                    as_role(database, LOCKED_ROLE),
                    [track],
                    ddl_lock_timeout_s=0.1,
                    password=lambda: "hunter2-watched",
                ).up()
            )
            async with asyncio.timeout(20):
                while "waits until these transactions end" not in caplog.text:
                    await asyncio.sleep(0.02)
        assert (await run).files
    finally:
        await db.execute(f"ALTER ROLE {LOCKED_ROLE} NOSUPERUSER")
