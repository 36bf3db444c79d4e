"""Tracks made of a few lines, for tests of the runner."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.migrate import Track, builtin_tracks
from agentrows.migrate.track import load_all

if TYPE_CHECKING:
    from pathlib import Path

    from agentrows.migrate.track import Precheck


def newest_versions() -> dict[str, int]:
    """The version of the newest file of each track of this project."""
    loaded = load_all(builtin_tracks(row_security=True))
    return {each.track.name: each.newest for each in loaded}


def write_track(  # noqa: PLR0913  one argument per field of a track
    root: Path,
    name: str,
    *ups: str,
    table: str | None = None,
    schema: str | None = None,
    precheck: Precheck | None = None,
    extensions: tuple[str, ...] = (),
) -> Track:
    """A track with these up files; its down files contain only a comment."""
    directory = root / name
    directory.mkdir(exist_ok=True)
    for version, sql in enumerate(ups, start=1):
        (directory / f"{version:06}_step.up.sql").write_text(sql)
        (directory / f"{version:06}_step.down.sql").write_text("-- Undoes nothing.\n")
    return Track(
        name,
        directory,
        table or f"{name}_versions",
        schema=schema,
        precheck=precheck,
        extensions=extensions,
    )
