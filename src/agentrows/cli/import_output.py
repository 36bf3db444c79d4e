"""The output of `agentrows import`: a progress bar on stderr, the result on stdout."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from agentrows.cli.output import FIRST_TICK_S, LONGEST_TICK_S, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from agentrows.imports.langgraph import CheckpointKey, ImportProgress, ImportReport

ROWS: Final = "checkpoints"


class ImportBar:
    """Shows the progress of an import: a bar on a terminal, else lines with growing pauses."""

    def __init__(self) -> None:
        self._latest: ImportProgress | None = None
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn(ROWS),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Remove the bar."""
        if self._bar:
            self._bar.stop()

    def report(self, progress: ImportProgress) -> None:
        """Update the bar; a new phase begins at zero."""
        begins = self._latest is None or self._latest.phase != progress.phase
        self._latest = progress
        if self._bar:
            if begins and self._task is not None:
                self._bar.remove_task(self._task)
            if begins or self._task is None:
                self._task = self._bar.add_task(progress.phase, total=progress.total)
            self._bar.update(self._task, completed=progress.done)

    async def tick(self) -> None:
        """Print the progress so far, after 2 s, then with growing pauses, if there is no bar."""
        pause = FIRST_TICK_S
        while True:
            await asyncio.sleep(pause)
            if self._latest and not self._bar:
                phase, done, total = self._latest
                with contextlib.suppress(OSError):  # a closed stderr must not stop the run
                    typer.echo(f"{phase} {done:,} of {total:,} {ROWS}", err=True)
            pause = min(pause * 2, LONGEST_TICK_S)


def print_import(report: ImportReport, seconds: float) -> None:
    """Print the counts of a run, each thread and row that was left out, and the verification."""
    present = report.checkpoints - report.incomplete
    if report.is_dry_run:
        typer.echo(
            f"would copy {_count(report.incomplete, 'checkpoint')} of "
            f"{_count(report.threads, 'thread')}; nothing was stored"
        )
    else:
        typer.echo(
            f"copied {_count(report.stored_checkpoints, 'checkpoint')}, "
            f"{_count(report.stored_values, 'value')} and "
            f"{_count(report.stored_writes, 'write')} of {_count(report.threads, 'thread')} in "
            f"{seconds:.1f} s"
        )
    if present > 0:
        typer.echo(f"{_count(present, 'checkpoint')} had been copied before")
    if report.source.stray_writes:
        writes = _count(report.source.stray_writes, "write")
        typer.echo(f"left out {writes} of threads without a checkpoint")
    _print_left_out(report)
    if not report.is_dry_run:
        _print_verification(report)


def _print_left_out(report: ImportReport) -> None:
    if report.skipped:
        typer.echo(f"skipped {_count(len(report.skipped), 'thread')}:")
        _print_rows(
            ("thread", ROWS, "reason"),
            [(thread, str(count), reason) for thread, count, reason in report.skipped],
        )
    if report.kept:
        typer.echo(
            f"did not overwrite {_count(len(report.kept), 'checkpoint')} that were stored again or "
            "deleted here, or a write of which was:"
        )
        _print_keys(report.kept)
    if report.refused:
        typer.echo(
            f"{_count(len(report.refused), 'checkpoint')} cannot be stored, with their values and "
            "writes:"
        )
        _print_rows(
            ("thread", "namespace", "checkpoint", "reason"),
            [(*key, reason) for key, reason in report.refused],
        )


def _print_verification(report: ImportReport) -> None:
    if report.missing:
        typer.echo(
            "missing or different here, with a value or a write; if the source is in use, stop its "
            "applications and run the command again:"
        )
        _print_keys(report.missing)
    if report.different:
        typer.echo("other bytes here than in the source:")
        _print_keys(report.different)
    if report.is_complete:
        typer.echo(
            f"verified: {_count(report.checkpoints, 'checkpoint')} and "
            f"{_count(report.writes, 'write')} of the source are here, with all of their values; "
            f"the bytes of {_count(report.compared, 'checkpoint')} are equal"
        )
    else:
        typer.echo("not verified")


def _print_keys(keys: set[CheckpointKey] | list[CheckpointKey]) -> None:
    _print_rows(("thread", "namespace", "checkpoint"), sorted(keys))


def _print_rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    print_table(head, [[_escape(cell) for cell in row] for row in rows])


def _escape(text: str) -> str:
    """Return a text of the source without characters that end a cell or control a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s'[: number != 1]}"
