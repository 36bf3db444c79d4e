"""The files of a new migration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidTrack
from agentrows.migrate.track import is_installed, load

if TYPE_CHECKING:
    from pathlib import Path

    from agentrows.migrate.track import Track

UP = """-- {words}: give the reason here.

"""
LONGEST_STEM: Final = 200
"""The names of files have at most 255 bytes."""
DOWN = """-- Undoes {words}.

"""


def create_migration(track: Track, name: str) -> tuple[Path, Path]:
    """Create the up file and the down file of a track's next migration; return their paths.

    The name becomes words of a-z, 0-9 and _. In a directory that is missing or empty, the number
    is 1.

    Raises:
        InvalidTrack: the name has no letter or digit, or a letter other than a to z; the files in
            the directory are malformed; or the track is installed with the library: its next
            release may have a file of the same number.
        OSError: a file cannot be written.

    """
    stem = "_".join(re.findall(r"[a-z0-9]+", name.lower()))
    if not stem:
        raise InvalidTrack(f"the name {name!r} has no ASCII letter or digit")
    strange = [each for each in name if each.isalnum() and not each.isascii()]
    if strange:
        raise InvalidTrack(
            f"the name {name!r} contains {strange[0]!r}: use letters from a to z, and digits"
        )
    if len(stem) > LONGEST_STEM:
        raise InvalidTrack(f"name must have at most {LONGEST_STEM} characters, got {len(stem)}")
    if track.is_builtin and is_installed():
        raise InvalidTrack(
            f"the track {track.name!r} is installed with agentrows, whose next release may have a "
            "file of the same number: add files to a track of your application"
        )
    has_files = track.directory.is_dir() and any(track.directory.iterdir())
    number = load(track).newest + 1 if has_files else 1
    track.directory.mkdir(parents=True, exist_ok=True)
    up = track.directory / f"{number:06}_{stem}.up.sql"
    down = track.directory / f"{number:06}_{stem}.down.sql"
    words = stem.replace("_", " ")
    _write_new(up, UP.format(words=words.capitalize()))
    try:
        _write_new(down, DOWN.format(words=words))
    except OSError:
        up.unlink()  # a track with only one file of a pair cannot be loaded
        raise
    return up, down


def _write_new(path: Path, text: str) -> None:
    """Write a file; raise FileExistsError if it exists."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
