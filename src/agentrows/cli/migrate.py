"""`agentrows migrate …`: one function per command; it reads options, runs and prints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentrows.cli import documents, output
from agentrows.cli.downgrades import DowngradeTarget, run_confirmed
from agentrows.cli.help_texts import describe_use
from agentrows.cli.json_output import print_json
from agentrows.cli.options import (
    AsJson,
    DdlLockTimeout,
    Dsn,
    LockTimeout,
    OneTrack,
    StatementTimeout,
    TrackName,
    Tracks,
    Yes,
    find_tracks,
    on_database,
)
from agentrows.config import Settings
from agentrows.errors import ConfigError
from agentrows.migrate import Status, create_migration
from agentrows.migrate.report import Transactions  # noqa: TC001  typer reads it when it runs

if TYPE_CHECKING:
    from agentrows.migrate import Report

FAILED: Final = 1
BEHIND: Final = 3
RUN: Final = "0 done or nothing to do, 1 failed, 2 wrong usage, 130 stopped by Ctrl-C"
DOWN: Final = (
    "0 done or nothing to do, 1 failed or not confirmed, 2 wrong usage,\n"
    "4 rows would be deleted, 130 stopped by Ctrl-C"
)
READ: Final = "0 done, 1 failed, 2 wrong usage"

migrations = typer.Typer(
    help="Apply, roll back and inspect schema migrations.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate up",
        "agentrows migrate up --transaction file --statement-timeout 3600",
        "agentrows migrate up --track agentrows --max-steps 1",
        codes=RUN,
    )
)
def up(  # noqa: PLR0913  one keyword per option
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    track: OneTrack = None,
    max_steps: Annotated[
        int | None,
        typer.Option(help="Apply at most this number of files.", min=1, show_default=False),
    ] = None,
    transaction: Annotated[
        Transactions, typer.Option(help="One transaction for the run, or one for each file.")
    ] = "run",
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
    statement_timeout: StatementTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Apply every pending migration of every track, in one transaction."""
    report = on_database(
        lambda m: m.up(transaction=transaction, track=track, max_steps=max_steps),
        dsn,
        tracks,
        track=track,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
        statement_timeout_s=statement_timeout,
        waits=True,
    )
    _print_report(report, as_json=as_json)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate down 1 --track app",
        "agentrows migrate down 1 --track app --yes",
        codes=DOWN,
    )
)
def down(  # noqa: PLR0913  one keyword per option
    count: Annotated[int, typer.Argument(min=1, help="The number of versions to roll back.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    yes: Yes = False,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
    statement_timeout: StatementTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Roll one track back by COUNT versions. Rows in dropped tables are lost.

    It asks before it deletes rows.
    """
    target = DowngradeTarget(dsn, tracks, track, lock_timeout, ddl_lock_timeout, statement_timeout)
    report = run_confirmed(
        target,
        lambda m: m.find_losses(track, count=count),
        lambda m: m.down(track, count),
        asks=not yes,
    )
    _print_report(report, as_json=as_json)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate goto 3 --track app",
        "agentrows migrate goto 0 --track rls --yes",
        codes=DOWN,
    )
)
def goto(  # noqa: PLR0913  one keyword per option
    version: Annotated[int, typer.Argument(min=0, help="The version; 0 rolls back every file.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    yes: Yes = False,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
    statement_timeout: StatementTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Move one track up or down to a version. Rows in dropped tables are lost.

    It asks before it deletes rows.
    """
    target = DowngradeTarget(dsn, tracks, track, lock_timeout, ddl_lock_timeout, statement_timeout)
    report = run_confirmed(
        target,
        lambda m: m.find_losses(track, version=version),
        lambda m: m.goto(track, version),
        asks=not yes,
    )
    _print_report(report, as_json=as_json)


@migrations.command(epilog=describe_use("agentrows migrate force 2 --track app", codes=RUN))
def force(  # noqa: PLR0913  one keyword per option
    version: Annotated[int, typer.Argument(min=0, help="The version, or 0 if nothing is applied.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    as_json: AsJson = False,
) -> None:
    """Record the version of a track without running a file. This clears the dirty flag."""
    status = on_database(
        lambda m: m.force(track, version), dsn, tracks, track=track, lock_timeout_s=lock_timeout
    )
    _print_status(status, as_json=as_json)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate status",
        "agentrows migrate status --json --check",
        codes="0 done, 1 failed, 2 wrong usage, 3 files are pending (--check)",
    )
)
def status(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    as_json: AsJson = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 if files are pending.")
    ] = False,
) -> None:
    """Show the version and the state of each track. This only reads."""
    status = _read_status(dsn, tracks)
    _print_status(status, as_json=as_json)
    if check and not status.is_current:
        is_sound = not any(track.dirty or track.changed for track in status.tracks)
        raise typer.Exit(BEHIND if is_sound else FAILED)


@migrations.command(epilog=describe_use("agentrows migrate version --json", codes=READ))
def version(dsn: Dsn = None, tracks: Tracks = None, *, as_json: AsJson = False) -> None:
    """Print the version of each track, 0 for none. This only reads."""
    versions = [
        documents.TrackVersion(track.name, track.version or 0, track.dirty)
        for track in _read_status(dsn, tracks).tracks
    ]
    if as_json:
        print_json(documents.VersionsDocument(versions))
        return
    for track in versions:
        dirty = "\tdirty" if track.dirty else ""
        typer.echo(f"{track.name}\t{track.version}{dirty}")


@migrations.command(
    epilog=describe_use(
        "agentrows migrate history",
        "agentrows migrate history --track core --json",
        codes=READ,
    )
)
def history(
    dsn: Dsn = None, tracks: Tracks = None, *, track: OneTrack = None, as_json: AsJson = False
) -> None:
    """Show the files that ran: when, how long, by which role and tool. This only reads.

    Times are in UTC. Moves by another tool have the time at which agentrows recorded them.
    """
    entries = on_database(lambda m: m.history(track), dsn, tracks, track=track)
    if as_json:
        print_json(documents.HistoryDocument(entries))
    else:
        output.print_history(entries)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate verify",
        codes="0 this release works, 1 failed, 2 wrong usage, 3 a required file is\n"
        "pending, or an object that methods need is missing or changed",
    )
)
def verify(dsn: Dsn = None, tracks: Tracks = None, *, as_json: AsJson = False) -> None:
    """Exit with 3 if this release does not work on the database. This only reads.

    Required files are pending then, or an object that methods need is missing or changed.
    """
    _print_status(on_database(lambda m: m.verify(), dsn, tracks), as_json=as_json)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate plan",
        "agentrows migrate plan --sql > review.sql",
        "agentrows migrate plan --track core --to 6",
        codes=READ,
    )
)
def plan(  # noqa: PLR0913  one keyword per option
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    track: OneTrack = None,
    to: Annotated[
        int | None,
        typer.Option(help="The version to go to; needs --track.", min=0, show_default=False),
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL of the files.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show the files that `up` would run, or `goto` with --track and --to. This only reads."""
    if to is not None and track is None:
        raise typer.BadParameter("--to needs --track")
    files = on_database(lambda m: m.plan(track, to), dsn, tracks, track=track)
    if as_json:
        shown = files if sql else [replace(planned, sql=None) for planned in files]
        print_json(documents.PlanDocument(shown))
    elif sql:
        output.print_sql(files)
    else:
        output.print_plan(files)


@migrations.command(
    "dry-run", epilog=describe_use("agentrows migrate dry-run --dsn postgresql://…", codes=RUN)
)
def dry_run(  # noqa: PLR0913  one keyword per option
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
    statement_timeout: StatementTimeout = None,
    as_json: AsJson = False,
) -> None:
    """Execute the pending migrations, then roll them back. Shows the duration of each file."""
    report = on_database(
        lambda m: m.dry_run(),
        dsn,
        tracks,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
        statement_timeout_s=statement_timeout,
    )
    if as_json:
        print_json(report)
    else:
        output.print_dry_run(report)


@migrations.command(
    epilog=describe_use(
        "agentrows migrate doctor",
        codes="0 healthy, warnings included, 1 failed or not healthy, 2 wrong usage",
    )
)
def doctor(dsn: Dsn = None, tracks: Tracks = None, *, as_json: AsJson = False) -> None:
    """Report schema problems; exit with 1 if there are any. This only reads."""
    checkup = on_database(lambda m: m.doctor(), dsn, tracks)
    if as_json:
        print_json(checkup)
    else:
        output.print_checkup(checkup)
    if not checkup.is_healthy:
        raise typer.Exit(FAILED)


@migrations.command(
    epilog=describe_use('agentrows migrate new "note table" --track app', codes=READ)
)
def new(
    name: Annotated[str, typer.Argument(help="A few words about the change.")],
    track: TrackName,
    tracks: Tracks = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Create the up file and the down file of a track's next migration."""
    known = {each.name: each for each in find_tracks(Settings.load(), tracks, name=track)}
    try:
        paths = create_migration(known[track], name)
    except OSError as error:
        raise ConfigError(f"the files cannot be written: {error}") from error
    if as_json:
        print_json(documents.NewFilesDocument(paths))
        return
    for path in paths:
        typer.echo(path)


def _read_status(dsn: str | None, tracks: str | None) -> Status:
    return on_database(lambda m: m.status(), dsn, tracks)


def _print_report(report: Report, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
    else:
        output.print_report(report)


def _print_status(status: Status, *, as_json: bool) -> None:
    if as_json:
        print_json(status)
    else:
        output.print_status(status)
