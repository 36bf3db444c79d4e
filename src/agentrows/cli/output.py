"""The output of the commands: tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import shutil
import sys
import textwrap
import time
from datetime import UTC
from typing import TYPE_CHECKING, Final

import typer

from agentrows.migrate.cures import drop_index

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from agentrows.migrate import (
        Checkup,
        Difference,
        FileRun,
        HistoryEntry,
        PlannedFile,
        Report,
        Status,
        TrackStatus,
    )


FIRST_TICK_S: Final = 2.0
LONGEST_TICK_S: Final = 60.0
NOT_TRIED: Final = "not tried"
NOTHING_TO_DO: Final = "nothing to do"
INDENT: Final = "    "
NARROWEST_COLUMN: Final = 40
"""Characters of the last column from which its cells are wrapped in it, and not below the line."""


@dataclasses.dataclass(slots=True)
class Progress:
    """Prints the progress of a run on stderr: start, duration so far, and end of each file."""

    file: str | None = None
    since: float = 0.0
    started: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def report(self, run: FileRun) -> None:
        """Print that a file starts, or is done."""
        took = "" if run.duration_s is None else f" done in {run.duration_s:.3f} s"
        self.file = run.file if run.duration_s is None else None
        self.since = time.monotonic()
        self.started.set()
        typer.echo(f"{run.file}{took}", err=True)

    async def tick(self) -> None:
        """Print the duration of the current file so far, after 2 s, then with growing pauses."""
        while True:
            await self.started.wait()
            self.started.clear()
            pause = FIRST_TICK_S
            while self.file:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.started.wait(), pause)
                    break
                with contextlib.suppress(OSError):  # a closed stderr must not stop the run
                    seconds = time.monotonic() - self.since
                    typer.echo(f"{self.file} running for {seconds:.0f} s", err=True)
                pause = min(pause * 2, LONGEST_TICK_S)


def print_report(report: Report) -> None:
    """Print the number of files that ran, and their duration."""
    if not report.files:
        typer.echo(NOTHING_TO_DO)
        return
    seconds = sum(file.duration_s or 0 for file in report.files)
    count = len(report.files)
    # A run moves every track in the same direction.
    verb = "rolled back" if report.files[0].direction == "down" else "applied"
    typer.echo(f"{verb} {count} file{'s'[: count != 1]} in {seconds:.3f} s")


def print_status(status: Status) -> None:
    """Print the version and the state of each track."""
    print_table(
        ("track", "applied", "newest", "state"),
        [
            (track.name, str(track.version or "-"), str(track.newest), _state(track))
            for track in status.tracks
        ],
    )


def print_plan(files: Sequence[PlannedFile]) -> None:
    """Print the files that a run would execute."""
    if not files:
        typer.echo(NOTHING_TO_DO)
        return
    print_table(("file", "how"), [(planned.file, _describe(planned)) for planned in files])


def print_sql(files: Sequence[PlannedFile]) -> None:
    """Print the text of the files that a run would execute, each under a line with its name."""
    for number, planned in enumerate(files):
        typer.echo(f"{chr(10) * (number > 0)}-- {planned.file}: {_describe(planned)}")
        typer.echo((planned.sql or "").rstrip("\n"))
    if not files:
        typer.echo(f"-- {NOTHING_TO_DO}")


def print_history(entries: Sequence[HistoryEntry]) -> None:
    """Print the moves of the tracks.

    The start of a file is left out if a later move of its track follows. On a terminal the role and
    the tool have a line of their own, above the moves that they made.
    """
    last_of_track = {entry.track: number for number, entry in enumerate(entries)}
    entries = [
        entry
        for number, entry in enumerate(entries)
        if entry.outcome != "started" or number == last_of_track[entry.track]
    ]
    if not is_terminal():
        print_table(
            ("time", "took", "move", "role", "tool"),
            [(*_describe_move(entry), entry.role or "-", entry.tool) for entry in entries],
        )
        return
    last: tuple[str | None, str] | None = None
    for entry in entries:
        if (entry.role, entry.tool) != last:
            last = entry.role, entry.tool
            typer.echo(f"{f'{entry.role}, ' if entry.role else ''}{entry.tool}:")
        time_, took, move = _describe_move(entry)
        typer.echo(f"{time_:16}  {took:>8}  {move}")
    if not entries:
        typer.echo("no history")


def _describe_move(entry: HistoryEntry) -> tuple[str, str, str]:
    moment = "not recorded yet" if entry.finished_at is None else _format_time(entry.finished_at)
    took = "-" if entry.duration_s is None else f"{entry.duration_s:.2f} s"
    if entry.file is None:
        how = "forced" if entry.outcome == "forced" else entry.direction
        return moment, took, f"{entry.track} to {entry.version}, {how}"
    is_usual = entry.outcome == "applied"
    return moment, took, entry.file if is_usual else f"{entry.file} {entry.outcome}"


def _format_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def print_dry_run(report: Report) -> None:
    """Print the duration of each file of a dry run."""
    rows = [(run.file, f"{run.duration_s or 0:.3f} s") for run in report.files]
    rows += [(file, NOT_TRIED) for file in report.not_tried]
    if not rows:
        typer.echo(NOTHING_TO_DO)
        return
    print_table(("file", "duration"), rows)
    if report.not_tried:
        typer.echo(f"{NOT_TRIED}: these files, or files before them, allow no transaction")
    typer.echo("everything was rolled back")


def print_checkup(checkup: Checkup) -> None:
    """Print the state and the problems of each track."""
    rows: list[tuple[str, str, str]] = []
    for track in checkup.tracks:
        versions = ", ".join(f"{row.version}{' dirty' * row.dirty}" for row in track.rows)
        rows.append((track.name, "version", versions or "none"))
        if track.status:
            rows.append((track.name, "state", _state(track.status)))
            rows += [
                (track.name, "unknown applied", f"{file} (of a newer release, or deleted)")
                for file in track.status.unknown_applied
            ]
        if track.problem:
            rows.append((track.name, "problem", track.problem))
        rows += [
            (track.name, "up would run", f"{step.file}{f' ({again})' if again else ''}")
            for step in track.steps
            for again in [_describe_repetition(step)]
        ]
        rows += [(track.name, *row) for row in _differences(track.differences)]
    rows += [
        ("-", "INVALID index", f"{name} on {table}") for name, table in checkup.invalid_indexes
    ]
    for dimensions, number in checkup.unindexed_memories:
        command = f"agentrows memory index --dimensions {dimensions}"
        result = f"about {number:,} memories of {dimensions} dimensions have none: `{command}`"
        rows.append(("-", "memory index", result))
    rows += [
        ("-", "old index", f"no search uses {name}: `{drop_index(name)}`")
        for name in checkup.superseded_indexes
    ]
    rows += [("-", "not checked", f"{check}: {reason}") for check, reason in checkup.unchecked]
    rows += _describe_growth(checkup)
    rows += _describe_rollbacks(checkup)
    print_table(("track", "check", "result"), rows)
    typer.echo("healthy" if checkup.is_healthy else "not healthy")


def _describe_growth(checkup: Checkup) -> list[tuple[str, str, str]]:
    """Return a line for each table that grows faster than it is cleaned up."""
    rows: list[tuple[str, str, str]] = []
    for table in checkup.dead_rows:
        percent = 100 * table.dead_rows / (table.live_rows + table.dead_rows)
        last = f"{table.last_vacuum:%Y-%m-%d}" if table.last_vacuum else "never"
        result = (
            f"{percent:.0f} % of {table.table} are dead rows, last VACUUM: {last}; look for a long "
            f"transaction, then `VACUUM {table.table}`"
        )
        rows.append(("-", "dead rows", result))
    for threads in checkup.long_threads:
        result = (
            f"{threads.table} has about {threads.per_thread:,} checkpoints per thread: "
            "`agentrows prune` removes old threads, and the saver's `prune` old checkpoints"
        )
        rows.append(("-", "long threads", result))
    return rows


def _describe_rollbacks(checkup: Checkup) -> list[tuple[str, str, str]]:
    """Return a line for each column with policies that stop a rollback."""
    return [
        (
            blocked.track,
            "roll back",
            (
                f"{blocked.file} fails while policies use {blocked.table}.{blocked.column}: "
                f"{', '.join(blocked.policies)}; before a rollback, of kagent too: `agentrows "
                "migrate goto 0 --track rls_vector`, then the same with `--track rls`"
            ),
        )
        for blocked in checkup.blocked_rollbacks
    ]


def is_terminal() -> bool:
    """Return whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()  # pyright: ignore[reportUnnecessaryComparison]


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns to a terminal, and lines with tabs to everything else.

    No cell is cut. On a terminal that is too narrow, the last cell of a line is wrapped, in its
    column or below the line.
    """
    lines = [[escape_controls(cell) for cell in line] for line in (head, *rows)]
    if not is_terminal():
        for line in lines:
            typer.echo("\t".join(line))
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    columns = shutil.get_terminal_size().columns
    for *cells, last in lines:
        start = "".join(f"{cell:{width}}  " for cell, width in zip(cells, widths, strict=False))
        typer.echo(_append_wrapped(start, last, columns))


def _append_wrapped(start: str, text: str, columns: int) -> str:
    """Return a line that ends with a text, wrapped to the width of the terminal."""
    room = columns - len(start)
    if len(text) <= room:
        return f"{start}{text}".rstrip()
    is_in_column = room >= NARROWEST_COLUMN and max(map(len, text.split())) <= room
    indent = " " * len(start) if is_in_column else INDENT
    wrapped = textwrap.fill(
        text,
        max(columns, len(indent) + 1),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return start + wrapped.removeprefix(indent) if is_in_column else f"{start.rstrip()}\n{wrapped}"


def escape_controls(text: str) -> str:
    """Return a text in one line, with escapes for line breaks and other control characters."""
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode()
        for letter in text
    )


def _differences(differences: Sequence[Difference]) -> list[tuple[str, str]]:
    """Return a row for each difference, and one for the cure of those that have the same one."""
    rows: list[tuple[str, str]] = []
    for cure, group in itertools.groupby(differences, key=lambda each: each.cure):
        for each in group:
            if each.actual is None:
                rows.append(("missing", each.object))
            elif each.is_invalid:
                rows.append(("INVALID", each.object))
            else:
                rows.append(("changed", f"{each.object}: {each.actual}, expected {each.expected}"))
        rows.append(("cure", cure))
    return rows


def _describe(planned: PlannedFile) -> str:
    again = _describe_repetition(planned)
    parts = [again] if again else []
    parts += ["in a transaction" if planned.in_transaction else "no transaction"]
    parts += ["optional"] * planned.optional
    return ", ".join(parts)


def _describe_repetition(planned: PlannedFile) -> str:
    """Return the reason for which a file runs a second time; empty for the first time."""
    if planned.heals:
        return "again, because an earlier run stopped in it"
    return "again, because an object of it is missing or changed" if planned.rebuilds else ""


def _state(track: TrackStatus) -> str:
    holders = ", ".join(track.lock_holders)
    conditions = {
        f"dirty: a run is still working, {holders}": bool(track.lock_holders),
        "dirty: an earlier run stopped in this version": track.dirty and not track.lock_holders,
        "an applied file was changed": track.changed is not None,
        "ahead of this release": track.is_ahead,
        f"{len(track.lacking)} pending": bool(track.lacking),
        f"{len(track.optional)} optional, pending": bool(track.optional),
        f"missing: {track.missing_summary}": bool(track.missing),
        f"changed: {track.altered_summary}": bool(track.altered),
        "not readable by this role": not track.is_readable,
    }
    state = ", ".join(text for text, applies in conditions.items() if applies) or "current"
    return f"{state} (moved by another tool)" if track.moved_by == "another tool" else state
