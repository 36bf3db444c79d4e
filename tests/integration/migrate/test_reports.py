"""The reports of the command line: human lines, JSON documents, and the options of a run."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest

from agentrows import InvalidValue, MigrationError
from agentrows.migrate import Migrator, Track, builtin_tracks
from support.command_line import run_main
from support.tracks import newest_versions, write_track

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.command_line import Ended

DOCUMENT: Final = Path(__file__).parents[3] / "docs/operations.md"
COMMAND: Final = Path(sys.executable).parent / "agentrows"
MODULES: Final = itertools.count(1)
UP: Final = (
    "CREATE TABLE IF NOT EXISTS note (id int);",
    "CREATE TABLE IF NOT EXISTS pin (id int); ALTER TABLE note ADD COLUMN IF NOT EXISTS body text;",
)
DOWN: Final = (
    "DROP TABLE IF EXISTS note;",
    "DROP TABLE IF EXISTS pin; ALTER TABLE note DROP COLUMN IF EXISTS body;",
)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The spec of an application's track of two files, in the working folder."""
    track = write_track(tmp_path, "app", *UP)
    for version, sql in enumerate(DOWN, start=1):
        (track.directory / f"{version:06}_step.down.sql").write_text(sql)
    name = f"reports_app_{next(MODULES)}"
    (tmp_path / f"{name}.py").write_text(
        "from pathlib import Path\nfrom agentrows.migrate import Track\n"
        'TRACKS = [Track("app", Path(__file__).parent / "app", "app_versions")]\n'
    )
    monkeypatch.chdir(tmp_path)
    return f"{name}:TRACKS"


@pytest.fixture
def migrate(database: str, module: str) -> Callable[..., Ended]:
    """Run `agentrows migrate` without vectors and with the application's track."""

    def run(*arguments: str, tracks: bool = True) -> Ended:
        return run_main(
            *("migrate", *arguments, *(("--tracks", module) if tracks else ())),
            AGENTROWS_DATABASE_URL=database,
            AGENTROWS_VECTOR_ENABLED="false",
        )

    return run


def execute(dsn: str, *statements: str) -> None:
    async def run() -> None:
        db = await asyncpg.connect(dsn)
        for statement in statements:
            await db.execute(statement)
        await db.close()

    asyncio.run(run())


def document(ended: Ended) -> dict[str, Any]:
    """Return the JSON document on stdout, which has nothing else."""
    value: dict[str, Any] = json.loads(ended.out)
    return value


RUN_KEYS: Final = ["files", "status", "not_tried"]


def test_each_report_is_one_json_document(migrate: Callable[..., Ended]) -> None:
    planned = document(migrate("plan", "--json"))
    dry = document(migrate("dry-run", "--json"))
    applied = document(migrate("up", "--json"))
    again = document(migrate("up", "--json"))

    assert [*planned] == ["files"]
    assert planned["files"][0] == {
        "track": "core",
        "file": "core/000001_initial.up.sql",
        "direction": "up",
        "heals": False,
        "in_transaction": True,
        "optional": False,
        "rebuilds": False,
        "sql": None,
    }
    assert [*dry] == [*applied] == [*again] == RUN_KEYS
    assert [*applied["files"][0]] == ["file", "duration_s", "direction"]
    assert dry["not_tried"][0] == "agentrows/000001_agent_created.up.sql"
    assert (applied["status"]["is_current"], again["files"]) == (True, [])
    status = document(migrate("status", "--json", "--check"))
    assert status == applied["status"] == document(migrate("verify", "--json"))
    assert [*status["tracks"][0]] == [
        "is_ahead",
        "name",
        "table",
        "version",
        "newest",
        "dirty",
        "moved_by",
        "pending",
        "changed",
        "unknown_applied",
        "lock_holders",
        "required",
        "lacking",
        "missing",
        "is_readable",
        "altered",
        "broken",
    ]
    newest = newest_versions()
    assert document(migrate("version", "--json")) == {
        "tracks": [
            {"name": "core", "version": newest["core"], "dirty": False},
            {"name": "agentrows", "version": newest["agentrows"], "dirty": False},
            {"name": "app", "version": 2, "dirty": False},
        ]
    }


def test_downgrades_doctor_force_and_new_print_json(
    migrate: Callable[..., Ended], tmp_path: Path
) -> None:
    migrate("up")
    down = document(migrate("down", "1", "--track", "app", "--json"))
    up = document(migrate("goto", "2", "--track", "app", "--json"))
    forced = document(migrate("force", "2", "--track", "app", "--json"))
    created = document(migrate("new", "a note", "--track", "app", "--json"))
    checkup = document(migrate("doctor", "--json"))

    assert [each["direction"] for each in (*down["files"], *up["files"])] == ["down", "up"]
    assert forced["is_current"] is True
    folder = tmp_path / "app"
    assert created == {
        "files": [
            str(folder / "000003_a_note.up.sql"),
            str(folder / "000003_a_note.down.sql"),
        ]
    }
    assert [*checkup] == [
        "is_healthy",
        "tracks",
        "invalid_indexes",
        "unindexed_memories",
        "dead_rows",
        "long_threads",
        "blocked_rollbacks",
        "superseded_indexes",
        "unchecked",
    ]
    assert [*checkup["tracks"][0]] == [
        "is_healthy",
        "name",
        "table",
        "rows",
        "status",
        "problem",
        "steps",
        "missing",
        "repair_from",
        "differences",
    ]
    assert checkup["tracks"][0]["rows"] == [{"version": 7, "dirty": False}]


def test_doctor_with_problems_prints_json_and_exits_with_1(
    migrate: Callable[..., Ended], database: str
) -> None:
    migrate("up")
    execute(
        database,
        "INSERT INTO note VALUES (1), (1)",
        "UPDATE pg_index SET indisvalid = false"
        " WHERE indexrelid = 'agentrows_agent_created'::regclass",
    )

    ended = migrate("doctor", "--json")

    assert ended.code == 1
    assert document(ended)["is_healthy"] is False
    assert document(ended)["invalid_indexes"] == [
        {"name": "public.agentrows_agent_created", "table": "agent"}
    ]


def test_failure_prints_no_document(migrate: Callable[..., Ended]) -> None:
    ended = migrate("verify", "--json")

    assert (ended.code, ended.out) == (3, "")
    assert ended.err.count("\n") == 1


def test_history_has_role_tool_and_duration_of_each_move(
    migrate: Callable[..., Ended], database: str
) -> None:
    migrate("up", "--track", "core")
    execute(database, "UPDATE schema_migrations SET version = 5")
    unrecorded = document(migrate("history", "--json"))["entries"]
    migrate("up")
    migrate("force", "1", "--track", "app")
    entries = document(migrate("history", "--json"))["entries"]
    lines = migrate("history").out.splitlines()

    assert [*entries[0]] == [
        "track",
        "version",
        "direction",
        "outcome",
        "file",
        "started_at",
        "finished_at",
        "duration_s",
        "role",
        "tool",
    ]
    assert entries[0]["role"] == "postgres"
    assert re.fullmatch(r"agentrows \d+\.\d+\.\d+", entries[0]["tool"])
    assert 0 < entries[0]["duration_s"] < 60
    assert entries[0]["finished_at"].endswith("+00:00")
    (pending,) = [each for each in unrecorded if each["outcome"] == "external"]
    (external,) = [each for each in entries if each["outcome"] == "external"]
    assert pending == {**external, "finished_at": None}
    assert (external["track"], external["version"], external["direction"]) == ("core", 5, "down")
    assert (external["role"], external["tool"]) == (None, "another tool")
    assert lines[0] == "time\ttook\tmove\trole\ttool"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d\t\d+\.\d\d s\tcore/000001_initial\.up\.sql\tpostgres"
        r"\tagentrows .*",
        lines[1],
    )
    assert re.fullmatch(r".{16}\t-\tcore to 5, down\t-\tanother tool", lines[8])
    assert re.fullmatch(r".{16}\t-\tapp to 1, forced\tpostgres\tagentrows .*", lines[-1])
    assert not [line for line in lines if "started" in line]
    only = document(migrate("history", "--json", "--track", "app"))["entries"]
    assert [each["file"] for each in only] == [
        "app/000001_step.up.sql",
        "app/000002_step.up.sql",
        None,
    ]


def test_history_of_an_empty_database_is_empty(migrate: Callable[..., Ended]) -> None:
    assert document(migrate("history", "--json")) == {"entries": []}
    assert migrate("history").out == "time\ttook\tmove\trole\ttool\n"


def test_plan_prints_the_sql_of_the_files(migrate: Callable[..., Ended]) -> None:
    migrate("up")
    migrate("down", "2", "--track", "app", "--yes")

    assert migrate("plan", "--sql").out == (
        f"-- app/000001_step.up.sql: in a transaction\n{UP[0]}\n\n"
        f"-- app/000002_step.up.sql: in a transaction\n{UP[1]}\n"
    )
    files = document(migrate("plan", "--sql", "--json"))["files"]
    assert [each["sql"] for each in files] == [*UP]
    migrate("up")
    assert migrate("plan", "--sql").out == "-- nothing to do\n"
    assert migrate("plan", "--sql", "--track", "app", "--to", "1").out.endswith(f"{DOWN[1]}\n")


def test_plan_of_a_track_has_its_files_only(migrate: Callable[..., Ended]) -> None:
    assert migrate("plan", "--track", "app").out.splitlines() == [
        "file\thow",
        "app/000001_step.up.sql\tin a transaction",
        "app/000002_step.up.sql\tin a transaction",
    ]


def test_run_is_limited_to_a_track_and_to_a_number_of_files(migrate: Callable[..., Ended]) -> None:
    first = migrate("up", "--track", "app", "--max-steps", "1")
    versions = migrate("version").out
    three = migrate("up", "--max-steps", "3")
    after = migrate("version").out

    assert first.out.startswith("applied 1 file in ")
    assert versions == "core\t0\nagentrows\t0\napp\t1\n"
    assert three.out.startswith("applied 3 files in ")
    assert after == "core\t3\nagentrows\t0\napp\t1\n"
    migrate("up", "--track", "core")
    assert migrate("version").out == "core\t7\nagentrows\t0\napp\t1\n"
    # The order of a run: transactions of all tracks, then the files without one.
    migrate("up", "--max-steps", "1")
    assert migrate("version").out == "core\t7\nagentrows\t0\napp\t2\n"
    migrate("up", "--max-steps", "2")
    assert migrate("version").out == "core\t7\nagentrows\t2\napp\t2\n"
    assert migrate("up", "--track", "cor").err.startswith("agentrows: there is no track 'cor'")
    assert migrate("up", "--max-steps", "0").code == 2


async def test_missing_index_is_built_again_in_the_chosen_track_only(database: str) -> None:
    migrator = Migrator(database, builtin_tracks(vector=False))
    await migrator.up()
    db = await asyncpg.connect(database)
    await db.execute("DROP INDEX agentrows_agent_created, agentrows_event_order")

    assert (await migrator.up(track="core")).files == ()
    planned = [planned.file for planned in await migrator.plan()]
    one = await migrator.up(max_steps=1)
    rest = [planned.file for planned in await migrator.plan()]
    built = await migrator.up(track="agentrows")

    assert planned == [
        "agentrows/000001_agent_created.up.sql",
        "agentrows/000007_event_order.up.sql",
    ]
    assert [run.file for run in one.files] == planned[:1]
    assert rest == [run.file for run in built.files] == planned[1:]
    await db.close()


async def test_steps_of_a_run_are_pending_files_before_rebuilt_ones(database: str) -> None:
    migrator = Migrator(database, builtin_tracks(vector=False))
    await migrator.up(max_steps=9)  # core 7 and two indexes
    db = await asyncpg.connect(database)
    await db.execute("DROP INDEX agentrows_agent_created")

    runs = await migrator.up(max_steps=1)

    assert [run.file for run in runs.files] == ["agentrows/000003_session_user_created.up.sql"]
    await db.close()


async def test_track_that_comes_after_pending_files_is_refused(database: str) -> None:
    migrator = Migrator(database, builtin_tracks(vector=False, row_security=True))
    await migrator.up(track="core")

    with pytest.raises(MigrationError, match=r"'rls' comes after 'agentrows', which has pending"):
        await migrator.up(track="rls")

    with pytest.raises(InvalidValue, match="max_steps must be 1 or more, got 0"):
        await migrator.up(max_steps=0)


def test_statement_timeout_ends_a_file(migrate: Callable[..., Ended], tmp_path: Path) -> None:
    (tmp_path / "app" / "000002_step.up.sql").write_text("SELECT pg_sleep(30);")

    ended = migrate("up", "--statement-timeout", "0.3")

    assert ended.code == 1
    assert "app/000002_step.up.sql" in ended.err.splitlines()[-1]
    assert "statement timeout" in ended.err.splitlines()[-1]
    assert migrate("version").out.startswith("core\t0\n")
    assert migrate("up", "--statement-timeout", "nan").code == 2


async def test_statement_timeout_of_the_option_overrides_the_dsn(
    database: str, tmp_path: Path
) -> None:
    track = write_track(tmp_path, "app", "SELECT pg_sleep(0.3);")
    impatient = f"{database}&statement_timeout=100ms"

    report = await Migrator(impatient, [track], statement_timeout_s=60).up()

    assert len(report.files) == 1
    for wrong in (0, -1, float("nan"), True):
        with pytest.raises(InvalidValue, match="statement_timeout_s"):
            Migrator(database, [track], statement_timeout_s=wrong)


def test_downgrade_that_drops_rows_is_refused_without_yes(
    migrate: Callable[..., Ended], database: str
) -> None:
    migrate("up")
    execute(database, "INSERT INTO note VALUES (1)")

    one = migrate("down", "1", "--track", "app")
    all_of_it = migrate("goto", "0", "--track", "app")
    kept = migrate("version").out
    confirmed = migrate("goto", "0", "--track", "app", "--yes")

    assert (one.code, one.out) == (4, "")
    assert one.err.splitlines() == [
        "app/000002_step.down.sql drops the column body of note, which has rows",
        "agentrows: refused without --yes; nothing was changed",
    ]
    assert all_of_it.code == 4
    assert "app/000001_step.down.sql drops the table note, which has rows" in all_of_it.err
    assert kept.endswith("app\t2\n")
    assert confirmed.code == 0
    assert migrate("version").out.endswith("app\t0\n")


def test_downgrade_of_empty_tables_needs_no_answer(migrate: Callable[..., Ended]) -> None:
    migrate("up")

    assert migrate("down", "2", "--track", "app").code == 0
    assert migrate("goto", "2", "--track", "app").code == 0


@pytest.mark.parametrize(
    ("answer", "code", "version"), [("y\n", 0, 1), ("n\n", 1, 2), ("\n", 1, 2)]
)
def test_downgrade_asks_on_a_terminal(
    answer: str, code: int, version: int, migrate: Callable[..., Ended], database: str
) -> None:
    migrate("up")
    execute(database, "INSERT INTO pin VALUES (1)")
    (module,) = Path.cwd().glob("reports_app_*.py")
    tracks = f"{module.stem}:TRACKS"
    arguments = ["migrate", "down", "1", "--track", "app", "--tracks", tracks]

    ended, shown = on_terminal(arguments, database, answer)

    assert "drops the table pin, which has rows" in shown
    assert "Delete these rows? [y/N]" in shown
    assert ended == code
    assert migrate("version").out.endswith(f"app\t{version}\n")


def on_terminal(arguments: list[str], database: str, answer: str = "") -> tuple[int, str]:
    """Run a command on a terminal of 80 columns; return its exit code and what it shows."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    variables = {
        "AGENTROWS_DATABASE_URL": database,
        "AGENTROWS_VECTOR_ENABLED": "false",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "TERM": "xterm",
    }
    controller, terminal = pty.openpty()
    with subprocess.Popen(  # noqa: S603  our own command
        [COMMAND, *arguments],
        env={**ours, **variables},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    ) as process:
        os.close(terminal)
        os.write(controller, answer.encode())
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            shown += part
        code = process.wait(60)
    os.close(controller)
    return code, shown.decode().replace("\r\n", "\n")


def test_reports_fit_a_terminal_of_80_columns(migrate: Callable[..., Ended], database: str) -> None:
    _, planned = on_terminal(["migrate", "plan"], database)
    migrate("up")
    _, history = on_terminal(["migrate", "history"], database)
    _, sizes = on_terminal(["stats"], database)

    for shown, name in (
        (planned, "agentrows/000015_session_user_agent_created.up.sql"),
        (history, "agentrows/000015_session_user_agent_created.up.sql"),
        (sizes, "agentrows_feedback_target"),
    ):
        assert [line for line in shown.splitlines() if len(line) > 80] == []
        assert sum(name in line for line in shown.splitlines()) == 1
        assert "\x1b" not in shown
    assert history.splitlines()[0].startswith("postgres, agentrows ")
    assert len({line for line in history.splitlines() if line.endswith(":")}) == 1


def test_reports_of_a_damaged_database_fit_a_terminal(
    migrate: Callable[..., Ended], database: str
) -> None:
    migrate("up")
    execute(
        database,
        "DROP INDEX agentrows_event_order, idx_session_name",
        "ALTER TABLE task DROP COLUMN protocol_version",
        "ALTER TABLE feedback ALTER COLUMN is_positive DROP DEFAULT",
        "CREATE POLICY open ON task USING (user_id <> '' OR " + " OR ".join(["true"] * 60) + ")",
    )
    _, planned = on_terminal(["migrate", "plan"], database)
    _, status = on_terminal(["migrate", "status"], database)
    code, checked = on_terminal(["migrate", "doctor"], database)

    assert code == 1
    for shown in (planned, status, checked):
        assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert " ".join(planned.split()) == (
        "file how agentrows/000007_event_order.up.sql again, because an object of it is missing or"
        " changed, no transaction, optional"
    )
    words = " ".join(checked.split())
    assert "core missing index idx_session_name of session" in words
    assert "core/000007_task_owner.down.sql fails while policies use task.user_id: open on" in words
    assert "agentrows_event_order of event" in words


def test_example_of_a_repair_in_the_document_is_the_output(database: str, tmp_path: Path) -> None:
    section = DOCUMENT.read_text().partition("### Example of a repair")[2].partition("\n##")[0]
    blocks = "\n".join(re.findall(r"```console\n(.*?)\n```", section, re.DOTALL)).split("$ ")[1:]
    expected = {command: text for command, _, text in (block.partition("\n") for block in blocks)}
    track = write_track(tmp_path, "app", "CREATE TABLE IF NOT EXISTS note (id int);")
    asyncio.run(Migrator(database, [*builtin_tracks(), track]).up())
    (tmp_path / "repair_app.py").write_text(
        "from pathlib import Path\nfrom agentrows.migrate import Track\n"
        'TRACKS = [Track("app", Path(__file__).parent / "app", "app_versions")]\n'
    )
    execute(
        database,
        "DROP INDEX agentrows_event_order",
        "ALTER TABLE feedback ALTER COLUMN is_positive DROP DEFAULT",
    )
    variables = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")},
        "AGENTROWS_DATABASE_URL": database,
        "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
    }
    for command, text in expected.items():
        if statement := re.fullmatch("psql -c '(.+)'", command):
            execute(database, statement[1])
            continue
        # Those of migrate read the tracks of the application.
        line = re.sub(r"^(agentrows migrate \w+)", r"\1 --tracks repair_app:TRACKS", command)
        shown = subprocess.run(  # noqa: S602  the document's own commands
            f"{line} 2>&1",
            shell=True,
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        assert mask(shown) == mask(text), command


def mask(shown: str) -> str:
    """Replace the times, sizes, versions, roles and tables, which differ between runs."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "TIME", shown.strip())
    text = re.sub(r"[\d.]+ (s|B|kB)\b", "SIZE", text)
    text = re.sub(r"\tversion\t\d+", "\tversion\tN", text)
    text = re.sub(r"^\w+(?=\tSIZE\tSIZE)", "TABLE", text, flags=re.MULTILINE)
    return re.sub(r"\t\w+(\tagentrows [\w.]+)$", r"\tROLE\1", text, flags=re.MULTILINE)


def commands() -> list[list[str]]:
    """Return the arguments of each command that reports, without those for its work."""
    names = ["up", "status", "version", "history", "verify", "plan", "dry-run", "doctor"]
    names += ["down", "goto", "force", "new"]
    others = [["stats"], ["prune"], ["memory", "index"], ["memory", "indexes"], ["memory", "copy"]]
    return [["migrate", name] for name in names] + others + [["import", "langgraph"]]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_help_has_examples_and_exit_codes_at_80_columns(command: list[str]) -> None:
    shown = run_main(*command, "--help", COLUMNS="80").out

    assert max(map(len, shown.splitlines())) <= 80
    assert f"  agentrows {' '.join(command)}" in shown.partition("Examples:\n")[2]
    assert "Exit codes: 0 " in shown
    assert "--json" in shown


def test_track_object_is_no_value_of_json() -> None:
    from agentrows.cli.json_output import to_json  # noqa: PLC0415

    with pytest.raises(TypeError, match="object is not a value of JSON"):
        to_json({"a": [object()]})


def test_losses_are_those_of_tables_with_rows(database: str, tmp_path: Path) -> None:
    track = Track("app", tmp_path / "app", "app_versions", schema="app")
    write_track(tmp_path, "app", 'CREATE TABLE "Note" (id int); CREATE TABLE pin (id int);')
    (tmp_path / "app" / "000001_step.down.sql").write_text('DROP TABLE "Note", pin, gone CASCADE;')
    migrator = Migrator(database, [track])
    asyncio.run(migrator.up())
    execute(database, 'INSERT INTO app."Note" VALUES (1)')

    losses = asyncio.run(migrator.find_losses("app"))

    assert [(loss.file, loss.table, loss.column) for loss in losses] == [
        ("app/000001_step.down.sql", "Note", None)
    ]


REFERENCING: Final = {("child", None), ("shop.grandchild", None), ("branch", None)}
"""The tables with rows that reference the table parent, directly or not."""
DOWN_LOSSES: Final = (
    (
        "DROP SCHEMA IF EXISTS shop CASCADE",
        {("shop.item", None), ("shop.grandchild", None), ("person", "mood")},
    ),
    ('DROP SCHEMA "shop"', set[object]()),  # fails on a schema with tables
    ("DROP EXTENSION vector CASCADE", {("person", "tags")}),
    ("DROP EXTENSION vector", set[object]()),
    ("DROP TYPE level, shop.mood CASCADE", {("person", "mood"), ("person", "grade")}),
    ("DROP DOMAIN short CASCADE", {("person", "nick")}),
    ("TRUNCATE TABLE ONLY person, parent RESTART IDENTITY", {("person", None)}),
    ("TRUNCATE parent", set[object]()),  # fails on a table that another one references
    ("TRUNCATE person, ONLY parent RESTART IDENTITY CASCADE", {("person", None), *REFERENCING}),
    ("WITH old AS (DELETE FROM ONLY person RETURNING id) SELECT 1", {("person", None)}),
    ("DROP TABLE IF EXISTS part_1", {("part_1", None)}),
    ("DROP TABLE whole", {("whole", None)}),
    ("DROP VIEW seen; DROP MATERIALIZED VIEW kept", set[object]()),
    ("ALTER TABLE person ALTER COLUMN id TYPE bigint USING id::bigint", set[object]()),
    ("DELETE FROM person; DROP TABLE person CASCADE", {("person", None)}),
)
LOSSES_UP: Final = """
    CREATE EXTENSION vector;
    CREATE SCHEMA shop;
    CREATE TYPE shop.mood AS ENUM ('calm');
    CREATE TYPE level AS ENUM ('one');
    CREATE DOMAIN short AS text;
    CREATE TABLE shop.item (id int);
    CREATE TABLE shop.empty (id int);
    CREATE TABLE person (id int, mood shop.mood, grade level[], nick short, tags vector(3));
    CREATE TABLE parent (id int PRIMARY KEY);
    CREATE TABLE child (id int PRIMARY KEY, parent_id int REFERENCES parent, next int);
    ALTER TABLE child ADD FOREIGN KEY (next) REFERENCES child;
    CREATE TABLE shop.grandchild (child_id int REFERENCES child);
    CREATE TABLE branch (id int, parent_id int REFERENCES parent) PARTITION BY RANGE (id);
    CREATE TABLE branch_1 PARTITION OF branch FOR VALUES FROM (0) TO (9);
    CREATE TABLE childless (id int REFERENCES child);
    CREATE TABLE whole (id int) PARTITION BY RANGE (id);
    CREATE TABLE part_1 PARTITION OF whole FOR VALUES FROM (0) TO (9);
    CREATE VIEW seen AS SELECT id FROM parent;
    CREATE MATERIALIZED VIEW kept AS SELECT id FROM whole;
    INSERT INTO shop.item VALUES (1);
    INSERT INTO branch VALUES (1);
    INSERT INTO child VALUES (1);
    INSERT INTO shop.grandchild VALUES (NULL);
    INSERT INTO person VALUES (1);
    INSERT INTO whole VALUES (1);
    REFRESH MATERIALIZED VIEW kept;
"""


def test_losses_include_rows_that_other_statements_delete(database: str, tmp_path: Path) -> None:
    track = write_track(tmp_path, "app", LOSSES_UP)
    migrator = Migrator(database, [track])
    asyncio.run(migrator.up())

    for sql, expected in DOWN_LOSSES:
        (track.directory / "000001_step.down.sql").write_text(f"{sql};")
        losses = asyncio.run(migrator.find_losses("app"))
        assert {(loss.table, loss.column) for loss in losses} == expected, sql
        is_kept = sql.startswith(("TRUNCATE", "WITH"))
        assert {loss.is_kept for loss in losses} <= {is_kept}, sql
        verb = "deletes rows of the table" if is_kept else "drops the "
        assert all(f"000001_step.down.sql {verb}" in loss.describe() for loss in losses)
