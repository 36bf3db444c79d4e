"""The objects that each version of a built-in track creates, from `migrations/catalog`.

A file of the catalog has one section for each migration. Its lines are the objects that differ from
those of the version before:

    000004_feedback_single_pkey
    + constraint feedback.feedback_pkey: PRIMARY KEY (id)

`+` is a definition, and `~` another one that is accepted as well, because a database that an ORM
made has it at this version; `~` without a definition accepts that the object is missing. `-` is an
object that no longer exists. `make catalog` writes the files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from agentrows.migrate.track import migrations_root

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "catalog"
KINDS: Final = ("table", "column", "constraint", "index", "setting", "policy", "row security")
_SECTION: Final = re.compile(r"(?P<version>[0-9]{6})_[a-z0-9_]+")
_LINE: Final = re.compile(
    rf"(?P<mark>[+~-]) (?P<kind>{'|'.join(KINDS)}) (?P<table>\w+)(?:\.(?P<name>[\w.]+))?"
    r"(?:: (?P<definition>.+))?"
)


@dataclass(frozen=True, slots=True, order=True)
class ObjectKey:
    """The kind of an object, its table, and its name there, which is empty for a table."""

    kind: str
    table: str
    name: str = ""

    def __str__(self) -> str:
        """Return the form of the catalog: column task.user_id."""
        return f"{self.kind} {self.table}{'.' * bool(self.name)}{self.name}"


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """An object that applied files create.

    `versions`: the version that creates it, then those that change it. `accepted`: its definition,
    then others that are also accepted; None accepts that it is missing.
    """

    key: ObjectKey
    versions: tuple[int, ...]
    accepted: tuple[str | None, ...]

    @property
    def version(self) -> int:
        """The version that creates it."""
        return self.versions[0]

    @property
    def definition(self) -> str:
        """The definition that the files of the track write."""
        return self.accepted[0] or ""


@dataclass(frozen=True, slots=True)
class TrackCatalog:
    """The objects of each version of a track: those that it adds or changes, and removes (None)."""

    changes: Mapping[int, Mapping[ObjectKey, tuple[str | None, ...] | None]]

    def expected_at(self, version: int) -> dict[ObjectKey, ExpectedObject]:
        """Return the objects that exist after the files up to a version."""
        objects: dict[ObjectKey, ExpectedObject] = {}
        for number, changes in sorted(self.changes.items()):
            if number > version:
                break
            for key, accepted in changes.items():
                before = objects.pop(key, None)
                if accepted is not None:
                    versions = (*(before.versions if before else ()), number)
                    objects[key] = ExpectedObject(key, versions, accepted)
        return objects


def parse_catalog(text: str) -> TrackCatalog:
    """Parse a file of the catalog; raise ValueError for a line of another form."""
    changes: dict[int, dict[ObjectKey, tuple[str | None, ...] | None]] = {}
    version = 0
    for line in text.split("\n"):
        if not line or line.startswith("#"):
            continue
        if section := _SECTION.fullmatch(line):
            version = int(section["version"])
            changes[version] = {}
            continue
        match = _LINE.fullmatch(line)
        if match is None or version == 0:
            raise ValueError(f"not a line of the catalog: {line!r}")
        key = ObjectKey(match["kind"], match["table"], match["name"] or "")
        if match["mark"] == "-":
            changes[version][key] = None
        else:
            accepted = () if match["mark"] == "+" else changes[version][key] or ()
            changes[version][key] = (*accepted, match["definition"])
    return TrackCatalog(changes)


@lru_cache(maxsize=8)
def load_catalog(track: str) -> TrackCatalog:
    """Return the catalog of a built-in track."""
    path = migrations_root() / FOLDER / f"{track}.txt"
    return parse_catalog(path.read_text(encoding="utf-8"))
