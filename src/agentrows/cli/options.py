"""What every command of `agentrows migrate` takes: a database and tracks; and how one runs."""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from agentrows import migrate
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.db.pool import wait_until_ready
from agentrows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from agentrows.cli.show import Progress
    from agentrows.config import Password, Settings
    from agentrows.migrate import Track

T = TypeVar("T")

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


TrackName = Annotated[str, typer.Option("--track", help="The track, by name.")]
LockTimeout = Annotated[
    float,
    typer.Option(help="How many seconds to wait for another runner.", min=0),
]
DdlLockTimeout = Annotated[
    float,
    typer.Option(help="How many seconds a statement waits for a table in use.", min=0.001),
]


def run(work: Coroutine[Any, Any, T], progress: Progress | None = None) -> T:
    """Run it to its end; SIGTERM cancels it, so that a transaction is rolled back at once."""

    async def until_terminated() -> T:
        task = asyncio.ensure_future(work)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        ticks = asyncio.ensure_future(progress.tick()) if progress else None
        try:
            return await task
        finally:
            if ticks:
                ticks.cancel()

    return asyncio.run(until_terminated())


async def reach(
    dsn: str | None, settings: Settings, *, wait: bool = False
) -> tuple[str, Password | None]:
    """Return the DSN and where its password comes from; with `wait`, when the server answers.

    For a command that only looks, a server that is down is an answer too, so nothing waits.
    """
    found = settings.resolve_migrations_dsn(dsn)
    password = settings.resolve_password(found)
    if wait:
        return await wait_until_ready(found, settings, password=password), password
    return (await start_embedded(found) if is_embedded(found) else found), password


def known_tracks(
    settings: Settings, spec: str | None, *, named: str | None = None
) -> tuple[Track, ...]:
    """Return the built-in tracks, then the application's.

    Those of the policies are among them if the settings, or the track that is `named`, ask for it.
    """
    return (
        *migrate.builtin_tracks(
            vector=settings.vector_enabled,
            row_security=settings.row_security or named in migrate.ROW_SECURITY,
        ),
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
