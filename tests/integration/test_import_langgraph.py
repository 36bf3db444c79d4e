"""`agentrows import langgraph`: each row of another store once, with its bytes, ids and times."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import asyncpg
import pytest

from agentrows import migrate
from support.command_line import run_main
from support.langgraph import SETUP, thread_sql
from support.postgres import SERVICE, as_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from support.command_line import Ended
    from support.postgres import Server

Command: TypeAlias = "Callable[..., Ended]"
MIRA: Final = ("--user", "mira")
WRITE: Final = """
    INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob)
    VALUES ('{}', '{}', 'late', 0, 'items', 'json', '1');
"""
SOURCE_GOES_ON: Final = """
    UPDATE checkpoints SET metadata = metadata || '{"late": true}';
    UPDATE checkpoint_writes SET blob = '\\x02' WHERE idx < 0;
"""
SOURCE_IS_ODD: Final = """
    UPDATE checkpoint_writes SET type = NULL WHERE checkpoint_id = 'c-000002' AND idx = 0;
    UPDATE checkpoint_writes SET idx = 2000000 WHERE checkpoint_id = 'c-000004' AND idx = 0;
    UPDATE checkpoints SET checkpoint = checkpoint || '{"ts": "soon", "v": 1}'
    WHERE checkpoint_id = 'c-000003';
    UPDATE checkpoints SET checkpoint = checkpoint - 'v' || '{"ts": "1999-01-01"}'
    WHERE checkpoint_id = 'c-000005';
"""
DEADLOCK_ONCE: Final = """
    CREATE SEQUENCE attempts;
    CREATE FUNCTION fail_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        IF nextval('attempts') = 1 THEN
            RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail_once BEFORE INSERT ON lg_checkpoint_write FOR EACH ROW
    EXECUTE FUNCTION fail_once();
"""
BLOBS: Final = "agentrows_checkpoint_blob"


@pytest.fixture
def source(server: Server) -> Iterator[str]:
    """The name of a database with the tables of langgraph-checkpoint-postgres."""
    name = server.create_database()
    server.execute(SETUP, database=name)
    yield name
    server.drop_database(name)


@pytest.fixture
def copy(server: Server, source: str, migrated: str) -> Command:
    """The command, from the source into a migrated database."""

    def run(*arguments: str, **variables: str) -> Ended:
        variables = {
            "AGENTROWS_SOURCE_URL": server.dsn(source),
            "AGENTROWS_DATABASE_URL": migrated,
            **variables,
        }
        return run_main("import", "langgraph", *arguments, **variables)

    return run


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetch(dsn: str, query: str) -> list[tuple[Any, ...]]:
    async def run() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(dsn)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(run())


def count(dsn: str, table: str) -> int:
    return int(fetch(dsn, f"SELECT count(*) FROM {table}")[0][0])  # noqa: S608


def test_every_row_is_copied_once_with_its_bytes_ids_and_times(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    server.execute(
        thread_sql("t-1", checkpoints=230)
        + thread_sql("t-1", namespace="inner:1|deep", checkpoints=2)
        + thread_sql("t-2"),
        database=source,
    )

    assert copy(*MIRA, "--dry-run").out == (
        "would copy 235 checkpoints of 2 threads; nothing was stored\n"
    )
    assert count(migrated, "lg_checkpoint") == 0
    ended = copy(*MIRA)

    assert ended.code == 0, ended
    first, last = ended.out.splitlines()
    # Each checkpoint has 3 values of its own; each of the 3 namespaces has the constant one.
    assert first.startswith("copied 235 checkpoints, 708 values and 470 writes of 2 threads in ")
    assert last == (
        "verified: 235 checkpoints and 470 writes of the source are here, with all of their "
        "values; the bytes of 100 checkpoints are equal"
    )
    assert count(migrated, BLOBS) == 708
    assert count(migrated, "lg_checkpoint_write") == 470
    [row] = fetch(
        migrated,
        "SELECT checkpoint_type, checkpoint, metadata, version, parent_checkpoint_id, "
        "created_at::text, updated_at = created_at, agentrows_run_id, agentrows_channels, "
        "agentrows_checkpoint FROM lg_checkpoint WHERE user_id = 'mira' AND thread_id = 't-2' "
        "AND checkpoint_id = 'c-000003'",
    )
    assert row[:2] == ("agentrows+json", "")
    assert row[3:5] == (4, "c-000002")
    assert row[5].startswith("2025-03-01 10:00:03")
    assert row[6:9] == (True, "run-1", ["constant", "count", "items", "snapshot"])
    assert json.loads(row[9])["channel_values"] == {"loose": "é"}
    values = dict(fetch(migrated, f"SELECT channel, type FROM {BLOBS} WHERE thread_id = 't-2'"))  # noqa: S608
    assert values == {
        "constant": "msgpack+aes", "count": "json", "items": "msgpack", "snapshot": "msgpack",
    }  # fmt: skip

    again = copy(*MIRA).out.splitlines()
    assert again[0].startswith("copied 0 checkpoints, 0 values and 0 writes of 2 threads in ")
    assert again[1] == "235 checkpoints had been copied before"
    server.execute(thread_sql("t-2", first=4, checkpoints=2), database=source)
    assert copy(*MIRA).out.startswith("copied 2 checkpoints, 6 values and 4 writes of 2 threads")


def test_owner_is_read_from_metadata_and_threads_without_one_are_listed(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    server.execute(
        thread_sql("t-mira", metadata='{"who": "mira"}')
        + thread_sql("t-7", metadata='{"who": 7}')
        + thread_sql("t-none")
        + thread_sql("t-two", metadata='{"who": "mira"}', checkpoints=1)
        + thread_sql("t-two", metadata='{"who": "juno"}', checkpoints=1, first=2),
        database=source,
    )

    ended = copy("--user-from", "metadata:who")

    assert ended.code == 3
    assert ended.out.splitlines()[1:6] == [
        "skipped 2 threads:",
        "thread\tcheckpoints\treason",
        "t-none\t3\tno text or number under 'who' in its metadata",
        "t-two\t2\t2 different values under 'who' in its metadata",
        (
            "verified: 6 checkpoints and 12 writes of the source are here, with all of their "
            "values; the bytes of 6 checkpoints are equal"
        ),
    ]
    owners = "SELECT DISTINCT user_id, thread_id FROM lg_checkpoint ORDER BY 1"
    assert fetch(migrated, owners) == [("7", "t-7"), ("mira", "t-mira")]


def test_owner_is_the_result_of_a_function(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
    folder: Path,
) -> None:
    server.execute(thread_sql("a/1") + thread_sql("b/1") + thread_sql("c"), database=source)
    (folder / "owners_of_threads.py").write_text(
        "async def find(thread_id, metadata):\n"
        "    assert metadata['step'] == 3\n"
        "    return thread_id.partition('/')[0] if '/' in thread_id else None\n"
        "def number(thread_id, metadata):\n"
        "    return 7\n"
        "def fails(thread_id, metadata):\n"
        "    raise KeyError('user')\n"
    )
    ended = copy("--user-from", "owners_of_threads:find")

    assert ended.code == 3
    assert "c\t3\tthe function returned no user" in ended.out
    assert fetch(migrated, "SELECT DISTINCT user_id FROM lg_checkpoint ORDER BY 1") == [
        ("a",),
        ("b",),
    ]
    wrong = copy("--user-from", "owners_of_threads:number")
    assert (wrong.code, wrong.last_line) == (
        1,
        (
            "agentrows: the function for the owner returned int for thread 'a/1'; it must return "
            "text or None"
        ),
    )
    raised = copy("--user-from", "owners_of_threads:fails")
    assert (raised.code, raised.last_line) == (
        1,
        "agentrows: the function for the owner raised KeyError for thread 'a/1': 'user'",
    )


def test_rows_stored_or_deleted_here_are_kept_and_listed(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    server.execute(thread_sql("t-1", checkpoints=5), database=source)
    assert copy(*MIRA).code == 0
    changed = (
        "UPDATE {} SET {} WHERE checkpoint_id = '{}'",
        ("lg_checkpoint", "checkpoint_type = 'agentrows+msgpack'", "c-000001"),
        ("lg_checkpoint", "deleted_at = now()", "c-000002"),
    )
    name = migrated.partition("?")[0].rpartition("/")[2]
    for table, what, where in changed[1:]:
        server.execute(changed[0].format(table, what, where), database=name)
    server.execute(
        "UPDATE lg_checkpoint SET updated_at = now() WHERE checkpoint_id = 'c-000005'; "
        "UPDATE lg_checkpoint_write SET updated_at = now(), agentrows_value = '\\x01' "
        "WHERE checkpoint_id = 'c-000003' AND (write_idx & 1048575) < 16",
        database=name,
    )
    # A new key of metadata, another answer to an interrupt, a write that was late.
    server.execute(SOURCE_GOES_ON + WRITE.format("t-1", "c-000004"), database=source)

    ended = copy(*MIRA)

    assert ended.code == 0, ended
    assert ended.out.splitlines()[0].startswith("copied 2 checkpoints, 0 values and 4 writes of 1 ")
    assert ended.out.splitlines()[2:8] == [
        (
            "did not overwrite 4 checkpoints that were stored again or deleted here, or a write of "
            "which was:"
        ),
        "thread\tnamespace\tcheckpoint",
        "t-1\t\tc-000001",
        "t-1\t\tc-000002",
        "t-1\t\tc-000003",
        "t-1\t\tc-000005",
    ]
    late = "SELECT checkpoint_id FROM lg_checkpoint WHERE convert_from(decode(metadata, 'base64'), "
    late += "'UTF8') LIKE '%late%' ORDER BY 1"
    assert fetch(migrated, late) == [("c-000003",), ("c-000004",)]
    special = (
        "SELECT agentrows_value, count(*) FROM lg_checkpoint_write "
        "WHERE (write_idx & 1048575) < 16 GROUP BY 1 HAVING length(agentrows_value) = 1 ORDER BY 1"
    )
    assert fetch(migrated, special) == [(b"\1", 1), (b"\2", 3)]


def test_damage_here_is_healed_or_reported(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    server.execute(thread_sql("t-1", checkpoints=4), database=source)
    assert copy(*MIRA).code == 0
    name = migrated.partition("?")[0].rpartition("/")[2]
    server.execute(
        f"DELETE FROM {BLOBS} WHERE channel IN ('constant', 'count'); "  # noqa: S608
        "DELETE FROM lg_checkpoint_write WHERE checkpoint_id = 'c-000004'; "
        # As prune_thread does it.
        "UPDATE lg_checkpoint SET parent_checkpoint_id = NULL WHERE checkpoint_id = 'c-000003'",
        database=name,
    )

    healed = copy(*MIRA)
    assert healed.code == 0, healed
    assert healed.out.startswith("copied 1 checkpoint, 5 values and 2 writes of 1 thread in ")
    parent = "SELECT parent_checkpoint_id FROM lg_checkpoint WHERE checkpoint_id = 'c-000003'"
    assert fetch(migrated, parent) == [("c-000002",)]

    server.execute(
        f"UPDATE {BLOBS} SET value = '\\x00' WHERE channel = 'items' AND version LIKE '%2.5'",  # noqa: S608
        database=name,
    )
    damaged = copy(*MIRA)
    assert damaged.code == 1
    assert damaged.out.splitlines()[-4:] == [
        "other bytes here than in the source:",
        "thread\tnamespace\tcheckpoint",
        "t-1\t\tc-000002",
        "not verified",
    ]


def test_rows_that_cannot_be_stored_are_listed_and_the_others_copied(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    # A thread with a long id; a write without its checkpoint, and one without its thread.
    server.execute(
        thread_sql("t-1", checkpoints=5)
        + thread_sql("\x1b[2J\t" + "x" * 600, checkpoints=1)
        + SOURCE_IS_ODD
        + WRITE.format("t-1", "c-000009")
        + WRITE.format("stray", "c-000001"),
        database=source,
    )

    ended = copy(*MIRA)

    assert ended.code == 1
    lines = ended.out.splitlines()
    assert lines[0].startswith("copied 3 checkpoints, 10 values and 7 writes of 1 thread")
    assert lines[1] == "left out 1 write of threads without a checkpoint"
    assert lines[2] == "skipped 1 thread:"
    assert lines[4].startswith("\\x1b[2J\\txxx"), "a thread's id cannot control the terminal"
    assert lines[4].endswith("x\t1\tthe id of the thread must have 1 to 512 bytes, got 605")
    assert lines[5] == "2 checkpoints cannot be stored, with their values and writes:"
    assert [line.split("\t")[2:] for line in lines[7:9]] == [
        ["c-000002", "write 0 of task 'task-2' has no type"],
        ["c-000004", "writes[1]: idx must be from -4 to 1048559"],
    ]
    assert lines[-1] == "not verified"
    stored = "SELECT checkpoint_id, version, created_at FROM lg_checkpoint ORDER BY created_at, 1"
    rows = fetch(migrated, stored)
    assert [row[:2] for row in rows] == [("c-000001", 4), ("c-000003", 1), ("c-000005", 1)]
    # The times of the second and the fourth checkpoint: none is before its predecessor's.
    assert [row[2].second for row in rows] == [1, 2, 4]


@pytest.mark.parametrize("role", ["service", "restricted"])
def test_import_runs_under_row_level_security(
    server: Server,
    source: str,
    role: str,
    copy: Command,
) -> None:
    server.execute(thread_sql("t-1"), database=source)
    name = server.create_database()
    try:
        server.migrate(name, migrate.builtin_tracks(row_security=True))
        server.execute(DEADLOCK_ONCE, database=name)
        dsn = as_role(server.dsn(name), SERVICE)
        secured = {"AGENTROWS_ROW_SECURITY": "true"} if role == "restricted" else {}

        ended = copy(*MIRA, AGENTROWS_DATABASE_URL=dsn, **secured)

        assert ended.code == 0, ended
        assert copy(*MIRA, AGENTROWS_DATABASE_URL=dsn, **secured).out.count("0 checkpoints") == 1
    finally:
        server.drop_database(name)


def test_killed_run_leaves_whole_threads_and_the_next_one_continues(
    server: Server,
    source: str,
    migrated: str,
    copy: Command,
) -> None:
    server.execute(thread_sql("t-1"), database=source)
    assert copy(*MIRA).code == 0
    server.execute(thread_sql("t-2", checkpoints=250), database=source)
    name = migrated.partition("?")[0].rpartition("/")[2]
    variables = {"AGENTROWS_SOURCE_URL": server.dsn(source), "AGENTROWS_DATABASE_URL": migrated}

    async def kill_in_mid_batch(after: int) -> None:
        """Kill the command while its batch waits to store a write; `after` are stored before."""
        blocker = await asyncpg.connect(server.dsn(name))
        # The values and checkpoints of the batch are in the open transaction then.
        await blocker.execute(
            "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_lock_shared(15); RETURN NEW; END $$; "
            "CREATE TRIGGER stop BEFORE INSERT ON lg_checkpoint_write FOR EACH ROW "
            f"WHEN (NEW.checkpoint_id = 'c-{after:06}') EXECUTE FUNCTION stop(); "
            "SELECT pg_advisory_lock(15)"
        )
        process = subprocess.Popen(  # noqa: ASYNC220, S603  our own command
            [Path(sys.executable).parent / "agentrows", "import", "langgraph", *MIRA],
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
        )
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        deadline = time.monotonic() + 30
        while not await blocker.fetchval(waiting):
            assert process.poll() is None
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with contextlib.suppress(asyncpg.PostgresError):
            await blocker.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND NOT granted"
            )
        await blocker.execute("DROP FUNCTION stop CASCADE; SELECT pg_advisory_unlock(15)")
        await blocker.close()

    asyncio.run(kill_in_mid_batch(after=230))

    stored = count(migrated, "lg_checkpoint") - 3
    assert stored == 200
    assert count(migrated, "lg_checkpoint_write") == 2 * stored + 6, "a batch is whole or absent"
    ended = copy(*MIRA)
    assert ended.code == 0, ended
    assert ended.out.startswith(f"copied {250 - stored} checkpoints, ")
    assert ended.out.splitlines()[-1].startswith("verified: 253 checkpoints and 506 writes")
    assert count(migrated, BLOBS) == 253 * 3 + 2


def test_errors_name_the_database_and_the_cure(
    server: Server,
    source: str,
    copy: Command,
    folder: Path,
) -> None:
    empty = server.create_database()
    quick = {"AGENTROWS_READY_TIMEOUT_S": "0.2", "AGENTROWS_RETRY_TIMEOUT_S": "0"}
    dsn = server.dsn(source)
    file = folder / "dsn"
    file.write_text(f"{dsn}\n")
    (folder / "no_function.py").write_text("owner = 7")
    server.execute("CREATE SCHEMA other", database=source)

    def line(*arguments: str, **variables: str) -> tuple[int, str]:
        ended = copy(*(arguments or MIRA), **{**quick, **variables})
        assert "Traceback" not in ended.err
        return ended.code, ended.err.replace("\n", " ")

    def says(ended: tuple[int, str], code: int, *parts: str) -> None:
        assert ended[0] == code, ended
        assert all(part in ended[1] for part in parts), ended

    says(line(AGENTROWS_SOURCE_URL=""), 1, "no source is configured: set AGENTROWS_SOURCE_URL")
    says(line(AGENTROWS_SOURCE_URL="embedded:"), 1, "must be a PostgreSQL DSN")
    says(line(AGENTROWS_SOURCE_URL_FILE="/nowhere"), 1, "file of AGENTROWS_SOURCE_URL_FILE cannot")
    says(line(AGENTROWS_SOURCE_URL="", AGENTROWS_SOURCE_URL_FILE=str(file)), 0)
    says(line(AGENTROWS_SOURCE_URL=server.dsn(empty)), 1, "the source has no table checkpoint_mig")
    says(line(AGENTROWS_SOURCE_URL=f"{dsn}&search_path=other"), 1, "?search_path=")
    says(line(AGENTROWS_SOURCE_URL=server.dsn("gone")), 1, "the source database: ", "gone")
    says(line(AGENTROWS_SOURCE_URL=as_role(dsn, SERVICE)), 1, "the source database: permission")
    says(line(AGENTROWS_DATABASE_URL=server.dsn(empty)), 3, "run `agentrows migrate up`")
    says(line(AGENTROWS_DATABASE_URL=""), 1, "no database is configured")
    says(line("--dry-run"), 2, "pass either --user or --user-from")
    says(line(*MIRA, "--user-from", "metadata:x"), 2, "pass either --user or --user-from")
    says(line("--user", ""), 2, "must have 1 to 512 bytes")
    for wrong in ("metadata", "metadata:", ":x"):
        says(line("--user-from", wrong), 2, "neither metadata:KEY nor package.module:function")
    says(line("--user-from", "no_module:f"), 1, "'no_module:f' cannot be imported")
    says(line("--user-from", "no_function:owner"), 1, "must be a function, not int")
    server.execute("ALTER TABLE checkpoint_writes DROP COLUMN task_path", database=source)
    says(line(), 3, "the source has no column checkpoint_writes.task_path: run setup()")
    # Track agentrows is optional, so the client opens without it.
    server.migrate(empty, [t for t in migrate.builtin_tracks() if t.name != "agentrows"])
    server.execute(f"{SETUP} {thread_sql('t-1')}", database=empty)
    both = {"AGENTROWS_SOURCE_URL": server.dsn(empty), "AGENTROWS_DATABASE_URL": server.dsn(empty)}
    says(line(*MIRA, "--dry-run", **both), 3, "run `agentrows migrate up`")
    server.migrate(empty, migrate.builtin_tracks())
    says(line(**both), 0)
    server.drop_database(empty)
