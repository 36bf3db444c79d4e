"""`agentrows prune`: it reads the options, runs the prune and prints the result."""

from __future__ import annotations

import asyncio
import contextlib
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final, get_args

import typer

from agentrows.cli.help_texts import describe_use
from agentrows.cli.json_output import print_json
from agentrows.cli.options import AsJson, Interrupted, check_finite, run_until_signal
from agentrows.cli.output import FIRST_TICK_S, LONGEST_TICK_S, print_table
from agentrows.config import Settings
from agentrows.errors import ConfigError, SchemaBehind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows import PostgresClient, PruneProgress, PruneReport, PruneTable

INCOMPLETE: Final = 3
USE: Final = describe_use(
    "agentrows prune --older-than 90d --dry-run",
    "agentrows prune --older-than 90d --tables session,event --time-limit 3600",
    codes="0 done, 1 failed, 2 wrong usage, 3 ended by a limit, 130 stopped by Ctrl-C",
)
LONGEST_STATEMENT_S: Final = 3600.0
"""The time limit of a statement: a dry run counts the rows of whole tables."""
STOPPED: Final = (
    "stopped; every batch before is committed, the open one was rolled back, and the same command "
    "continues"
)
UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
LONGEST_AGE_S: Final = 365_000 * 86_400
LARGEST_BATCH: Final = 100_000
"""The limit of PostgresClient.prune, whose module is slow to import."""

Target = Annotated[
    str | None,
    typer.Option(
        help="The database. The default is the content of the file AGENTROWS_DATABASE_URL_FILE, "
        "else the value of AGENTROWS_DATABASE_URL.",
        show_default=False,
    ),
]
Age = Annotated[
    str,
    typer.Option(
        help="The age of rows: a number and s, m, h, d or w, as in 90d.",
        metavar="AGE",
        show_default=False,
    ),
]
Tables = Annotated[
    str | None,
    typer.Option(
        help="The tables, with commas between them, as in session,event. The default is all that "
        "can be pruned.",
        metavar="TABLES",
        show_default=False,
    ),
]
BatchSize = Annotated[
    int, typer.Option(help="Rows in one transaction, about.", min=1, max=LARGEST_BATCH)
]
MaxRows = Annotated[
    int | None,
    typer.Option(help="Stop after the batch that reaches this number.", min=1, show_default=False),
]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        help="Stop after the batch that reaches this number of seconds.",
        min=0.001,
        max=LONGEST_AGE_S,
        callback=check_finite,
        show_default=False,
    ),
]


def parse_age(text: str) -> timedelta:
    """Return a duration such as 90d; raise BadParameter for any other text."""
    match = re.fullmatch(r"([0-9]{1,12})([smhdw])", text)
    seconds = int(match[1]) * UNITS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_AGE_S:
        raise typer.BadParameter(
            f"{text!r} is not a duration: use a positive number and one of s, m, h, d, w, as in 90d"
        )
    return timedelta(seconds=seconds)


def parse_tables(text: str) -> list[PruneTable]:
    """Return the tables of a list such as session,event; raise BadParameter for unknown ones."""
    from agentrows import PruneTable  # noqa: PLC0415  slow to import

    known: tuple[PruneTable, ...] = get_args(PruneTable)
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise typer.BadParameter(
            f"{', '.join(map(repr, unknown)) or 'the list'} cannot be pruned; the tables are: "
            f"{', '.join(known)}"
        )
    return [table for table in known if table in names]


class ProgressLines:
    """Prints the progress of a prune on stderr, after 2 s, then with growing pauses."""

    def __init__(self) -> None:
        self._latest: PruneProgress | None = None

    def report(self, progress: PruneProgress) -> None:
        """Store the progress for the next line."""
        self._latest = progress

    async def tick(self) -> None:
        """Print the progress so far until the task is cancelled."""
        pause = FIRST_TICK_S
        while True:
            await asyncio.sleep(pause)
            if self._latest:
                with contextlib.suppress(OSError):  # a closed stderr must not stop the run
                    typer.echo(f"{self._latest.table}: {self._latest.rows:,} rows", err=True)
            pause = min(pause * 2, LONGEST_TICK_S)


def prune_rows(  # noqa: PLR0913  one argument per option
    *,
    older_than: Age,
    tables: Tables = None,
    dsn: Target = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count the rows; remove nothing.")
    ] = False,
    batch_size: BatchSize = 1000,
    max_rows: MaxRows = None,
    time_limit: TimeLimit = None,
    as_json: AsJson = False,
) -> None:
    """Remove the rows that are old, expired or marked as deleted.

    Sessions, threads, and events and tasks without a stored session are removed if they were idle
    for longer than --older-than; feedback if it is older. No live event of a stored session is
    removed without the session. Memories and store items are removed when they are expired.

    Rows are removed in batches, each in a short transaction, beside writers. A run can be stopped
    at any time; the same command continues. Exits with 3 if --max-rows or --time-limit ended it.
    """
    age = parse_age(older_than)
    names = None if tables is None else parse_tables(tables)
    limit = None if time_limit is None else timedelta(seconds=time_limit)
    progress = ProgressLines()

    async def prune(client: PostgresClient) -> PruneReport:
        return await client.prune(
            age,
            tables=names,
            dry_run=dry_run,
            batch_size=batch_size,
            max_rows=max_rows,
            time_limit=limit,
            on_progress=progress.report,
        )

    report = _run_on_client(dsn, prune, progress)
    if as_json:
        print_json(report)
    else:
        _print_report(report)
    if not report.is_complete:
        raise typer.Exit(INCOMPLETE)


def _run_on_client(
    dsn: str | None,
    act: Callable[[PostgresClient], Awaitable[PruneReport]],
    progress: ProgressLines,
) -> PruneReport:
    """Call a function with a client; a signal stops it after the batches that are committed."""
    from agentrows import PostgresClient  # noqa: PLC0415  slow to import

    settings = Settings.load()
    settings = settings.model_copy(
        update={"statement_timeout_s": max(settings.statement_timeout_s, LONGEST_STATEMENT_S)}
    )

    async def work() -> PruneReport:
        async with PostgresClient.open(dsn, settings=settings, migrations="verify") as client:
            return await act(client)

    try:
        return run_until_signal(work(), progress)
    except Interrupted:
        raise Interrupted(STOPPED) from None
    except asyncio.CancelledError:
        raise asyncio.CancelledError(STOPPED) from None
    except SchemaBehind as error:
        # Its exit code is 3, which a schedule takes for a run that a limit ended.
        raise ConfigError(str(error)) from error


def _print_report(report: PruneReport) -> None:
    """Print the number of rows of each table, the skipped tables, and the total."""
    verb = "would remove" if report.is_dry_run else "removed"
    print_table(
        ("table", "rows"), [(table, f"{number:,}") for table, number in report.rows.items()]
    )
    for table, reason in report.skipped.items():
        typer.echo(f"skipped rows of {table}: {reason}")
    if report.extended_memories:
        number = f"{report.extended_memories:,} memories that were read often"
        typer.echo(f"{'would extend' if report.is_dry_run else 'extended'} {number} by 15 days")
    end = "" if report.is_complete else "; a limit ended the run, the same command continues"
    typer.echo(f"{verb} {report.total:,} row{'s'[: report.total != 1]}{end}")
