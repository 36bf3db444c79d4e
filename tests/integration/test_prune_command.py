"""`agentrows prune`: options, output, exit codes, and signals."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from support.command_line import run_main
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Ended

EVENTS: Final = """
INSERT INTO event (id, user_id, session_id, data, created_at)
SELECT 'e-' || n, 'mira', NULL, '', now() - interval '100 days'
FROM generate_series(1, {number}) AS n
"""


def run_sql(dsn: str, query: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(as_role(dsn, SUPERUSER))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def prune(dsn: str, *arguments: str) -> Ended:
    return run_main("prune", *arguments, AGENTROWS_DATABASE_URL=dsn)


def test_dry_run_counts_and_run_removes(migrated: str) -> None:
    run_sql(migrated, EVENTS.format(number=1200))
    dry = prune(migrated, "--older-than", "90d", "--tables", "event,session", "--dry-run")
    done = prune(migrated, "--older-than", "90d", "--tables", "event,session")
    again = prune(migrated, "--older-than", "90d", "--tables", "event", "--dsn", migrated)

    assert (dry.code, dry.out.splitlines()[-1]) == (0, "would remove 1,200 rows")
    assert done.code == 0
    assert done.out.splitlines()[0] == "table\trows"
    assert "event\t1,200" in done.out.splitlines()
    assert done.out.splitlines()[-1] == "removed 1,200 rows"
    assert again.out == "table\trows\nevent\t0\nremoved 0 rows\n"
    assert done.err == ""


def test_rows_within_the_age_stay(migrated: str) -> None:
    run_sql(migrated, EVENTS.format(number=1))

    assert prune(migrated, "--older-than", "15w").out.endswith("removed 0 rows\n")
    assert prune(migrated, "--older-than", "2400h").out.endswith("removed 1 row\n")


def test_limit_ends_the_run_with_exit_code_3(migrated: str) -> None:
    run_sql(migrated, EVENTS.format(number=25))
    ended = prune(migrated, "--older-than", "90d", "--batch-size", "10", "--max-rows", "10")

    assert ended.code == 3
    assert ended.out.splitlines()[-1] == (
        "removed 10 rows; a limit ended the run, the same command continues"
    )
    assert prune(migrated, "--older-than", "90d", "--time-limit", "60").code == 0
    assert run_sql(migrated, "SELECT count(*) FROM event") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--older-than"),
        (("--older-than", "90"), "is not a duration"),
        (("--older-than", "0d"), "is not a duration"),
        (("--older-than", "-1d"), "is not a duration"),
        (("--older-than", "999999999999w"), "is not a duration"),
        (("--older-than", "90d", "--tables", "sessions"), "'sessions' cannot be pruned"),
        (("--older-than", "90d", "--tables", ""), "the list cannot be pruned"),
        (("--older-than", "90d", "--batch-size", "0"), "--batch-size"),
        (("--older-than", "90d", "--max-rows", "0"), "--max-rows"),
        (("--older-than", "90d", "--time-limit", "nan"), "--time-limit"),
    ],
)
def test_wrong_option_is_refused_with_exit_code_2(
    migrated: str, arguments: tuple[str, ...], message: str
) -> None:
    ended = prune(migrated, *arguments)

    assert ended.code == 2
    assert message in " ".join(ended.err.split())


def test_help_and_usage_errors_fit_80_columns(migrated: str) -> None:
    assert max(map(len, prune(migrated, "--help").out.splitlines())) <= 80


def test_unreachable_server_is_one_line_and_exit_code_1() -> None:
    ended = run_main(
        *("prune", "--older-than", "90d"),
        AGENTROWS_DATABASE_URL="postgresql://localhost:1/none",
        AGENTROWS_READY_TIMEOUT_S="1",
    )

    assert ended.code == 1
    assert ended.err.splitlines()[-1].startswith("agentrows: the database is not available")
    assert "Traceback" not in ended.err


def test_schema_that_is_behind_is_exit_code_1(database: str) -> None:
    """A schedule takes exit code 3 for success."""
    ended = prune(database, "--older-than", "90d")

    assert (ended.code, ended.out) == (1, "")
    assert "this release needs" in ended.err


@pytest.fixture
def running(migrated: str) -> Iterator[subprocess.Popen[str]]:
    """The command in a process of its own, on 20,000 rows in small batches."""
    run_sql(migrated, EVENTS.format(number=20_000))
    process = subprocess.Popen(  # noqa: S603  a command of ours
        [
            *(str(Path(sys.executable).parent / "agentrows"), "prune"),
            *("--older-than", "90d", "--batch-size", "5"),
        ],
        env={**os.environ, "AGENTROWS_DATABASE_URL": migrated},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_signal_stops_the_run_and_keeps_its_batches(
    migrated: str, running: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    end = time.monotonic() + 60
    while (left := run_sql(migrated, "SELECT count(*) FROM event")) == 20_000:
        assert time.monotonic() < end
    running.send_signal(number)
    _, error = running.communicate(timeout=30)

    assert left != 0
    assert running.returncode == code
    assert "every batch before is committed" in error
    remaining = run_sql(migrated, "SELECT count(*) FROM event")
    ended = prune(migrated, "--older-than", "90d", "--batch-size", "10000")
    assert ended.out.splitlines()[-1] == f"removed {remaining:,} rows"
