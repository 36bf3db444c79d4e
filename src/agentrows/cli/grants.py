"""`agentrows grants`: the SQL that gives roles their rights, printed for an administrator."""

from __future__ import annotations

from typing import Annotated

import typer

from agentrows import migrate
from agentrows.cli.options import Tracks, known_tracks
from agentrows.config import Settings


def grants(
    tracks: Tracks = None,
    *,
    owner: Annotated[str, typer.Option(help="The role that migrates.")] = "agentrows_owner",
    service: Annotated[
        str, typer.Option(help="The role that reads and writes rows.")
    ] = "agentrows_service",
    reader: Annotated[str, typer.Option(help="The role that reads rows.")] = "agentrows_reader",
    schema: Annotated[str, typer.Option(help="The schema of the tables.")] = "public",
) -> None:
    """Print SQL that makes three roles and gives each what it needs, to be run by an administrator.

    It covers the tables of every track, the application's too. It asks no database, and holds no
    password. Run what it prints before the first migration and after each.
    """
    # Of every track, whatever is switched on here: nobody but the owner writes a tracking table.
    everything = {"vector_enabled": True, "row_security": True}
    known = known_tracks(Settings.load().model_copy(update=everything), tracks)
    sql = migrate.grants(known, owner=owner, service=service, reader=reader, schema=schema)
    typer.echo(sql, nl=False)
