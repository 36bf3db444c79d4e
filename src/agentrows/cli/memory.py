"""`agentrows memory …`: one function per command; it reads options, runs and prints."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from agentrows.cli.options import (
    DdlLockTimeout,
    Dsn,
    Interrupted,
    LockTimeout,
    resolve_target,
    run_until_signal,
)
from agentrows.cli.output import Progress, print_table
from agentrows.config import Settings
from agentrows.errors import InvalidValue
from agentrows.migrate.memory_indexes import (
    build_memory_index,
    get_memory_index,
    read_memory_indexes,
)
from agentrows.migrate.report import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows.config import Password

T = TypeVar("T")

STOPPED: Final = (
    "stopped; the index is not finished, and no search uses it: the same command drops it and "
    "builds it from the start"
)

memory_commands = typer.Typer(
    help="Maintain the table agentrows_memory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@memory_commands.callback()
def handle_options() -> None:
    """Maintain the table agentrows_memory."""


@memory_commands.command("index")
def index_memories(
    *,
    dimensions: Annotated[
        int,
        typer.Option(help="The dimensions of the embeddings: 384, 768, 1024, 1536 or 3072."),
    ],
    dsn: Dsn = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print the statement; run nothing.")
    ] = False,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Build the index of the embeddings with this number of dimensions.

    It is built with CREATE INDEX CONCURRENTLY, which blocks no writer. A valid index stays as it
    is; an INVALID one, which an interrupted build left, is dropped and built again.
    """
    try:
        index = get_memory_index(dimensions)
    except InvalidValue as error:
        raise typer.BadParameter(str(error), param_hint="--dimensions") from error
    if dry_run:
        typer.echo(index.file.sql, nl=False)
        return
    progress = Progress()
    options = Options(lock_timeout, ddl_lock_timeout, progress.report)

    async def build(target: str, password: Password | None) -> bool:
        return await build_memory_index(target, password, dimensions, options)

    was_built = _on_database(dsn, build, progress)
    typer.echo(f"{'built' if was_built else 'there is already'} the index {index.name}")


@memory_commands.command("indexes")
def list_indexes(dsn: Dsn = None) -> None:
    """Show the state of each index: none, valid or INVALID. This only reads."""
    states = _on_database(dsn, read_memory_indexes, Progress())
    print_table(
        ("dimensions", "index", "state"),
        [
            (
                str(state.index.dimensions),
                state.index.name,
                ("valid" if state.is_valid else "INVALID") if state.exists else "none",
            )
            for state in states
        ],
    )


def _on_database(
    dsn: str | None,
    act: Callable[[str, Password | None], Awaitable[T]],
    progress: Progress,
) -> T:
    """Call a function with the DSN and the password of the database to migrate."""
    settings = Settings.load()

    async def work() -> T:
        return await act(*await resolve_target(dsn, settings, waits=False))

    try:
        return run_until_signal(work(), progress)
    except Interrupted:
        raise Interrupted(STOPPED) from None
    except asyncio.CancelledError:
        raise asyncio.CancelledError(STOPPED) from None
