"""Creates the pair of files of the next migration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from agentrows.errors import InvalidTrack
from agentrows.migrate.track import is_installed, load

if TYPE_CHECKING:
    from pathlib import Path

    from agentrows.migrate.track import Track

UP = """-- {words}: say here why.

"""
LONGEST_STEM: Final = 200
"""File systems take names of 255 bytes."""
DOWN = """-- Undoes {words}.

"""


def new(track: Track, name: str) -> tuple[Path, Path]:
    """Write the pair of files that follows a track's last one, and return their paths.

    The name becomes words of a-z, 0-9 and _. A directory that is missing or empty gets number 1.

    Raises InvalidTrack for a name without a letter or digit, or with letters other than a to z;
    for a directory whose files are not well formed; and for a track that is installed with the
    library, because the next release has files of the same numbers.
    """
    stem = "_".join(re.findall(r"[a-z0-9]+", name.lower()))
    if not stem:
        raise InvalidTrack(f"the name {name!r} has no letter or digit of ASCII")
    strange = [each for each in name if each.isalnum() and not each.isascii()]
    if strange:
        raise InvalidTrack(
            f"the name {name!r} has {strange[0]!r}; the name of a file has letters from a to z and "
            "digits"
        )
    if len(stem) > LONGEST_STEM:
        raise InvalidTrack(f"the name has {len(stem)} characters, {LONGEST_STEM} is the most")
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
        up.unlink()  # one file of a pair makes a track that cannot be read
        raise
    return up, down


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet."""
    with path.open("x", encoding="utf-8") as file:
        file.write(text)
