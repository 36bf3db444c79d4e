"""The question before a downgrade that deletes rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import typer

from agentrows.cli.options import Interrupted, on_database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from agentrows.migrate import Loss, Migrator, Report

T = TypeVar("T")

FAILED: Final = 1
REFUSED: Final = 4
UNCHANGED: Final = "nothing was changed"


@dataclass(frozen=True, slots=True)
class DowngradeTarget:
    """The track that a command moves, and the options of its runs."""

    dsn: str | None
    tracks: str | None
    track: str
    lock_timeout_s: float
    ddl_lock_timeout_s: float
    statement_timeout_s: float | None

    def run(self, act: Callable[[Migrator], Awaitable[T]]) -> T:
        """Call a method of a migrator with these options; return the result."""
        return on_database(
            act,
            self.dsn,
            self.tracks,
            track=self.track,
            lock_timeout_s=self.lock_timeout_s,
            ddl_lock_timeout_s=self.ddl_lock_timeout_s,
            statement_timeout_s=self.statement_timeout_s,
            waits=True,
        )


def run_confirmed(
    target: DowngradeTarget,
    find_losses: Callable[[Migrator], Awaitable[Sequence[Loss]]],
    act: Callable[[Migrator], Awaitable[Report]],
    *,
    asks: bool,
) -> Report:
    """Move a track, if `asks` after the question about the rows that are deleted."""
    # The question is outside of the event loop, which would leave Ctrl-C without an answer.
    if asks:
        confirm_losses(target.run(find_losses))
    return target.run(act)


def confirm_losses(losses: Sequence[Loss]) -> None:
    """Ask whether to delete rows; exit if the answer is no.

    Without a terminal and without --yes the downgrade is refused, with exit code 4.
    """
    if not losses:
        return
    for loss in losses:
        typer.echo(loss.describe(), err=True)
    if not _has_terminal():
        typer.echo(f"agentrows: refused without --yes; {UNCHANGED}", err=True)
        raise typer.Exit(REFUSED)
    try:
        is_confirmed = typer.confirm("Delete these rows?", err=True)
    except Interrupted:
        raise Interrupted(f"stopped; {UNCHANGED}") from None
    if not is_confirmed:
        typer.echo(f"agentrows: {UNCHANGED}", err=True)
        raise typer.Exit(FAILED)


def _has_terminal() -> bool:
    return all(
        stream is not None and stream.isatty()  # pyright: ignore[reportUnnecessaryComparison]
        for stream in (sys.stdin, sys.stderr)
    )
