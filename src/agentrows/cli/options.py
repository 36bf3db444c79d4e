"""Options that several commands have, the tracks they name, and the loop that runs a command."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import math
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast

import asyncpg
import typer

from agentrows import migrate
from agentrows.db.connect import wait_until_ready
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.errors import ConfigError, InvalidTrack, MigrationError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from agentrows.cli.output import Progress
    from agentrows.config import Password, Settings
    from agentrows.migrate import Track

T = TypeVar("T")

LONGEST_TIMEOUT_S: Final = 2_000_000.0
"""PostgreSQL keeps a timeout as a 32-bit number of milliseconds, which is 24 days."""


def check_finite(value: float | None) -> float | None:
    """Refuse NaN, which is within every range."""
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number of seconds")
    return value


Dsn = Annotated[
    str | None,
    typer.Option(
        help="The database. The default is the value of AGENTROWS_MIGRATIONS_URL, else the content "
        "of the file AGENTROWS_DATABASE_URL_FILE, else the value of AGENTROWS_DATABASE_URL.",
        show_default=False,
    ),
]
DemoDsn = Annotated[
    str | None,
    typer.Option(
        help="The database. The default is an embedded PostgreSQL in a temporary folder.",
        show_default=False,
    ),
]
Tracks = Annotated[
    str | None,
    typer.Option(
        help="The application's own tracks, as package.module:NAME. The default is `tracks` in the "
        "section [tool.agentrows] of ./pyproject.toml.",
        show_default=False,
    ),
]


TrackName = Annotated[str, typer.Option("--track", help="The track, by name.")]
LockTimeout = Annotated[
    float,
    typer.Option(
        help="How many seconds to wait for another runner.",
        min=0,
        max=LONGEST_TIMEOUT_S,
        callback=check_finite,
    ),
]
DdlLockTimeout = Annotated[
    float,
    typer.Option(
        help="How many seconds a statement waits for a table in use.",
        min=0.001,
        max=LONGEST_TIMEOUT_S,
        callback=check_finite,
    ),
]


def run(work: Coroutine[Any, Any, T], progress: Progress | None = None) -> T:
    """Run a coroutine; SIGTERM and SIGINT cancel it, so that a transaction is rolled back at once.

    Raises Interrupted after SIGINT, CancelledError after SIGTERM.
    """
    is_interrupted = False

    async def until_terminated() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()

        def interrupt() -> None:
            nonlocal is_interrupted
            is_interrupted = True
            task.cancel()

        with contextlib.suppress(NotImplementedError):  # Windows: asyncio handles Ctrl-C itself
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
            loop.add_signal_handler(signal.SIGINT, interrupt)
        ticks = asyncio.ensure_future(progress.tick()) if progress else None
        try:
            return await task
        finally:
            if ticks:
                ticks.cancel()

    try:
        return asyncio.run(until_terminated())
    except (asyncpg.PostgresWarning, TypeError) as error:
        # An error with the SQLSTATE of a warning has a class of the driver's whose instances are
        # immutable, so that each context manager on its way raises TypeError in its place.
        answer = error if isinstance(error, asyncpg.PostgresWarning) else error.__context__
        if not isinstance(answer, asyncpg.PostgresWarning):
            raise
        raise MigrationError(
            f"the server returned an error: {answer.args[0]} (SQLSTATE {answer.sqlstate})"
        ) from None
    except asyncio.CancelledError:
        if is_interrupted:
            raise Interrupted from None
        raise


class Interrupted(BaseException):
    """Ctrl-C was pressed. Not KeyboardInterrupt, which typer turns into a silent exit."""


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
    Raises InvalidTrack if no track has the name `named`.
    """
    tracks = (
        *migrate.builtin_tracks(
            vector=settings.vector_enabled,
            row_security=settings.row_security or named in migrate.ROW_SECURITY,
        ),
        *_application_tracks(spec or _spec_in(Path("pyproject.toml"))),
    )
    names = [track.name for track in tracks]
    if named is not None and named not in names:
        raise InvalidTrack(f"there is no track {named!r}; there are: {', '.join(names)}")
    return tracks


def _spec_in(pyproject: Path) -> str | None:
    """Return `tracks` of [tool.agentrows]; None if there is no such file, section or key."""
    try:
        if not pyproject.is_file():
            return None
        section: object = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"{pyproject} is not TOML: {error}") from error
    except OSError as error:
        raise ConfigError(f"{pyproject} cannot be read: {error.strerror}") from error
    for name in ("tool", "agentrows"):
        section = cast("dict[str, object]", section).get(name, {})
        if not isinstance(section, dict):
            raise ConfigError(f"{pyproject}: `{name}` is not a table, as [tool.agentrows] needs it")
    spec = cast("dict[str, object]", section).get("tracks")
    if not (spec is None or isinstance(spec, str)):
        raise ConfigError(f"{pyproject}: tracks in [tool.agentrows] must be text, module:NAME")
    return spec


def _application_tracks(spec: str | None) -> tuple[Track, ...]:
    """Import the tracks that a spec names; raise ConfigError if there are none."""
    if spec is None:
        return ()
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"tracks: {spec!r} is not of the form package.module:NAME")
    try:
        sys.path.insert(0, str(Path.cwd()))
        found: object = getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # the module is the application's own code
        problem = " ".join(str(error).split())
        raise ConfigError(
            f"tracks: {spec!r} cannot be imported: {type(error).__name__}: {problem}"
        ) from error
    if not isinstance(found, list | tuple):
        raise ConfigError(
            f"tracks: {spec!r} must be a list of agentrows.migrate.Track, "
            f"not {type(found).__name__}"
        )
    tracks = cast("Sequence[object]", found)
    for track in tracks:
        if not isinstance(track, migrate.Track):
            raise ConfigError(
                f"tracks: {spec!r} must be a list of agentrows.migrate.Track; it has one "
                f"{type(track).__name__}"
            )
    return tuple(cast("Sequence[Track]", tracks))
