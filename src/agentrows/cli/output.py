"""What the commands print: tables and JSON on stdout, progress on stderr."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
import time
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate import Checkup, FileRun, PlannedFile, Report, Status, TrackStatus


FIRST_TICK_S: Final = 2.0
LONGEST_TICK_S: Final = 60.0
NOT_TRIED: Final = "not tried"


@dataclasses.dataclass(slots=True)
class Progress:
    """What a run is at, said on stderr: when a file starts, now and then, and when it is done."""

    file: str | None = None
    since: float = 0.0
    started: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def tell(self, run: FileRun) -> None:
        """Say that a file starts, or is done."""
        took = "" if run.duration_s is None else f" done in {run.duration_s:.3f} s"
        self.file = run.file if run.duration_s is None else None
        self.since = time.monotonic()
        self.started.set()
        typer.echo(f"{run.file}{took}", err=True)

    async def tick(self) -> None:
        """Say how long the file has been at work, after 2 s and then less and less often."""
        while True:
            await self.started.wait()
            self.started.clear()
            pause = FIRST_TICK_S
            while self.file:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.started.wait(), pause)
                    break
                with contextlib.suppress(OSError):  # a closed stderr is no reason to stop
                    typer.echo(f"{self.file}, for {time.monotonic() - self.since:.0f} s", err=True)
                pause = min(pause * 2, LONGEST_TICK_S)


def say_done(report: Report) -> None:
    """Print how many files ran, and how long they took."""
    seconds = sum(file.duration_s or 0 for file in report.files)
    count = len(report.files)
    typer.echo(
        f"applied {count} file{'s'[: count != 1]} in {seconds:.3f} s" if count else "nothing to do"
    )


def show(found: Status) -> None:
    """Print where each track stands."""
    print_table(
        ("track", "applied", "newest", "state"),
        [
            (track.name, str(track.version or "-"), str(track.newest), _state(track))
            for track in found.tracks
        ],
    )


def show_plan(files: Sequence[PlannedFile]) -> None:
    """Print the files that a run would execute."""
    if not files:
        typer.echo("nothing to do")
        return
    print_table(("file", "how"), [(planned.file, _how(planned)) for planned in files])


def show_times(report: Report) -> None:
    """Print what a dry run took, file by file."""
    rows = [(run.file, f"{run.duration_s or 0:.3f} s") for run in report.files]
    rows += [(file, NOT_TRIED) for file in report.not_tried]
    if not rows:
        typer.echo("nothing to do")
        return
    print_table(("file", "took"), rows)
    if report.not_tried:
        typer.echo(f"{NOT_TRIED}: these files, or files before them, run outside of a transaction")
    typer.echo("all of it was rolled back")


def show_checkup(found: Checkup) -> None:
    """Print what a look at the database found."""
    rows: list[tuple[str, str, str]] = []
    for track in found.tracks:
        held = ", ".join(f"({row.version}, {str(row.dirty).lower()})" for row in track.rows)
        rows.append((track.name, "row", held or "none"))
        if track.status:
            rows.append((track.name, "state", _state(track.status)))
            rows += [
                (track.name, "applied, not here", f"{file} (of a newer release, or deleted)")
                for file in track.status.not_here
            ]
        if track.problem:
            rows.append((track.name, "problem", track.problem))
        rows += [(track.name, "up would run", f"{s.file} ({_how(s)})") for s in track.steps]
        rows += [(track.name, "missing index", name) for name in track.missing_indexes]
        if track.repair_from is not None:
            command = f"agentrows migrate force {track.repair_from} --track {track.name}"
            rows.append((track.name, "repair", f"`{command}`, then `agentrows migrate up`"))
    rows += [("-", "INVALID index", f"{name} on {table}") for name, table in found.invalid_indexes]
    print_table(("track", "what", "found"), rows)
    typer.echo("healthy" if found.is_healthy else "not healthy")


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns to a terminal, and lines with tabs to everything else.

    No cell is cut: a terminal that is too narrow wraps the lines.
    """
    lines = [head, *rows]
    if sys.stdout is None or not sys.stdout.isatty():
        for line in lines:
            typer.echo("\t".join(line))
        return
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _how(planned: PlannedFile) -> str:
    words: list[str] = [planned.direction]
    words += ["again, because an earlier run broke off in it"] * planned.heals
    words += ["again, because its index or setting is missing"] * planned.rebuilds
    words += ["outside of a transaction"] * (not planned.in_transaction)
    words += ["optional"] * planned.optional
    return ", ".join(words)


def _state(track: TrackStatus) -> str:
    words = {
        f"dirty: a run is at work, {', '.join(track.at_work)}": bool(track.at_work),
        "dirty: an earlier run broke off": track.dirty and not track.at_work,
        "an applied file was changed": track.changed is not None,
        "ahead of this release": track.is_ahead,
        f"{len(track.lacking)} pending": bool(track.lacking),
        f"{len(track.optional)} optional, pending": bool(track.optional),
        f"missing: {track.missing_summary}": bool(track.missing),
        "not readable for this role": not track.is_readable,
    }
    state = ", ".join(word for word, holds in words.items() if holds) or "current"
    return f"{state} (moved by another tool)" if track.moved_by == "another tool" else state


def as_json(found: Status) -> dict[str, object]:
    """Return a status for a program."""
    return {
        "is_current": found.is_current,
        "tracks": [
            {**dataclasses.asdict(track), "is_ahead": track.is_ahead} for track in found.tracks
        ],
    }
