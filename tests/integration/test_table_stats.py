"""Sizes of tables: the numbers of `table_stats` and `agentrows stats`, and warnings of doctor."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import PostgresClient
from agentrows.cli.stats import format_age, format_bytes, format_count
from agentrows.gen import table_stats
from agentrows.migrate import Migrator, builtin_tracks
from agentrows.stores.table_stats import OLDEST_BY_INDEX
from support.command_line import run_main
from support.postgres import READER, SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from agentrows import TableStats


@pytest.fixture
def admin(migrated: str) -> str:
    """The DSN of the client's database for the superuser."""
    return as_role(migrated, SUPERUSER)


async def fill(db: asyncpg.Connection) -> None:
    """Store checkpoints with large values, 2 days old and older."""
    await db.execute(
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_ns, checkpoint_id, metadata,"
        " checkpoint, checkpoint_type, created_at)"
        " SELECT 'mira', 't-' || n % 5, '', 'c-' || n, '{}',"
        " (SELECT string_agg(md5(m::text), '') FROM generate_series(1, 2000) AS m), 'json',"
        " now() - make_interval(days => n + 1) FROM generate_series(1, 30) AS n"
    )
    await db.execute("SELECT pg_stat_force_next_flush()")
    await db.execute("ANALYZE lg_checkpoint")


async def by_name(client: PostgresClient) -> dict[str, TableStats]:
    return {table.name: table for table in await client.table_stats()}


async def test_sizes_are_those_of_the_server(client: PostgresClient, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await fill(db)

    tables = await by_name(client)

    for name, table in tables.items():
        total = table.heap_bytes + table.toast_bytes + table.index_bytes
        assert total == await db.fetchval("SELECT pg_total_relation_size($1::regclass)", name)
    checkpoints = tables["lg_checkpoint"]
    assert checkpoints.toast_bytes > checkpoints.heap_bytes > 0
    assert next(iter(tables)) == "lg_checkpoint"
    assert "agentrows_task_event" in tables
    assert not [name for name in tables if "schema_migrations" in name]
    await db.close()


async def test_oldest_row_is_read_from_an_index(client: PostgresClient, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await fill(db)
    await db.execute(
        "INSERT INTO crewai_agent_memory (user_id, thread_id, memory_data, created_at) VALUES"
        " ('mira', 't-1', '{}', '2024-02-29'), ('mira', 't-2', '{}', '-infinity'),"
        " ('mira', 't-3', '{}', '0044-03-15 BC'), ('mira', 't-4', '{}', NULL);"
        "INSERT INTO session (id, user_id, created_at, updated_at)"
        " VALUES ('s-1', 'mira', '2023-01-01', '2025-01-01'), ('s-2', 'mira', '2024-01-01', NULL)"
    )

    tables = await by_name(client)

    assert tables["lg_checkpoint"].oldest_row == await db.fetchval(
        "SELECT min(created_at) FROM lg_checkpoint"
    )
    assert tables["crewai_agent_memory"].oldest_row == datetime(2024, 2, 29, tzinfo=UTC)
    assert tables["session"].oldest_row == datetime(2024, 1, 1, tzinfo=UTC)
    assert (tables["feedback"].age_index, tables["feedback"].oldest_row) == (
        "agentrows_feedback_age",
        None,
    )
    assert (tables["task"].age_index, tables["task"].oldest_row) == (None, None)
    assert {table.age_index for table in tables.values()} == {None, *OLDEST_BY_INDEX}
    await db.execute("DROP INDEX agentrows_session_last_used")
    assert (await by_name(client))["session"].oldest_row is None
    await db.close()


@pytest.mark.parametrize("name", [name for name in table_stats.__all__ if "OLDEST" in name])
async def test_oldest_row_is_read_from_no_other_page(name: str, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await db.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")

    plan = [row[0] for row in await db.fetch(f"EXPLAIN {getattr(table_stats, name)}")]

    assert any("Index" in line and "Scan using" in line for line in plan), plan
    assert any("Limit" in line for line in plan), "the planner reads every row for the minimum"
    await db.close()


async def test_vacuum_and_dead_rows_are_reported(client: PostgresClient, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await fill(db)
    before = (await by_name(client))["lg_checkpoint"]
    await db.execute("DELETE FROM lg_checkpoint WHERE checkpoint_id <> 'c-1'")
    await db.execute("SELECT pg_stat_force_next_flush()")
    dead = (await by_name(client))["lg_checkpoint"]
    await db.execute("VACUUM lg_checkpoint")
    await db.execute("SELECT pg_stat_force_next_flush()")
    after = (await by_name(client))["lg_checkpoint"]

    assert before.last_vacuum is None
    assert before.last_analyze is not None
    assert (dead.live_rows, dead.dead_rows) == (1, 29)
    assert (after.live_rows, after.dead_rows) == (1, 0)
    assert after.last_vacuum is not None
    assert after.last_autovacuum is None
    await db.close()


async def test_role_that_cannot_read_a_table_gets_its_size_without_its_age(admin: str) -> None:
    db = await asyncpg.connect(admin)
    await fill(db)
    await db.execute(f"REVOKE ALL ON lg_checkpoint FROM {READER}")

    async with PostgresClient.open(as_role(admin, READER), migrations="off") as reader:
        table = (await by_name(reader))["lg_checkpoint"]

    assert table.oldest_row is None
    assert table.heap_bytes > 0
    await db.close()


def test_command_prints_a_table_and_json(migrated: str, admin: str) -> None:
    asyncio.run(on_server(admin, fill))

    shown = run_main("stats", AGENTROWS_DATABASE_URL=migrated)
    document = json.loads(run_main("stats", "--json", AGENTROWS_DATABASE_URL=migrated).out)

    head, first, *_, last = shown.out.splitlines()
    assert head == "table\theap\ttoast\tindex\tlive\tdead\tvacuum\toldest"
    assert re.fullmatch(r"lg_checkpoint\t[\d.]+ kB\t[\d.]+ MB\t\d+ kB\t30\t0%\t-\t31 d", first)
    assert re.fullmatch(r"\d+ tables, \S+ [kM]B", last)
    assert [*document] == ["tables", "uncovered_tables"]
    assert document["uncovered_tables"] == []
    assert [*document["tables"][0]] == [
        "name",
        "heap_bytes",
        "toast_bytes",
        "index_bytes",
        "live_rows",
        "dead_rows",
        "last_vacuum",
        "last_autovacuum",
        "last_analyze",
        "age_index",
        "oldest_row",
        "is_locked",
    ]
    assert datetime.fromisoformat(document["tables"][0]["oldest_row"]).tzinfo


def test_command_names_the_tables_that_no_export_covers(migrated: str, admin: str) -> None:
    async def create(db: asyncpg.Connection) -> None:
        await db.execute(
            "CREATE TABLE agent_instance (id text, user_id text); CREATE TABLE note (id int);"
            "CREATE TABLE booking (user_id text)"
        )

    asyncio.run(on_server(admin, create))

    shown = run_main("stats", AGENTROWS_DATABASE_URL=migrated)
    document = json.loads(run_main("stats", "--json", AGENTROWS_DATABASE_URL=migrated).out)

    assert shown.out.splitlines()[-1] == (
        "not covered by export_user and erase_user: agent_instance, booking"
    )
    assert document["uncovered_tables"] == ["agent_instance", "booking"]


async def test_locked_table_is_not_waited_for(client: PostgresClient, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await fill(db)
    free = (await by_name(client))["lg_checkpoint"]
    transaction = db.transaction()
    await transaction.start()
    await db.execute("LOCK TABLE lg_checkpoint IN ACCESS EXCLUSIVE MODE")

    async with asyncio.timeout(5):
        tables = await by_name(client)

    locked = tables["lg_checkpoint"]
    assert (free.is_locked, locked.is_locked) == (False, True)
    assert (locked.oldest_row, locked.age_index) == (None, "idx_lgcp_list")
    assert locked.heap_bytes > 0
    assert not any(table.is_locked for name, table in tables.items() if name != "lg_checkpoint")
    await transaction.rollback()
    assert (await by_name(client))["lg_checkpoint"] == free
    await db.close()


def test_command_marks_a_locked_table(migrated: str, admin: str) -> None:
    with asyncio.Runner() as runner:
        db = runner.run(asyncpg.connect(admin))
        runner.run(db.execute("BEGIN; LOCK TABLE lg_checkpoint IN ACCESS EXCLUSIVE MODE"))
        shown = run_main("stats", AGENTROWS_DATABASE_URL=migrated)
        runner.run(db.close())

    (line,) = [line for line in shown.out.splitlines() if line.startswith("lg_checkpoint\t")]
    assert line.endswith("\tlocked")


async def test_waiting_for_a_lock_counts_as_locked(client: PostgresClient, admin: str) -> None:
    reader, writer = await asyncpg.connect(admin), await asyncpg.connect(admin)
    reading = reader.transaction()
    await reading.start()
    await reader.execute("SELECT 1 FROM feedback")
    task = asyncio.create_task(writer.execute("TRUNCATE feedback CASCADE"))
    async with asyncio.timeout(10):
        while not await reader.fetchval(
            "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"
        ):
            await asyncio.sleep(0.01)

        assert (await by_name(client))["feedback"].is_locked
    await reading.rollback()
    await task
    await reader.close()
    await writer.close()


async def test_ledgers_of_the_application_are_left_out(client: PostgresClient, admin: str) -> None:
    db = await asyncpg.connect(admin)
    await db.execute(
        "CREATE TABLE app_versions (version bigint PRIMARY KEY, dirty boolean NOT NULL);"
        "CREATE TABLE app_versions_history (id int); CREATE TABLE note_versions (version int)"
    )

    tables = await by_name(client)

    assert "note_versions" in tables
    assert not {"app_versions", "app_versions_history"} & {*tables}
    await db.close()


def test_control_characters_in_the_name_of_a_table_are_escaped(migrated: str, admin: str) -> None:
    async def create(db: asyncpg.Connection) -> None:
        await db.execute('CREATE TABLE "a\nb\x1b[31m" (user_id text)')

    asyncio.run(on_server(admin, create))

    lines = run_main("stats", AGENTROWS_DATABASE_URL=migrated).out.split("\n")

    assert sum(line.startswith("a\\nb\\x1b[31m\t") for line in lines) == 1
    assert lines[-2] == "not covered by export_user and erase_user: a\\nb\\x1b[31m"


def test_command_on_an_empty_database_lists_no_table(database: str) -> None:
    shown = run_main("stats", AGENTROWS_DATABASE_URL=database)

    assert (shown.code, shown.out.splitlines()[1:]) == (0, ["0 tables, 0 B"])


async def on_server(
    dsn: str, act: Callable[[asyncpg.Connection], Coroutine[object, object, None]]
) -> None:
    db = await asyncpg.connect(dsn)
    try:
        await act(db)
    finally:
        await db.close()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (8192, "8.0 kB"),
        (1_023_000, "999 kB"),
        (1_023_900, "1.0 MB"),
        (10**15, "909 TB"),
    ],
)
def test_bytes_have_at_most_three_digits(number: int, text: str) -> None:
    assert format_bytes(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (9999, "9,999"), (10_000, "10k"), (999_499, "999k"), (999_500, "1.0M")],
)
def test_rows_have_at_most_five_characters(number: int, text: str) -> None:
    assert format_count(number) == text


def test_age_is_in_the_largest_unit() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    ages = [timedelta(seconds=59), timedelta(minutes=59), timedelta(hours=23), timedelta(days=500)]

    assert [format_age(now, now - age) for age in ages] == ["59 s", "59 min", "23 h", "500 d"]
    assert format_age(now, None) == "-"
    assert format_age(now, now + timedelta(hours=1)) == "0 s"


async def waste(db: asyncpg.Connection) -> None:
    """Leave many dead rows in two tables, one of them small, and store long threads."""
    await db.execute(
        "ALTER TABLE event SET (autovacuum_enabled = off);"
        "INSERT INTO event (id, user_id, data) SELECT n, 'mira', '{}'"
        " FROM generate_series(1, 20000) AS n;"
        "INSERT INTO feedback (user_id, feedback_text) SELECT 'mira', n"
        " FROM generate_series(1, 900) AS n;"
        "DELETE FROM event WHERE id LIKE '%1%'; DELETE FROM feedback WHERE feedback_text <> '1';"
        "INSERT INTO lg_checkpoint (user_id, thread_id, checkpoint_ns, checkpoint_id, metadata,"
        " checkpoint, checkpoint_type) SELECT 'mira', 't-' || n % 190, '', 'c-' || n, '{}', '', ''"
        " FROM generate_series(1, 11400) AS n;"
        "ANALYZE lg_checkpoint"
    )
    await db.execute("SELECT pg_stat_force_next_flush()")


def test_doctor_warns_of_dead_rows_and_long_threads(admin: str) -> None:
    asyncio.run(on_server(admin, waste))

    checkup = asyncio.run(Migrator(admin, builtin_tracks()).doctor())
    shown = run_main("migrate", "doctor", AGENTROWS_DATABASE_URL=admin)

    (dead,) = checkup.dead_rows
    assert dead.table == "public.event"
    assert dead.live_rows + dead.dead_rows == 20_000
    (threads,) = checkup.long_threads
    assert (threads.table, threads.checkpoints, threads.per_thread) == (
        "public.lg_checkpoint",
        11_400,
        60,
    )
    assert checkup.is_healthy
    assert shown.code == 0
    assert "of public.event are dead rows, last VACUUM: never; look for" in shown.out
    assert "public.lg_checkpoint has about 60 checkpoints per thread: " in shown.out
