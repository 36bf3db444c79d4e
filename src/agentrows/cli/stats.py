"""`agentrows stats`: the sizes and the estimated rows of the tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import typer

from agentrows.cli.documents import StatsDocument
from agentrows.cli.help_texts import describe_use
from agentrows.cli.json_output import print_json
from agentrows.cli.options import AsJson, run_until_signal
from agentrows.cli.output import Progress, escape_controls, print_table
from agentrows.cli.prune import Target  # noqa: TC001  typer reads it when it runs
from agentrows.config import Settings

USE: Final = describe_use(
    "agentrows stats",
    "agentrows stats --json | jq '.tables[] | {name, oldest_row}'",
    codes="0 done, 1 failed, 2 wrong usage",
)
UNITS: Final = ("B", "kB", "MB", "GB", "TB")
AGES: Final = (("d", 86_400), ("h", 3600), ("min", 60))
FEW: Final = 10_000
LOCKED: Final = "locked"
KILO: Final = 1000
BYTES_OF_UNIT: Final = 1024


def show_stats(dsn: Target = None, *, as_json: AsJson = False) -> None:
    """Show the size of each table, the largest first. This only reads.

    The columns are the bytes of rows (heap), of large values (toast) and of indexes; the live rows
    and the percentage of dead rows, as the server estimates them; the time since the last VACUUM;
    and the age of the oldest row, if an index begins with its time. The tables are those in the
    schema of the sessions, also the application's. A table that another session locks against
    readers has the sizes of its last VACUUM or ANALYZE, and `locked` for its age. The last line
    names the tables with a column user_id that export_user and erase_user do not cover.
    """
    document = run_until_signal(_read_stats(dsn), Progress())
    if as_json:
        print_json(document)
    else:
        _print_stats(document, datetime.now(UTC))


async def _read_stats(dsn: str | None) -> StatsDocument:
    from agentrows import PostgresClient  # noqa: PLC0415  slow to import

    # Sizes need no codec, and the database may lack pgvector.
    settings = Settings.load().model_copy(update={"vector_enabled": False})
    async with PostgresClient.open(dsn, settings=settings, migrations="off") as client:
        tables = await client.table_stats()
        return StatsDocument(tables, await client.list_uncovered_tables() if tables else [])


def _print_stats(document: StatsDocument, now: datetime) -> None:
    tables = document.tables
    print_table(
        ("table", "heap", "toast", "index", "live", "dead", "vacuum", "oldest"),
        [
            (
                table.name,
                format_bytes(table.heap_bytes),
                format_bytes(table.toast_bytes),
                format_bytes(table.index_bytes),
                format_count(table.live_rows),
                f"{100 * table.dead_rows / max(1, table.live_rows + table.dead_rows):.0f}%",
                format_age(now, table.last_vacuum),
                LOCKED if table.is_locked else format_age(now, table.oldest_row),
            )
            for table in tables
        ],
    )
    total = sum(table.heap_bytes + table.toast_bytes + table.index_bytes for table in tables)
    typer.echo(f"{len(tables)} table{'s'[: len(tables) != 1]}, {format_bytes(total)}")
    if document.uncovered_tables:
        names = ", ".join(map(escape_controls, document.uncovered_tables))
        typer.echo(f"not covered by export_user and erase_user: {names}")


def format_bytes(number: int) -> str:
    """Return a number of bytes in at most six characters, such as 1.2 GB."""
    size, unit = float(number), 0
    # 999.5 would be rounded to four digits.
    while size >= KILO - 0.5 and unit < len(UNITS) - 1:
        size, unit = size / BYTES_OF_UNIT, unit + 1
    digits = 1 if unit and size < 9.95 else 0  # noqa: PLR2004  one digit before the point
    return f"{size:.{digits}f} {UNITS[unit]}"


def format_count(number: int) -> str:
    """Return a number of rows in at most five characters, such as 9,999 or 12k."""
    if number < FEW:
        return f"{number:,}"
    size, letters = float(number), iter("kMGT")
    letter = ""
    while size >= KILO - 0.5:
        size, letter = size / KILO, next(letters)
    return f"{size:.{1 if size < 9.95 else 0}f}{letter}"  # noqa: PLR2004  one digit before the point


def format_age(now: datetime, moment: datetime | None) -> str:
    """Return the time since a moment in its largest unit; a dash without a moment."""
    if moment is None:
        return "-"
    seconds = max(0.0, (now - moment).total_seconds())
    for unit, length in AGES:
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{int(seconds)} s"
