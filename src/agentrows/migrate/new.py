"""Starts a migration: a pair of files with the next number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from agentrows.errors import InvalidTrack
from agentrows.migrate.track import load

if TYPE_CHECKING:
    from pathlib import Path

    from agentrows.migrate.track import Track

UP = """-- {words}: say here why.

"""
DOWN = """-- Undoes {words}.

"""


def new(track: Track, name: str) -> tuple[Path, Path]:
    """Write the pair of files that follows a track's last one, and return their paths.

    The name becomes words of a-z, 0-9 and _. Raises InvalidTrack for a name without any, and for
    a directory whose files are not well formed; one that is missing or empty gets the number 1.
    """
    stem = "_".join(re.findall(r"[a-z0-9]+", name.lower()))
    if not stem:
        raise InvalidTrack(f"the name {name!r} has no letter or digit")
    has_files = track.directory.is_dir() and any(track.directory.iterdir())
    number = load(track).newest + 1 if has_files else 1
    track.directory.mkdir(parents=True, exist_ok=True)
    up = track.directory / f"{number:06}_{stem}.up.sql"
    down = track.directory / f"{number:06}_{stem}.down.sql"
    words = stem.replace("_", " ")
    up.write_text(UP.format(words=words.capitalize()), encoding="utf-8")
    down.write_text(DOWN.format(words=words), encoding="utf-8")
    return up, down
