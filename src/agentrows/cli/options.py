"""Options of several commands, the tracks that they name, and the run of a migrator."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol, TypeVar, cast

import asyncpg
import typer

from agentrows.cli.output import Progress
from agentrows.config import Settings
from agentrows.db.connect import wait_until_ready
from agentrows.db.embedded import is_embedded, start_embedded
from agentrows.errors import ConfigError, InvalidTrack, MigrationError
from agentrows.migrate import ROW_SECURITY, Migrator, Track, builtin_tracks
from agentrows.migrate.arguments import LONGEST_TIMEOUT_S
from agentrows.named_objects import import_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from agentrows.config import Password

T = TypeVar("T")
IMMUTABLE: Final = "are immutable"
"""The driver's message if an attribute of an error with an SQLSTATE for warnings is set."""


class Ticking(Protocol):
    """The display of a run's progress."""

    async def tick(self) -> None:
        """Print the progress from time to time until the task is cancelled."""
        ...


def check_finite(value: float | None) -> float | None:
    """Raise BadParameter for NaN, which passes every range check of the option."""
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


AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON; its keys are in docs/operations.md.")
]
TrackName = Annotated[str, typer.Option("--track", help="The name of the track.")]
LockTimeout = Annotated[
    float,
    typer.Option(
        help="Seconds to wait for another runner.",
        min=0,
        max=LONGEST_TIMEOUT_S,
        callback=check_finite,
    ),
]
DdlLockTimeout = Annotated[
    float,
    typer.Option(
        help="Seconds that a statement waits for a table in use.",
        min=0.001,
        max=LONGEST_TIMEOUT_S,
        callback=check_finite,
    ),
]

StatementTimeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds that a statement may run, a build of an index included. The default is the "
        "limit in the DSN, or none.",
        min=0.001,
        max=LONGEST_TIMEOUT_S,
        callback=check_finite,
        show_default=False,
    ),
]
OneTrack = Annotated[
    str | None, typer.Option("--track", help="Only this track.", show_default=False)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before rows are deleted.")]


def on_database(  # noqa: PLR0913  one keyword per option
    act: Callable[[Migrator], Awaitable[T]],
    dsn: str | None,
    tracks: str | None,
    *,
    track: str | None = None,
    lock_timeout_s: float = 60.0,
    ddl_lock_timeout_s: float = 5.0,
    statement_timeout_s: float | None = None,
    waits: bool = False,
) -> T:
    """Call a method of a migrator that has the options of a command; return the result.

    `track` is the name of the track in the command. With `waits`, the server may still be starting.
    """
    settings = Settings.load()
    known = find_tracks(settings, tracks, name=track)
    progress = Progress()

    async def work() -> T:
        target, password = await resolve_target(dsn, settings, waits=waits)
        migrator = Migrator(
            target,
            known,
            password=password,
            lock_timeout_s=lock_timeout_s,
            ddl_lock_timeout_s=ddl_lock_timeout_s,
            statement_timeout_s=statement_timeout_s,
            on_progress=progress.report,
        )
        return await act(migrator)

    return run_until_signal(work(), progress)


def run_until_signal(work: Coroutine[Any, Any, T], progress: Ticking) -> T:
    """Run a coroutine; SIGTERM and SIGINT cancel it, which rolls a transaction back at once.

    Raises Interrupted after SIGINT, CancelledError after SIGTERM.
    """
    is_interrupted = False

    async def until_terminated() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_handle_callback_error)

        def interrupt() -> None:
            nonlocal is_interrupted
            is_interrupted = True
            task.cancel()

        with contextlib.suppress(NotImplementedError):  # Windows: asyncio handles Ctrl-C itself
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
            loop.add_signal_handler(signal.SIGINT, interrupt)
        ticks = asyncio.ensure_future(progress.tick())
        try:
            return await task
        finally:
            ticks.cancel()

    try:
        return asyncio.run(until_terminated())
    except (asyncpg.PostgresWarning, TypeError) as error:
        # The driver's class for an error with the SQLSTATE of a warning has immutable instances, so
        # each context manager that it passes raises TypeError instead.
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


def _handle_callback_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an error of a callback, except that of the driver about an immutable error.

    The statement of that connection raises an error of its own.
    """
    error = context.get("exception")
    if not (isinstance(error, TypeError) and IMMUTABLE in str(error)):
        loop.default_exception_handler(context)


class Interrupted(BaseException):
    """Ctrl-C was pressed. Not KeyboardInterrupt, which typer turns into a silent exit.

    The message, if there is one, describes the state that the command leaves behind.
    """


async def resolve_target(
    dsn: str | None, settings: Settings, *, waits: bool
) -> tuple[str, Password | None]:
    """Return the DSN and its password; with `waits`, after the server answers.

    A command that only reads does not wait: a server that is down is an error then.
    """
    resolved = settings.resolve_migrations_dsn(dsn)
    password = settings.resolve_password(resolved)
    if waits:
        return await wait_until_ready(resolved, settings, password=password), password
    return (await start_embedded(resolved) if is_embedded(resolved) else resolved), password


def find_tracks(
    settings: Settings, spec: str | None, *, name: str | None = None
) -> tuple[Track, ...]:
    """Return the built-in tracks, then the application's.

    The tracks of the row-level security policies are included if the settings switch them on, or
    if `name` is one of them. Raises InvalidTrack if no track has the name `name`.
    """
    tracks = (
        *builtin_tracks(
            vector=settings.vector_enabled,
            row_security=settings.row_security or name in ROW_SECURITY,
        ),
        *_application_tracks(spec or _spec_in(Path("pyproject.toml"))),
    )
    names = [track.name for track in tracks]
    if name is not None and name not in names:
        raise InvalidTrack(f"there is no track {name!r}; there are: {', '.join(names)}")
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
            raise ConfigError(f"{pyproject}: `{name}` must be a table, for [tool.agentrows]")
    spec = cast("dict[str, object]", section).get("tracks")
    if not (spec is None or isinstance(spec, str)):
        raise ConfigError(f"{pyproject}: tracks in [tool.agentrows] must be text, module:NAME")
    return spec


def import_from_working_folder(spec: str, *, source: str) -> object:
    """Return the object that a spec names; its module may be in the working folder."""
    with contextlib.suppress(FileNotFoundError):  # the folder was removed
        sys.path.insert(0, str(Path.cwd()))
    return import_object(spec, source=source)


def _application_tracks(spec: str | None) -> tuple[Track, ...]:
    """Import the tracks of a spec `package.module:NAME`; raise ConfigError if that fails."""
    if spec is None:
        return ()
    value = import_from_working_folder(spec, source="tracks")
    if not isinstance(value, list | tuple):
        raise ConfigError(
            f"tracks: {spec!r} must be a list of agentrows.migrate.Track, "
            f"not {type(value).__name__}"
        )
    tracks = cast("Sequence[object]", value)
    for track in tracks:
        if not isinstance(track, Track):
            raise ConfigError(
                f"tracks: {spec!r} must be a list of agentrows.migrate.Track; it contains "
                f"{type(track).__name__}"
            )
    return tuple(cast("Sequence[Track]", tracks))
