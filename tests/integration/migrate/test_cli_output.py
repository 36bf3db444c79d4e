"""Where the command line prints, and how it stops: pipes, terminals, full disks, signals, help."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
import typer.main

from agentrows import InvalidTrack, cli
from agentrows.migrate import Migrator, builtin_tracks, create_migration
from support.command_line import run_main
from support.postgres import as_role
from support.tracks import write_track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Server

COMMAND: Final = Path(sys.executable).parent / "agentrows"
CODES: Final = {signal.SIGTERM: 1, signal.SIGINT: 130}


@pytest.fixture
def environment(database: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    return {**ours, "AGENTROWS_DATABASE_URL": database}


def shell(script: str, environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a script in which $A is the command; return its exit code, stdout and stderr."""
    done = subprocess.run(  # noqa: S603
        ["/bin/bash", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**environment, "A": str(COMMAND)},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


def test_output_that_cannot_be_written_is_one_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    code, _, errors = shell("$A migrate status >/dev/full", environment, tmp_path)
    assert (code, errors) == (
        1,
        "agentrows: the output cannot be written: No space left on device\n",
    )
    for target in (">&-", "| head -1", "| true"):
        script = f"$A migrate status {target}"
        _, _, errors = shell(script, environment, tmp_path)
        assert "Traceback" not in errors, script
        assert "Exception ignored" not in errors, script
    code, _, _ = shell("$A migrate up 2>/dev/full >/dev/null", environment, tmp_path)
    assert code == 0
    assert shell("$A migrate verify", environment, tmp_path)[0] == 0


@pytest.mark.parametrize("variables", [{"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}, {"COLUMNS": "20"}])
def test_a_pipe_gets_tabs_in_every_environment(
    variables: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    _, out, _ = shell("$A migrate status", {**environment, **variables}, tmp_path)

    assert out.splitlines()[:2] == ["track\tapplied\tnewest\tstate", "core\t-\t7\t7 pending"]


def test_terminal_of_80_columns_shows_every_name_in_full(
    environment: dict[str, str], tmp_path: Path
) -> None:
    controller, terminal = pty.openpty()
    with subprocess.Popen(  # noqa: S603
        [COMMAND, "migrate", "dry-run"],
        cwd=tmp_path,
        env={**environment, "COLUMNS": "80", "TERM": "xterm"},
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    ):
        os.close(terminal)
        shown = b""
        while True:
            try:
                part = os.read(controller, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
    os.close(controller)
    lines = shown.decode().splitlines()

    folder = builtin_tracks()[0].directory.parent
    names = [
        path.name for track in ("core", "agentrows") for path in (folder / track).glob("*.up.sql")
    ]
    assert names
    for name in names:
        assert sum(f"/{name}  " in line for line in lines) == 1, name
    assert max(map(len, lines)) <= 80
    assert sum("allow no transaction" in line for line in lines) == 1


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGINT], [signal.SIGINT] * 2])
def test_signal_rolls_back_and_ends_in_one_line(
    signals: list[signal.Signals], environment: dict[str, str], database: str, tmp_path: Path
) -> None:
    write_track(tmp_path, "app", "CREATE TABLE note (id int); SELECT pg_sleep(60);")
    (tmp_path / "app.py").write_text(
        "from pathlib import Path\nfrom agentrows.migrate import Track\n"
        "TRACKS = [Track('app', Path('app'), 'app_versions')]\n"
    )
    process = subprocess.Popen(  # noqa: S603
        [COMMAND, "migrate", "up", "--tracks", "app:TRACKS"],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    while "app/000001_step.up.sql" not in process.stderr.readline():
        pass
    for each in signals:
        process.send_signal(each)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == CODES[signals[0]]
    assert errors.splitlines()[-1].startswith(
        "agentrows: stopped; the open transaction was rolled back"
    )
    assert "Traceback" not in errors
    found = asyncio.run(Migrator(database, builtin_tracks()).status())
    assert not found.versions.get("core")


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its words, groups included."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:  # noqa: ANN401
        yield words, command
        for name, each in sorted(getattr(command, "commands", {}).items()):
            yield from walk(each, (*words, name))

    return walk(typer.main.get_command(cli.app), ())


@pytest.mark.parametrize("columns", ["80", "50"])
def test_help_shows_every_text_in_full(columns: str) -> None:
    seen = 0
    for words, command in commands():
        ended = run_main(*words, "--help", COLUMNS=columns, TERMINAL_WIDTH=columns, FORCE_COLOR="1")

        assert ended.code == 0
        shown = "".join(ended.out.split())
        texts = [command.help, *(getattr(each, "help", None) for each in command.params)]
        for text in filter(None, texts):
            seen += 1
            assert "".join(text.split()) in shown, (words, text)
        if "--tracks" in shown:
            assert "[tool.agentrows]" in shown
        if "--dsn" in shown and words and words[0] in ("migrate", "grants"):
            assert "AGENTROWS_MIGRATIONS_URL" in shown
    assert seen > 40


def test_version_is_printed() -> None:
    ended = run_main("--version")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("agentrows 0.")


def test_the_error_of_a_missing_right_names_agentrows_grants(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server.execute(
        "DO $$ BEGIN CREATE ROLE newcomer LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )

    ended = run_main(
        *("migrate", "up", "--dsn", as_role(database, "newcomer")),
        AGENTROWS_VECTOR_ENABLED="false",
    )

    assert ended.code == 1
    assert "`agentrows grants` prints the SQL" in ended.err.splitlines()[-1]


async def test_no_tracks_are_nothing_to_do(database: str) -> None:
    assert (await Migrator(database, []).up()).files == ()
    assert (await Migrator(database, []).apply()).files == ()
    assert (await Migrator(database, []).dry_run()).files == ()
    assert await Migrator(database, []).plan() == ()
    assert (await Migrator(database, []).status()).is_current
    assert (await Migrator(database, []).verify()).tracks == ()
    assert (await Migrator(database, []).doctor()).is_healthy
    for call in (
        Migrator(database, []).plan(track="app"),
        Migrator(database, []).goto("app", 0),
        Migrator(database, []).down("app", 1),
        Migrator(database, []).force("app", 0),
    ):
        with pytest.raises(InvalidTrack, match="there is no track 'app'"):
            await call


@pytest.mark.parametrize("name", ["Ünï", "日本", "a\u0301é", "", "--", "x" * 300])
def test_new_refuses_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    track = write_track(tmp_path, "app", "SELECT 1;")
    before = sorted(track.directory.iterdir())

    with pytest.raises(InvalidTrack, match="name"):
        create_migration(track, name)

    assert sorted(track.directory.iterdir()) == before


def test_new_leaves_no_half_pair(tmp_path: Path) -> None:
    track = write_track(tmp_path, "app", "SELECT 1;")
    long = "a" * 200

    up, down = create_migration(track, long)
    assert up.is_file()
    assert down.is_file()
