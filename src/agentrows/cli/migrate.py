"""`agentrows migrate …`: one function per command; it reads options, runs and prints."""

from __future__ import annotations

import json
from typing import Annotated, Final

import typer

from agentrows.cli import output
from agentrows.cli.options import (
    DdlLockTimeout,
    Dsn,
    LockTimeout,
    TrackName,
    Tracks,
    find_tracks,
    on_database,
)
from agentrows.config import Settings
from agentrows.errors import ConfigError
from agentrows.migrate import Status, create_migration
from agentrows.migrate.report import Transactions  # noqa: TC001  typer reads it when it runs

FAILED: Final = 1
BEHIND: Final = 3

migrations = typer.Typer(
    help="Apply, roll back and inspect schema migrations.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@migrations.command()
def up(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    transaction: Annotated[
        Transactions, typer.Option(help="One transaction for the run, or one for each file.")
    ] = "run",
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Apply every pending migration of every track, in one transaction."""
    report = on_database(
        lambda m: m.up(transaction=transaction),
        dsn,
        tracks,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
        waits=True,
    )
    output.print_report(report)


@migrations.command()
def down(  # noqa: PLR0913  one keyword per option
    count: Annotated[int, typer.Argument(min=1, help="The number of versions to roll back.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Roll one track back by COUNT versions. Rows in dropped tables are lost."""
    report = on_database(
        lambda m: m.down(track, count),
        dsn,
        tracks,
        track=track,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
        waits=True,
    )
    output.print_report(report)


@migrations.command()
def goto(  # noqa: PLR0913  one keyword per option
    version: Annotated[int, typer.Argument(min=0, help="The version; 0 rolls back every file.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Move one track up or down to a version. Rows in dropped tables are lost."""
    report = on_database(
        lambda m: m.goto(track, version),
        dsn,
        tracks,
        track=track,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
        waits=True,
    )
    output.print_report(report)


@migrations.command()
def force(
    version: Annotated[int, typer.Argument(min=0, help="The version, or 0 if nothing is applied.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
) -> None:
    """Record the version of a track without running a file. This clears the dirty flag."""
    status = on_database(
        lambda m: m.force(track, version), dsn, tracks, track=track, lock_timeout_s=lock_timeout
    )
    output.print_status(status)


@migrations.command()
def status(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 3 if files are pending.")
    ] = False,
) -> None:
    """Show the version and the state of each track. This only reads."""
    status = _read_status(dsn, tracks)
    if as_json:
        typer.echo(json.dumps(output.to_json(status), indent=2))
    else:
        output.print_status(status)
    if check and not status.is_current:
        is_sound = not any(track.dirty or track.changed for track in status.tracks)
        raise typer.Exit(BEHIND if is_sound else FAILED)


@migrations.command()
def version(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Print the version of each track, 0 for none. This only reads."""
    for track in _read_status(dsn, tracks).tracks:
        dirty = "\tdirty" if track.dirty else ""
        typer.echo(f"{track.name}\t{track.version or 0}{dirty}")


@migrations.command()
def verify(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Exit with 3 if a required migration is pending. This only reads."""
    output.print_status(on_database(lambda m: m.verify(), dsn, tracks))


@migrations.command()
def plan(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    track: Annotated[str | None, typer.Option(help="Only this track.")] = None,
    to: Annotated[
        int | None, typer.Option(help="The version to go to; needs --track.", min=0)
    ] = None,
) -> None:
    """Show the files that `up` would run, or `goto` with --track and --to. This only reads."""
    if to is not None and track is None:
        raise typer.BadParameter("--to needs --track")
    output.print_plan(on_database(lambda m: m.plan(track, to), dsn, tracks, track=track))


@migrations.command("dry-run")
def dry_run(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Execute the pending migrations, then roll them back. Shows the duration of each file."""
    report = on_database(
        lambda m: m.dry_run(),
        dsn,
        tracks,
        lock_timeout_s=lock_timeout,
        ddl_lock_timeout_s=ddl_lock_timeout,
    )
    output.print_dry_run(report)


@migrations.command()
def doctor(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Report schema problems; exit with 1 if there are any. This only reads."""
    checkup = on_database(lambda m: m.doctor(), dsn, tracks)
    output.print_checkup(checkup)
    if not checkup.is_healthy:
        raise typer.Exit(FAILED)


@migrations.command()
def new(
    name: Annotated[str, typer.Argument(help="A few words about the change.")],
    track: TrackName,
    tracks: Tracks = None,
) -> None:
    """Create the up file and the down file of a track's next migration."""
    known = {each.name: each for each in find_tracks(Settings.load(), tracks, name=track)}
    try:
        paths = create_migration(known[track], name)
    except OSError as error:
        raise ConfigError(f"the files cannot be written: {error}") from error
    for path in paths:
        typer.echo(path)


def _read_status(dsn: str | None, tracks: str | None) -> Status:
    return on_database(lambda m: m.status(), dsn, tracks)
