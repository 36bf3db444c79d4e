"""`agentrows grants`: the SQL that gives roles their rights, printed for an administrator."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from agentrows.cli.help_texts import describe_use
from agentrows.cli.options import Tracks, find_tracks
from agentrows.config import Settings
from agentrows.roles.grants import grants

USE: Final = describe_use(
    "agentrows grants | psql --single-transaction",
    "agentrows grants --service app --schema platform",
    codes="0 done, 1 failed, 2 wrong usage",
)


def print_grants(
    tracks: Tracks = None,
    *,
    owner: Annotated[str, typer.Option(help="The role that migrates.")] = "agentrows_owner",
    service: Annotated[
        str, typer.Option(help="The role that reads and writes rows.")
    ] = "agentrows_service",
    reader: Annotated[str, typer.Option(help="The role that reads rows.")] = "agentrows_reader",
    schema: Annotated[str, typer.Option(help="The schema of the tables.")] = "public",
) -> None:
    """Print SQL that creates three roles and grants their rights.

    It includes the tables of every track, also of the application's. This command connects to no
    database and prints no password. An administrator runs the SQL before the first migration and
    after each.
    """
    # Tracks that are switched off here are included: only the owner may write a tracking table.
    everything = {"vector_enabled": True, "row_security": True}
    known = find_tracks(Settings.load().model_copy(update=everything), tracks)
    sql = grants(known, owner=owner, service=service, reader=reader, schema=schema)
    typer.echo(sql, nl=False)
