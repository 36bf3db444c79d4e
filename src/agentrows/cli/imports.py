"""`agentrows import …`: one command per source; it reads options, runs and prints."""

from __future__ import annotations

import asyncio
import inspect
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, cast

import typer

from agentrows.cli.help_texts import describe_use
from agentrows.cli.json_output import print_json
from agentrows.cli.options import AsJson, Interrupted, import_from_working_folder, run_until_signal
from agentrows.config import Settings, read_secret
from agentrows.errors import ConfigError, InvalidValue

if TYPE_CHECKING:
    from agentrows.cli.import_output import ImportBar
    from agentrows.imports.langgraph import ImportReport
    from agentrows.imports.owners import Owner, OwnerFunction

FAILED: Final = 1
INCOMPLETE: Final = 3
LONGEST_STATEMENT_S: Final = 3600.0
"""The time limit of a statement: one may count all rows of a large source."""
STOPPED: Final = (
    "stopped; every batch before is stored, the open one was rolled back, and the same command "
    "continues"
)
SOURCE: Final = "AGENTROWS_SOURCE_URL"
NO_SOURCE: Final = (
    f"no source is configured: set {SOURCE}, or {SOURCE}_FILE to the path of a file that contains "
    "the DSN of the database of langgraph-checkpoint-postgres. It is no option of the command, "
    "because the list of processes would show its password"
)
METADATA: Final = "metadata"

Target = Annotated[
    str | None,
    typer.Option(
        help="The database to copy into. The default is the content of the file "
        "AGENTROWS_DATABASE_URL_FILE, else the value of AGENTROWS_DATABASE_URL.",
        show_default=False,
    ),
]
UserId = Annotated[
    str | None,
    typer.Option("--user", help="The owner of every thread.", metavar="ID", show_default=False),
]
UserSource = Annotated[
    str | None,
    typer.Option(
        "--user-from",
        help="The owner of each thread: metadata:KEY, the text or number under this key in the "
        "metadata of its checkpoints, or package.module:function, which is called with the id of "
        "the thread and the metadata of its newest checkpoint and returns the owner or None.",
        metavar="RULE",
        show_default=False,
    ),
]

import_commands = typer.Typer(
    help="Copy the rows of another store into this one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@import_commands.callback()
def handle_options() -> None:
    """Copy the rows of another store into this one."""


@import_commands.command(
    "langgraph",
    epilog=describe_use(
        "agentrows import langgraph --user-from metadata:user_id --dry-run",
        "agentrows import langgraph --user mira",
        codes="0 done, 1 failed or incomplete, 2 wrong usage, 3 threads were skipped",
    ),
)
def import_langgraph(
    *,
    dsn: Target = None,
    user: UserId = None,
    user_from: UserSource = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only compare and count; store nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy the threads of langgraph-checkpoint-postgres.

    These are checkpoints, the values of their channels, and pending writes. The DSN of the source
    is the content of the file AGENTROWS_SOURCE_URL_FILE, else the value of AGENTROWS_SOURCE_URL. It
    may be the same database. Nothing is changed there.

    Stop the applications that write to the source first. Ids and times are preserved. Rows that
    exist here are not overwritten. A run can be interrupted and repeated: it stores what is
    missing, then compares the keys of all rows and the bytes of 100 checkpoints.

    Exits with 3 if threads were skipped, because they have no owner, and with 1 if a row cannot be
    stored or differs.
    """
    from agentrows.cli.import_output import ImportBar, print_import  # noqa: PLC0415  rich is slow

    owner = _find_owner(user, user_from)
    progress = ImportBar()
    started = time.perf_counter()
    try:
        with progress:
            work = _run(_load_settings(), dsn, _resolve_source(), owner, progress, dry_run=dry_run)
            report = run_until_signal(work, progress)
    except Interrupted:
        raise Interrupted(STOPPED) from None
    except asyncio.CancelledError:
        raise asyncio.CancelledError(STOPPED) from None
    if as_json:
        print_json(report)
    else:
        print_import(report, time.perf_counter() - started)
    if not report.is_complete:
        raise typer.Exit(FAILED)
    if report.skipped:
        raise typer.Exit(INCOMPLETE)


async def _run(  # noqa: PLR0913  one argument per option
    settings: Settings,
    dsn: str | None,
    source_dsn: str,
    owner: Owner,
    progress: ImportBar,
    *,
    dry_run: bool,
) -> ImportReport:
    from agentrows import PostgresClient  # noqa: PLC0415  slow to import
    from agentrows.imports.langgraph import LangGraphImport, LangGraphSource  # noqa: PLC0415

    async with (
        LangGraphSource.open(source_dsn, settings=settings) as source,
        PostgresClient.open(dsn, settings=settings, migrations="verify") as client,
    ):
        copy = LangGraphImport(
            client,
            source,
            owner,
            row_security=settings.row_security,
            on_progress=progress.report,
        )
        return await copy.run(dry_run=dry_run)


def _load_settings() -> Settings:
    """Return the settings, with a longer time limit for each statement."""
    settings = Settings.load()
    seconds = max(settings.statement_timeout_s, LONGEST_STATEMENT_S)
    return settings.model_copy(update={"statement_timeout_s": seconds})


def _resolve_source() -> str:
    """Return the DSN of the source from the environment."""
    path = os.environ.get(f"{SOURCE}_FILE")
    dsn = read_secret(f"{SOURCE}_FILE", Path(path)) if path else os.environ.get(SOURCE, "").strip()
    if not dsn:
        raise ConfigError(NO_SOURCE)
    if dsn.startswith("embedded:"):
        raise ConfigError(f"{SOURCE} must be a PostgreSQL DSN, postgresql://…")
    return dsn


def _find_owner(user: str | None, user_from: str | None) -> Owner:
    """Return the owner that the options name."""
    from agentrows.imports.owners import (  # noqa: PLC0415  slow to import
        FunctionOwner,
        MetadataOwner,
        OneOwner,
    )

    if (user is None) == (user_from is None):
        raise typer.BadParameter("pass either --user or --user-from")
    if user is not None:
        try:
            return OneOwner(user)
        except InvalidValue as error:
            raise typer.BadParameter(str(error), param_hint="--user") from error
    spec = user_from or ""
    kind, colon, name = spec.partition(":")
    if not (kind and colon and name):
        raise typer.BadParameter(
            f"{spec!r} is neither metadata:KEY nor package.module:function",
            param_hint="--user-from",
        )
    return MetadataOwner(name) if kind == METADATA else FunctionOwner(_import_function(spec))


def _import_function(spec: str) -> OwnerFunction:
    """Import the application's function for the owner; raise ConfigError if that fails."""
    function: Any = import_from_working_folder(spec, source="--user-from")
    if not callable(function):
        raise ConfigError(
            f"--user-from: {spec!r} must be a function, not {type(function).__name__}"
        )

    async def find(thread_id: str, metadata: dict[str, Any]) -> str | None:
        try:
            result = function(thread_id, metadata)
            return cast("str | None", await result if inspect.isawaitable(result) else result)
        except Exception as error:
            problem = " ".join(str(error).split())
            raise ConfigError(
                f"the function for the owner raised {type(error).__name__} for thread "
                f"{thread_id!r}: {problem}"
            ) from error

    return find
