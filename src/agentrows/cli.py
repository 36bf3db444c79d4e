"""The command line: `agentrows migrate up | status | verify` and `agentrows demo`.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage,
3 pending or behind.
"""

from __future__ import annotations

import asyncio
import atexit
import dataclasses
import importlib
import json
import logging
import os
import runpy
import shutil
import signal
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from agentrows import migrate
from agentrows.config import Settings
from agentrows.db.embedded import SCHEME, is_embedded, start_embedded
from agentrows.db.pool import wait_until_ready
from agentrows.errors import AgentRowsError, ConfigError, SchemaBehind

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentrows.migrate import FileRun, Status, Track, TrackStatus

FAILED: Final = 1
BEHIND: Final = 3

T = TypeVar("T")

app = typer.Typer(
    name="agentrows",
    help="The typed Postgres data layer for AI-agent platforms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
migrations = typer.Typer(help="Bring a database's schema up, or look at it.", no_args_is_help=True)
app.add_typer(migrations, name="migrate")

Dsn = Annotated[
    str | None,
    typer.Option(
        help="The database; without it AGENTROWS_DATABASE_URL_FILE or AGENTROWS_DATABASE_URL.",
        show_default=False,
    ),
]
Tracks = Annotated[
    str | None,
    typer.Option(
        help="The application's own tracks, as package.module:NAME; without it "
        "`[tool.agentrows] tracks` in ./pyproject.toml.",
        show_default=False,
    ),
]


def main() -> None:
    """Run the command line, and turn our errors into one line and an exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("agentrows").setLevel(logging.INFO)
    try:
        app()
    except SchemaBehind as error:
        _fail(str(error), BEHIND)
    except AgentRowsError as error:
        _fail(str(error), FAILED)
    except (asyncio.CancelledError, KeyboardInterrupt):
        _fail("stopped; what had not been committed was rolled back", FAILED)


@migrations.command()
def up(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Apply every pending migration of every track, in one transaction."""
    settings = Settings.load()
    known = _tracks(settings, tracks)

    async def work() -> migrate.Report:
        ready = await wait_until_ready(settings.resolve_dsn(dsn), settings)
        return await migrate.up(ready, known, on_progress=_tell)

    report = _run(work())
    seconds = sum(file.duration_s or 0 for file in report.files)
    count = len(report.files)
    typer.echo(
        f"applied {count} file{'s'[: count != 1]} in {seconds:.3f} s" if count else "nothing to do"
    )


@migrations.command()
def status(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 if files are pending.")
    ] = False,
) -> None:
    """Show where the database stands; this only reads."""
    settings = Settings.load()
    known = _tracks(settings, tracks)

    async def work() -> Status:
        return await migrate.status(await _resolve(dsn, settings), known)

    found = _run(work())
    if as_json:
        typer.echo(json.dumps(_as_json(found), indent=2))
    else:
        _show(found)
    if check and not found.is_current:
        sound = not any(track.dirty or track.changed for track in found.tracks)
        raise typer.Exit(BEHIND if sound else FAILED)


@migrations.command()
def verify(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Exit with 3 if the database lacks a migration; this only reads."""
    settings = Settings.load()
    known = _tracks(settings, tracks)

    async def work() -> Status:
        return await migrate.verify(await _resolve(dsn, settings), known)

    _show(_run(work()))


@app.command()
def demo(dsn: Dsn = None) -> None:
    """Store, list, search and prune this project's documents, on an embedded PostgreSQL.

    With --dsn on a database of yours: its schema is brought up, and the demo's rows stay there.
    """
    if dsn is None:
        folder = Path(tempfile.mkdtemp(prefix="agentrows-"))
        # Handlers run last in, first out: the server, started later, is stopped before this.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        dsn = f"{SCHEME}//{folder}/postgres"
    os.environ["AGENTROWS_DATABASE_URL"] = dsn
    runpy.run_path(str(_quickstart()), run_name="__main__")


def _quickstart() -> Path:
    """Return the quickstart's path, in an installed wheel or in a checkout."""
    package = Path(__file__).parent
    installed = package / "quickstart.py"
    return installed if installed.exists() else package.parents[1] / "examples" / "quickstart.py"


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end; SIGTERM cancels it, so that a transaction is rolled back at once."""

    async def until_terminated() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    return asyncio.run(until_terminated())


async def _resolve(dsn: str | None, settings: Settings) -> str:
    """Return the DSN to look at. A server that is down is an answer too, so nothing waits."""
    found = settings.resolve_dsn(dsn)
    return await start_embedded(found) if is_embedded(found) else found


def _tracks(settings: Settings, spec: str | None) -> tuple[Track, ...]:
    """Return the built-in tracks, then the application's."""
    return (
        *migrate.builtin_tracks(vector=settings.vector_enabled),
        *_application_tracks(spec or _spec_in(Path("pyproject.toml"))),
    )


def _spec_in(pyproject: Path) -> str | None:
    if not pyproject.is_file():
        return None
    try:
        tool = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{pyproject} is not TOML: {error}") from error
    spec = tool.get("agentrows", {}).get("tracks")
    return None if spec is None else str(spec)


def _application_tracks(spec: str | None) -> tuple[Track, ...]:
    """Import the tracks that a spec names; raise ConfigError if there are none."""
    if spec is None:
        return ()
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"tracks: {spec!r} is not of the form package.module:NAME")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"tracks: {spec!r} cannot be imported: {error}") from error
    tracks = tuple(found)
    if not all(isinstance(track, migrate.Track) for track in tracks):
        raise ConfigError(f"tracks: {spec!r} is not a sequence of agentrows.migrate.Track")
    return tracks


def _tell(run: FileRun) -> None:
    took = "" if run.duration_s is None else f" done in {run.duration_s:.3f} s"
    typer.echo(f"{run.file}{took}", err=True)


def _show(found: Status) -> None:
    """Print a table to a terminal, and lines with tabs to everything else."""
    head = ("track", "applied", "newest", "state")
    rows = [
        (track.name, str(track.version or "-"), str(track.newest), _state(track))
        for track in found.tracks
    ]
    console = Console()
    if not console.is_terminal:
        for row in (head, *rows):
            typer.echo("\t".join(row))
        return
    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _state(track: TrackStatus) -> str:
    words = {
        "dirty: an earlier run broke off": track.dirty,
        "an applied file was changed": track.changed is not None,
        "ahead of this release": track.is_ahead,
        f"{len(track.pending)} pending": bool(track.pending),
    }
    state = ", ".join(word for word, holds in words.items() if holds) or "current"
    return f"{state} (moved by another tool)" if track.moved_by == "another tool" else state


def _as_json(found: Status) -> dict[str, object]:
    return {
        "is_current": found.is_current,
        "tracks": [
            {**dataclasses.asdict(track), "is_ahead": track.is_ahead} for track in found.tracks
        ],
    }


def _fail(message: str, code: int) -> None:
    typer.echo(f"agentrows: {' '.join(message.split())}", err=True)
    sys.exit(code)
