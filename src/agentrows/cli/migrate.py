"""`agentrows migrate …`: one function per command, which reads options, runs and prints."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Final

import typer

from agentrows import migrate
from agentrows.cli import output
from agentrows.cli.options import (
    DdlLockTimeout,
    Dsn,
    LockTimeout,
    TrackName,
    Tracks,
    known_tracks,
    reach,
    run,
)
from agentrows.config import Settings
from agentrows.errors import ConfigError
from agentrows.migrate.report import Transactions  # noqa: TC001  typer reads it when it runs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate import Checkup, PlannedFile, Report, Status, Track

FAILED: Final = 1
BEHIND: Final = 3

migrations = typer.Typer(
    help="Move a database's schema, or look at it.", no_args_is_help=True, rich_markup_mode=None
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
    settings = Settings.load()
    known = known_tracks(settings, tracks)
    progress = output.Progress()

    async def work() -> Report:
        address, password = await reach(dsn, settings, wait=True)
        return await migrate.up(
            address,
            known,
            transaction=transaction,
            runner_lock_timeout_s=lock_timeout,
            ddl_lock_timeout_s=ddl_lock_timeout,
            on_progress=progress.tell,
            password=password,
        )

    output.say_done(run(work(), progress))


@migrations.command()
def down(
    count: Annotated[int, typer.Argument(min=1, help="How many versions.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
) -> None:
    """Take one track down by so many versions; rows in what is dropped are gone."""
    settings = Settings.load()
    known = known_tracks(settings, tracks, named=track)
    progress = output.Progress()

    async def work() -> Report:
        address, password = await reach(dsn, settings, wait=True)
        return await migrate.down(
            address,
            known,
            count,
            track=track,
            runner_lock_timeout_s=lock_timeout,
            on_progress=progress.tell,
            password=password,
        )

    output.say_done(run(work(), progress))


@migrations.command()
def goto(
    version: Annotated[int, typer.Argument(min=0, help="0 is nothing at all.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
) -> None:
    """Take one track up or down to a version."""
    settings = Settings.load()
    known = known_tracks(settings, tracks, named=track)
    progress = output.Progress()

    async def work() -> Report:
        address, password = await reach(dsn, settings, wait=True)
        return await migrate.goto(
            address,
            known,
            version,
            track=track,
            runner_lock_timeout_s=lock_timeout,
            on_progress=progress.tell,
            password=password,
        )

    output.say_done(run(work(), progress))


@migrations.command()
def force(
    version: Annotated[int, typer.Argument(min=0, help="0 is nothing at all.")],
    track: TrackName,
    dsn: Dsn = None,
    tracks: Tracks = None,
) -> None:
    """Write that a track is at this version and whole, without running a file."""
    settings = Settings.load()
    known = known_tracks(settings, tracks, named=track)

    async def work() -> Status:
        address, password = await reach(dsn, settings)
        return await migrate.force(address, known, version, track=track, password=password)

    output.show(run(work()))


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
    """Show where the database stands; this only reads."""
    found = _status(dsn, tracks)
    if as_json:
        typer.echo(json.dumps(output.as_json(found), indent=2))
    else:
        output.show(found)
    if check and not found.is_current:
        sound = not any(track.dirty or track.changed for track in found.tracks)
        raise typer.Exit(BEHIND if sound else FAILED)


@migrations.command()
def version(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Print the version of each track, 0 for none; this only reads."""
    for track in _status(dsn, tracks).tracks:
        dirty = "\tdirty" if track.dirty else ""
        typer.echo(f"{track.name}\t{track.version or 0}{dirty}")


@migrations.command()
def verify(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Exit with 3 if the database lacks a migration; this only reads."""
    settings = Settings.load()
    known = known_tracks(settings, tracks)

    async def work() -> Status:
        address, password = await reach(dsn, settings)
        return await migrate.verify(address, known, password=password)

    output.show(run(work()))


@migrations.command()
def plan(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    track: Annotated[str | None, typer.Option(help="Only this track.")] = None,
    to: Annotated[
        int | None, typer.Option(help="The version to go to; with --track.", min=0)
    ] = None,
) -> None:
    """Show the files that `up` would run, or `goto` with --track and --to; this only reads."""
    settings = Settings.load()
    known = known_tracks(settings, tracks, named=track)
    if to is not None and track is None:
        raise typer.BadParameter("--to needs --track")

    async def work() -> Sequence[PlannedFile]:
        address, password = await reach(dsn, settings)
        return await migrate.plan(address, known, track=track, target=to, password=password)

    output.show_plan(run(work()))


@migrations.command("dry-run")
def dry_run(
    dsn: Dsn = None,
    tracks: Tracks = None,
    *,
    lock_timeout: LockTimeout = 60.0,
    ddl_lock_timeout: DdlLockTimeout = 5.0,
) -> None:
    """Execute every pending migration, show how long each took, and roll all of it back."""
    settings = Settings.load()
    known = known_tracks(settings, tracks)
    progress = output.Progress()

    async def work() -> Report:
        address, password = await reach(dsn, settings)
        return await migrate.dry_run(
            address,
            known,
            runner_lock_timeout_s=lock_timeout,
            ddl_lock_timeout_s=ddl_lock_timeout,
            on_progress=progress.tell,
            password=password,
        )

    output.show_times(run(work(), progress))


@migrations.command()
def doctor(dsn: Dsn = None, tracks: Tracks = None) -> None:
    """Look for what is not as it should be; exit with 1 if there is anything. This only reads."""
    settings = Settings.load()
    known = known_tracks(settings, tracks)

    async def work() -> Checkup:
        address, password = await reach(dsn, settings)
        return await migrate.doctor(address, known, password=password)

    found = run(work())
    output.show_checkup(found)
    if not found.is_healthy:
        raise typer.Exit(FAILED)


@migrations.command()
def new(
    name: Annotated[str, typer.Argument(help="A few words.")],
    track: TrackName,
    tracks: Tracks = None,
) -> None:
    """Write the next pair of files of a track."""
    known = {each.name: each for each in known_tracks(Settings.load(), tracks, named=track)}
    try:
        paths = migrate.new(known[track], name)
    except OSError as error:
        raise ConfigError(f"the files cannot be written: {error}") from error
    for path in paths:
        typer.echo(path)


def _status(dsn: str | None, tracks: str | None) -> Status:
    settings = Settings.load()
    known: Sequence[Track] = known_tracks(settings, tracks)

    async def work() -> Status:
        address, password = await reach(dsn, settings)
        return await migrate.status(address, known, password=password)

    return run(work())
