"""The command line: `agentrows migrate …`, `memory …`, `import …`, `prune`, `stats` and others.

Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed, 2 usage,
3 pending, behind or incomplete, 4 refused without --yes, 130 interrupted by Ctrl-C.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import errno
import io
import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

import asyncpg
import typer

from agentrows._version import __version__
from agentrows.cli.grants import USE as GRANTS_USE
from agentrows.cli.grants import print_grants
from agentrows.cli.help_texts import describe_use
from agentrows.cli.imports import import_commands
from agentrows.cli.memory import memory_commands
from agentrows.cli.migrate import migrations
from agentrows.cli.options import DemoDsn, Interrupted
from agentrows.cli.prune import USE as PRUNE_USE
from agentrows.cli.prune import prune_rows
from agentrows.cli.stats import USE as STATS_USE
from agentrows.cli.stats import show_stats
from agentrows.db.embedded import SCHEME
from agentrows.errors import AgentRowsError, SchemaBehind

if TYPE_CHECKING:
    from types import FrameType

FAILED: Final = 1
BEHIND: Final = 3
INTERRUPTED: Final = 130
STOPPED: Final = (
    "stopped; the open transaction was rolled back, and the next `agentrows migrate up` runs an "
    "interrupted file without a transaction again"
)
CURE_FOR_RIGHTS: Final = "`agentrows grants` prints the SQL that gives the roles their rights"
OUTPUT_ERRORS: Final = (errno.EBADF, errno.EIO, errno.ENOSPC, errno.EPIPE)
DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)

app = typer.Typer(
    name="agentrows",
    help="The typed Postgres data layer for AI-agent platforms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # help texts have [brackets], and long names that rich cuts off
)
app.add_typer(migrations, name="migrate")
app.add_typer(memory_commands, name="memory")
app.add_typer(import_commands, name="import")
app.command("prune", epilog=PRUNE_USE)(prune_rows)
app.command("stats", epilog=STATS_USE)(show_stats)
app.command("grants", epilog=GRANTS_USE)(print_grants)


def main() -> None:
    """Run the command line; an error becomes one line on stderr and an exit code."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("agentrows").setLevel(logging.INFO)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the terminal may be ASCII
    signal.signal(signal.SIGINT, _interrupt)
    try:
        app()
    except SchemaBehind as error:
        _fail(_with_cure(error), BEHIND)
    except AgentRowsError as error:
        _fail(_with_cure(error), FAILED)
    except DRIVER_ERRORS as error:
        _fail(_describe(error), FAILED)
    except OSError as error:
        if error.errno not in OUTPUT_ERRORS:
            _fail(str(error), FAILED)
        _abandon_output()
        _fail(f"the output cannot be written: {error.strerror}", FAILED)
    except asyncio.CancelledError as error:
        _fail(str(error) or STOPPED, FAILED)
    except Interrupted as error:
        _fail(str(error) or STOPPED, INTERRUPTED)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Interrupted


def _version(value: bool) -> None:  # noqa: FBT001  typer calls it like this
    if value:
        typer.echo(f"agentrows {__version__}")
        raise typer.Exit


@app.callback(help="The typed Postgres data layer for AI-agent platforms.")
def handle_options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """Handle the options before a command."""


@app.command("demo", epilog=describe_use("agentrows demo", codes="0 done, 1 failed"))
def show_demo(dsn: DemoDsn = None) -> None:
    """Run a demo with sample documents on an embedded PostgreSQL.

    It stores, lists, searches and prunes them. With --dsn the demo runs on that database:
    it applies pending migrations, and its rows stay.
    """
    from agentrows.cli.demo import run_demo  # noqa: PLC0415  the client is slow to import

    if dsn is None:
        folder = Path(tempfile.mkdtemp(prefix="agentrows-"))
        # Handlers run last in, first out: the server, started later, is stopped before this.
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        dsn = f"{SCHEME}//{folder}"
    asyncio.run(run_demo(dsn))


def _with_cure(error: AgentRowsError) -> str:
    """Return an error's message; if the role lacks a right, with the command that helps."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, asyncpg.InsufficientPrivilegeError):
            return f"{error}; {CURE_FOR_RIGHTS}"
        cause = cause.__cause__
    return str(error)


def _describe(error: Exception) -> str:
    """Return the message of an error that is no AgentRowsError, without rows that it may quote."""
    message = str(error.args[0]) if error.args else type(error).__name__
    if isinstance(error, asyncpg.PostgresError):
        return f"the server returned an error: {message} (SQLSTATE {error.sqlstate})"
    return f"the server's answer cannot be read: {message}"


def _abandon_output() -> None:
    """Discard the buffered output, so that the exit does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _fail(message: str, code: int) -> NoReturn:
    """Print one line on stderr and exit; from here on Ctrl-C has no effect."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = "".join(each if each.isprintable() else " " for each in message)
    with contextlib.suppress(OSError):
        typer.echo(f"agentrows: {' '.join(line.split())}", err=True)
    sys.exit(code)
