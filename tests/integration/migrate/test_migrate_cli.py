"""`agentrows migrate …`: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from support.tracks import newest_versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.postgres import Server

COMMAND = Path(sys.executable).parent / "agentrows"
NEWEST = newest_versions()
TRACK = """
from pathlib import Path
from agentrows.migrate import Track
TRACKS = [Track("app", Path(__file__).parent / "sql", "app_versions")]
NOTHING = [1]
"""


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    return {**ours, "AGENTROWS_DATABASE_URL": database}


@pytest.fixture
def cli(
    environment: dict[str, str], tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `agentrows migrate` in an empty directory."""

    def run(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603  our own command
            [COMMAND, "migrate", *arguments],
            cwd=tmp_path,
            env={**environment, **extra},
            check=False,
            capture_output=True,
            text=True,
        )

    return run


@pytest.fixture
def app_track(tmp_path: Path) -> Path:
    """A module of an application that has a track of its own."""
    (tmp_path / "app.py").write_text(TRACK)
    (tmp_path / "sql").mkdir()
    up = tmp_path / "sql" / "000001_notes.up.sql"
    up.write_text("CREATE TABLE note (id int);")
    (tmp_path / "sql" / "000001_notes.down.sql").write_text("DROP TABLE note;")
    return up


def test_up_prints_progress_on_stderr_and_the_result_on_stdout(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = cli("up")
    assert done.returncode == 0
    assert done.stdout.startswith("applied ")
    assert "core/000001_initial.up.sql done in " in done.stderr
    again = cli("up")
    assert (again.returncode, again.stdout, again.stderr) == (0, "nothing to do\n", "")


def test_status_is_a_table_of_tabs_for_a_pipe(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    before = cli("status")
    assert before.returncode == 0
    assert before.stdout.splitlines()[:2] == [
        "track\tapplied\tnewest\tstate",
        "core\t-\t7\t7 pending",
    ]
    cli("up")
    assert "core\t7\t7\tcurrent\n" in cli("status").stdout


def test_status_is_json_for_a_program(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    found = json.loads(cli("status", "--json").stdout)
    assert found["is_current"] is False
    assert found["tracks"][1]["name"] == "vector"
    assert found["tracks"][1]["pending"][0] == "vector/000001_vector_support.up.sql"


def test_pending_files_are_exit_code_3(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert cli("status", "--check").returncode == 3
    behind = cli("verify")
    assert behind.returncode == 3
    assert behind.stdout == ""
    assert behind.stderr.startswith("agentrows: track 'core' is at nothing, this release needs 7")
    assert behind.stderr.count("\n") == 1
    cli("up")
    assert cli("status", "--check").returncode == 0
    assert cli("verify").returncode == 0


def test_a_dirty_database_is_exit_code_1(
    cli: Callable[..., subprocess.CompletedProcess[str]], database: str
) -> None:
    import asyncio  # noqa: PLC0415

    import asyncpg  # noqa: PLC0415

    async def spoil() -> None:
        db = await asyncpg.connect(database)
        await db.execute("UPDATE schema_migrations SET dirty = true")
        await db.close()

    cli("up")
    asyncio.run(spoil())
    assert cli("status", "--check").returncode == 1
    assert cli("verify").returncode == 1


def test_a_failure_is_one_line_and_exit_code_1(
    cli: Callable[..., subprocess.CompletedProcess[str]], app_track: Path
) -> None:
    app_track.write_text("CREATE TABLE note (id int);\nSELECT nope;")
    done = cli("up", "--tracks", "app:TRACKS")
    assert done.returncode == 1
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last == (
        'agentrows: app/000001_notes.up.sql, line 2: column "nope" does not exist '
        "(SQLSTATE 42703); the run was rolled back"
    )
    assert "Traceback" not in done.stderr


def test_a_wrong_option_is_exit_code_2(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert cli("up", "--sideways").returncode == 2
    assert cli("sideways").returncode == 2


def test_without_a_database_the_error_names_the_variable(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = cli("status", AGENTROWS_DATABASE_URL="")
    assert done.returncode == 1
    assert "AGENTROWS_DATABASE_URL" in done.stderr


def test_a_dsn_on_the_command_line_wins_and_is_never_shown(
    cli: Callable[..., subprocess.CompletedProcess[str]], database: str
) -> None:
    assert cli("status", "--dsn", database, AGENTROWS_DATABASE_URL="nonsense").returncode == 0
    done = cli("status", "--dsn", "postgresql://u:hunter2-word@localhost:1/nowhere")
    assert done.returncode == 1
    assert "hunter2-word" not in done.stderr + done.stdout


def test_the_vector_track_can_be_switched_off(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert "vector" not in cli("status", AGENTROWS_VECTOR_ENABLED="false").stdout


def test_an_applications_tracks_come_after_the_built_in_ones(
    cli: Callable[..., subprocess.CompletedProcess[str]], app_track: Path
) -> None:
    assert cli("status", "--tracks", "app:TRACKS").stdout.splitlines()[-1].startswith("app\t-\t1")
    pyproject = app_track.parents[1] / "pyproject.toml"
    pyproject.write_text('[tool.agentrows]\ntracks = "app:TRACKS"\n')
    assert cli("up").returncode == 0
    assert cli("status").stdout.splitlines()[-1] == "app\t1\t1\tcurrent"


@pytest.mark.usefixtures("app_track")
@pytest.mark.parametrize("spec", ["app", "app:MISSING", "missing:TRACKS", "app:NOTHING", ":"])
def test_tracks_that_cannot_be_found_are_named(
    cli: Callable[..., subprocess.CompletedProcess[str]], spec: str
) -> None:
    done = cli("status", "--tracks", spec)
    assert done.returncode == 1
    assert f"tracks: '{spec}'" in done.stderr


@pytest.mark.usefixtures("app_track")
def test_one_track_is_moved_by_down_goto_and_force(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    tracks = ("--tracks", "app:TRACKS")
    planned = cli("plan", *tracks).stdout.splitlines()
    assert planned.index("app/000001_notes.up.sql\tin a transaction") < planned.index(
        "agentrows/000001_agent_created.up.sql\tno transaction, optional"
    )
    dry = cli("dry-run", *tracks)
    assert dry.stdout.endswith("everything was rolled back\n")
    assert "core\t0\n" in cli("version").stdout
    cli("up", "--transaction", "file", *tracks)
    assert (
        cli("version", *tracks).stdout == f"core\t7\nvector\t3\nagentrows\t{NEWEST['agentrows']}\n"
        f"agentrows_vector\t{NEWEST['agentrows_vector']}\napp\t1\n"
    )
    app = ("--track", "app", *tracks)
    assert cli("down", "1", *app).stdout.startswith("rolled back 1 file in ")
    assert cli("goto", "1", *app).stdout.startswith("applied 1 file in ")
    assert cli("goto", "0", *app).stdout.startswith("rolled back 1 file in ")
    assert cli("goto", "1", *app).returncode == 0
    assert cli("force", "0", "--track", "app", *tracks).returncode == 0
    assert "app\tup would run\tapp/000001_notes.up.sql" in cli("doctor", *tracks).stdout
    assert (
        cli("plan", "--to", "0", "--track", "core").stdout.count(".down.sql\tin a transaction\n")
        == 7
    )
    assert cli("plan", "--to", "0").returncode == 2
    assert cli("down", "1").returncode == 2
    assert cli("down", "0", "--track", "app", *tracks).returncode == 2
    assert cli("goto", "9", "--track", "core").returncode == 1


def test_doctor_exits_with_1_if_an_index_is_missing(
    cli: Callable[..., subprocess.CompletedProcess[str]], server: Server, database: str
) -> None:
    cli("up")
    assert cli("doctor").returncode == 0
    name = urlsplit(database).path[1:]
    server.execute(
        "DROP INDEX idx_memory_expires_at; ALTER TABLE agent ALTER COLUMN type DROP NOT NULL;"
        "DROP INDEX agentrows_event_order; DROP INDEX agentrows_task_order",
        database=name,
    )
    done = cli("doctor")
    assert done.returncode == 1
    assert (
        "vector\tmissing\tindex idx_memory_expires_at of memory\n"
        "vector\tcure\tCREATE INDEX CONCURRENTLY idx_memory_expires_at ON memory USING btree"
        " (expires_at)\n"
    ) in done.stdout
    assert (
        "core\tchanged\tcolumn type of agent: text, expected text NOT NULL\n"
        "core\tcure\tALTER TABLE agent ALTER COLUMN type SET NOT NULL\n"
    ) in done.stdout
    assert (
        "agentrows\tmissing\tindex agentrows_event_order of event\n"
        "agentrows\tmissing\tindex agentrows_task_order of task\n"
        "agentrows\tcure\tagentrows migrate up\n"
    ) in done.stdout
    assert "vector\tstate\tmissing: idx_memory_expires_at\n" in done.stdout
    assert "vector\t3\t3\tmissing: idx_memory_expires_at\n" in cli("status").stdout
    verified = cli("verify")
    assert verified.returncode == 0
    assert "missing: idx_memory_expires_at;" in verified.stderr


def test_optional_files_that_are_pending_are_no_error_of_verify(
    cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    cli("up")
    cli("goto", "16", "--track", "agentrows")
    verified = cli("verify")
    assert verified.returncode == 0
    newest = NEWEST["agentrows"]
    assert f"agentrows\t16\t{newest}\t{newest - 16} optional, pending\n" in verified.stdout
    assert cli("status", "--check").returncode == 3
    assert cli("doctor").returncode == 0
    assert "crewai_memory_created.up.sql\tno transaction, optional" in (cli("plan").stdout)
    found = json.loads(cli("status", "--json").stdout)["tracks"][2]
    assert (found["required"], found["lacking"]) == (0, [])


def test_new_prints_the_paths_of_the_pair(
    cli: Callable[..., subprocess.CompletedProcess[str]], app_track: Path
) -> None:
    done = cli("new", "more notes", "--track", "app", "--tracks", "app:TRACKS")
    assert done.stdout.splitlines() == [
        str(app_track.parent / f"000002_more_notes.{way}.sql") for way in ("up", "down")
    ]
    assert cli("new", "x", "--track", "nope").returncode == 1


def test_sigterm_rolls_back(
    cli: Callable[..., subprocess.CompletedProcess[str]],
    environment: dict[str, str],
    app_track: Path,
) -> None:
    app_track.write_text("CREATE TABLE note (id int); SELECT pg_sleep(60);")
    process = subprocess.Popen(  # noqa: S603  our own command
        [COMMAND, "migrate", "up", "--tracks", "app:TRACKS"],
        cwd=app_track.parents[1],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    while "app/000001_notes.up.sql" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=5)
    assert process.returncode == 1
    assert "rolled back" in errors
    assert "core\t-\t7\t7 pending" in cli("status").stdout


@pytest.mark.parametrize("command", [("down", "1"), ("goto", "0")])
def test_down_and_goto_pass_the_ddl_lock_timeout_on(
    cli: Callable[..., subprocess.CompletedProcess[str]], app_track: Path, command: tuple[str, str]
) -> None:
    down = app_track.with_name("000001_notes.down.sql")
    down.write_text("DROP TABLE note; SELECT 1 / (current_setting('lock_timeout') = '70ms')::int;")
    app = ("--track", "app", "--tracks", "app:TRACKS")
    cli("up", *app[2:])

    assert "division by zero" in cli(*command, *app).stderr
    assert cli(*command, *app, "--ddl-lock-timeout", "0.07").stdout.startswith("rolled back 1 file")
