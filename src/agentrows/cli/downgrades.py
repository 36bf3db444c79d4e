"""The question before a downgrade that drops tables with rows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import typer

from agentrows.cli.options import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate import Loss

FAILED: Final = 1
REFUSED: Final = 4
UNCHANGED: Final = "nothing was changed"


def confirm_losses(losses: Sequence[Loss]) -> None:
    """Ask whether to drop tables with rows; exit if the answer is no.

    Without a terminal and without --yes the downgrade is refused, with exit code 4.
    """
    if not losses:
        return
    for loss in losses:
        typer.echo(f"{loss.file} drops {loss}, which has rows", err=True)
    if not _has_terminal():
        typer.echo(f"agentrows: refused without --yes; {UNCHANGED}", err=True)
        raise typer.Exit(REFUSED)
    try:
        is_confirmed = typer.confirm("Drop the rows?", err=True)
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
