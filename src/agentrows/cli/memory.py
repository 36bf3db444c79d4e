"""`agentrows memory …`: one function per command; it reads options, runs and prints."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, cast

import typer

from agentrows.cli import documents
from agentrows.cli.help_texts import describe_use
from agentrows.cli.json_output import print_json
from agentrows.cli.options import (
    AsJson,
    DdlLockTimeout,
    Dsn,
    Interrupted,
    LockTimeout,
    import_from_working_folder,
    resolve_target,
    run_until_signal,
)
from agentrows.cli.output import FIRST_TICK_S, LONGEST_TICK_S, Progress, print_table
from agentrows.cli.prune import Target  # noqa: TC001  typer reads it when it runs
from agentrows.config import Settings
from agentrows.errors import ConfigError, InvalidValue
from agentrows.migrate.cures import drop_index
from agentrows.migrate.memory_indexes import (
    build_memory_index,
    get_memory_index,
    read_memory_indexes,
    read_superseded_indexes,
)
from agentrows.migrate.report import Options

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Sequence

    from agentrows import MemoryCopyProgress, MemoryCopyReport, PostgresClient
    from agentrows.cli.options import Ticking
    from agentrows.config import Password

T = TypeVar("T")

INCOMPLETE: Final = 3
CODES: Final = "0 done, 1 failed, 2 wrong usage, 3 the table is missing"
LONGEST_STATEMENT_S: Final = 3600.0
"""The time limit of a statement: the first one counts the memories of a whole table."""
COPY_STOPPED: Final = (
    "stopped; every batch before is stored, and the same command copies the memories that are "
    "missing"
)
NO_MODEL: Final = (
    "AGENTROWS_MEMORY_MODEL is missing: it is the model that the memories are copied into"
)
STOPPED: Final = (
    "stopped; the index is not finished, and no search uses it: the same command drops it and "
    "builds it from the start"
)

FromModel = Annotated[
    str | None,
    typer.Option(
        help="The model in agentrows_memory to copy. The default is kagent's table.",
        metavar="MODEL",
        show_default=False,
    ),
]
Embed = Annotated[
    str | None,
    typer.Option(
        help="package.module:function, which is called with a list of contents and returns the "
        "embedding of each. The default is to copy the embeddings.",
        metavar="FUNCTION",
        show_default=False,
    ),
]

memory_commands = typer.Typer(
    help="Maintain the table agentrows_memory.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@memory_commands.callback()
def handle_options() -> None:
    """Maintain the table agentrows_memory."""


@memory_commands.command(
    "index", epilog=describe_use("agentrows memory index --dimensions 1536", codes=CODES)
)
def index_memories(  # noqa: PLR0913  one keyword per option
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
    as_json: AsJson = False,
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
    if as_json:
        print_json(documents.MemoryIndexDocument(dimensions, index.name, was_built))
        return
    typer.echo(f"{'built' if was_built else 'there is already'} the index {index.name}")


@memory_commands.command(
    "indexes", epilog=describe_use("agentrows memory indexes --json", codes=CODES)
)
def list_indexes(dsn: Dsn = None, *, as_json: AsJson = False) -> None:
    """Show the state of each index: none, valid or INVALID. This only reads.

    Indexes of an older release that no search uses are listed with the statement that drops them.
    """
    states = [
        documents.MemoryIndexState(
            state.index.dimensions, state.index.name, state.exists, state.is_valid
        )
        for state in _on_database(dsn, read_memory_indexes, Progress())
    ]
    superseded = _on_database(dsn, read_superseded_indexes, Progress())
    if as_json:
        print_json(documents.MemoryIndexesDocument(states, superseded))
        return
    print_table(
        ("dimensions", "index", "state"),
        [
            (
                str(state.dimensions),
                state.name,
                ("valid" if state.is_valid else "INVALID") if state.exists else "none",
            )
            for state in states
        ],
    )
    for name in superseded:
        typer.echo(f"no search uses {name}, of an older release:")
        typer.echo(f"    {drop_index(name)}")


class CopyLines:
    """Prints the progress of a copy on stderr, after 2 s, then with growing pauses."""

    def __init__(self) -> None:
        self._latest: MemoryCopyProgress | None = None

    def report(self, progress: MemoryCopyProgress) -> None:
        """Store the progress for the next line."""
        self._latest = progress

    async def tick(self) -> None:
        """Print the progress so far until the task is cancelled."""
        pause = FIRST_TICK_S
        while True:
            await asyncio.sleep(pause)
            if self._latest:
                with contextlib.suppress(OSError):  # a closed stderr must not stop the run
                    done, total = self._latest
                    typer.echo(f"{done:,} of {total:,} memories", err=True)
            pause = min(pause * 2, LONGEST_TICK_S)


@memory_commands.command(
    "copy",
    epilog=describe_use(
        "agentrows memory copy --dry-run",
        "agentrows memory copy --from-model small-1 --embed app.models:embed",
        codes=f"{CODES}, or memories remain",
    ),
)
def copy_memories(  # noqa: PLR0913  one keyword per option
    *,
    from_model: FromModel = None,
    embed: Embed = None,
    dsn: Target = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count the memories; copy nothing.")
    ] = False,
    batch_size: Annotated[int, typer.Option(help="Memories in a batch.", min=1, max=10_000)] = 100,
    as_json: AsJson = False,
) -> None:
    """Copy the memories of all users into the model AGENTROWS_MEMORY_MODEL.

    They are copied from kagent's table, or from another model with --from-model, and stay there.
    Without --embed both have to be embeddings of the same model, because vectors of two models
    cannot be compared. Ids, times and access counts are preserved, and so are the names of agents.

    A run can be stopped and repeated: memories that the model has are skipped. Exits with 3 if
    memories remain, which were stored or changed while the command ran.
    """
    settings = Settings.load()
    model = settings.memory_model
    if model is None:
        raise ConfigError(NO_MODEL)
    function = None if embed is None else _import_embed(embed)
    progress = CopyLines()

    async def copy(client: PostgresClient) -> MemoryCopyReport:
        return await client.copy_memories(
            model,
            from_model=from_model,
            embed=function,
            dry_run=dry_run,
            batch_size=batch_size,
            on_progress=progress.report,
        )

    report = _run(_with_client(dsn, settings, copy), progress, COPY_STOPPED)
    if as_json:
        print_json(report)
    else:
        _print_copy(report, model)
    if not (report.is_dry_run or report.is_complete):
        raise typer.Exit(INCOMPLETE)


async def _with_client(
    dsn: str | None,
    settings: Settings,
    act: Callable[[PostgresClient], Awaitable[MemoryCopyReport]],
) -> MemoryCopyReport:
    """Call a function with a client that may find no memory of its model."""
    from agentrows import PostgresClient  # noqa: PLC0415  slow to import

    seconds = max(settings.statement_timeout_s, LONGEST_STATEMENT_S)
    own = settings.model_copy(update={"memory_check": False, "statement_timeout_s": seconds})
    async with PostgresClient.open(dsn, settings=own, migrations="verify") as client:
        return await act(client)


def _print_copy(report: MemoryCopyReport, model: str) -> None:
    """Print the numbers of memories."""
    if report.is_dry_run:
        typer.echo(f"would copy {report.remaining:,} memories to the model {model}")
        return
    typer.echo(f"copied {report.copied:,} memories to the model {model}")
    if not report.is_complete:
        typer.echo(f"{report.remaining:,} remain; the same command continues")


def _import_embed(spec: str) -> Callable[[list[str]], Awaitable[Sequence[Any]]]:
    """Import the application's function; raise ConfigError if that fails."""
    function: Any = import_from_working_folder(spec, source="--embed")
    if not callable(function):
        raise ConfigError(f"--embed: {spec!r} must be a function, not {type(function).__name__}")

    async def embed(texts: list[str]) -> Sequence[Any]:
        try:
            result = function(texts)
            return cast("Sequence[Any]", await result if inspect.isawaitable(result) else result)
        except Exception as error:
            problem = " ".join(str(error).split())
            raise ConfigError(
                f"the function {spec} raised {type(error).__name__}: {problem}; the same command "
                "continues"
            ) from error

    return embed


def _on_database(
    dsn: str | None,
    act: Callable[[str, Password | None], Awaitable[T]],
    progress: Progress,
) -> T:
    """Call a function with the DSN and the password of the database to migrate."""
    settings = Settings.load()

    async def work() -> T:
        return await act(*await resolve_target(dsn, settings, waits=False))

    return _run(work(), progress, STOPPED)


def _run(work: Coroutine[Any, Any, T], progress: Ticking, stopped: str) -> T:
    """Run a coroutine until a signal, after which the error has this message."""
    try:
        return run_until_signal(work, progress)
    except Interrupted:
        raise Interrupted(stopped) from None
    except asyncio.CancelledError:
        raise asyncio.CancelledError(stopped) from None
