"""Differences between the objects that applied files create and those of a database.

The objects of the built-in tracks are in `migrations/catalog`; those of other tracks are read from
the text of their files. Objects that no file creates are not compared, except permissive policies:
other programs may add tables, columns and indexes.
"""

from __future__ import annotations

import logging
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING, Final

from agentrows.migrate.cures import (
    UP,
    drop_index,
    drop_policy,
    force_command,
    is_narrower,
    parse_column,
    repair_statement,
)
from agentrows.migrate.expected_objects import KINDS, ObjectKey, load_catalog
from agentrows.migrate.missing_objects import read_missing
from agentrows.migrate.schema_objects import SchemaReadError, StoredObject, read_objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.expected_objects import ExpectedObject
    from agentrows.migrate.missing_objects import Applied, Missing
    from agentrows.migrate.track import LoadedTrack, Migration

logger = logging.getLogger(__name__)

SHARED_TRACKS: Final = {"core", "vector"}
"""The tracks with tables of kagent: `up` runs none of their applied files again."""
KEYS: Final = ("PRIMARY KEY", "UNIQUE")
UNLOGGED: Final = "unlogged"
LONGEST_DEFINITIONS: Final = 120
"""Characters of the two definitions in an error."""
RERUN_RESTORES: Final = {"setting", "policy", "row security"}
"""Kinds of objects that a file gives its definition again when it runs a second time."""


@dataclass(frozen=True, slots=True)
class Difference:
    """An object that is missing or has another definition than the applied files give it.

    `object`: the kind, the name and the table, such as `column user_id of task`. `name` is shorter
    for an index: its name alone. `file`: the label of the file that creates it. `actual`: None if
    it is missing. `cure`: the command, or the SQL for the owner of the tables.
    `is_needed`: methods fail without it. `is_rebuilt`: `up` creates it again.
    `is_invalid`: it is an index that an interrupted build left. `repair_from`: the version to which
    `force` sets the track in the cure; None if the cure is another one.
    """

    object: str
    name: str
    file: str
    expected: str
    actual: str | None
    cure: str
    is_needed: bool = False
    is_rebuilt: bool = False
    is_invalid: bool = False
    repair_from: int | None = None

    def __str__(self) -> str:
        """Return the object and the difference; a long definition is left out."""
        if self.actual is None:
            return f"{self.object} is missing"
        if len(self.actual) + len(self.expected) > LONGEST_DEFINITIONS:
            return f"{self.object} has another definition"
        return f"{self.object} is {self.actual}, expected {self.expected}"


@dataclass(frozen=True, slots=True)
class Differences:
    """The differences of a track.

    `rebuilt`: the versions of the files that `up` runs again. `problem`: the reason for which the
    objects were not compared; None if they were.
    """

    found: tuple[Difference, ...] = ()
    rebuilt: frozenset[int] = field(default_factory=frozenset[int])
    problem: str | None = None

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the missing objects, and of indexes that an interrupted build left."""
        return tuple(each.name for each in self.found if each.actual is None or each.is_invalid)

    @property
    def altered(self) -> tuple[str, ...]:
        """The objects with another definition."""
        return tuple(
            each.object for each in self.found if each.actual is not None and not each.is_invalid
        )


async def read_differences(db: Connection, applied: Sequence[Applied]) -> dict[str, Differences]:
    """Return the differences of each track, by the track's name, in the order of the files.

    The objects of a built-in track are not compared while another session locks one of its tables
    for longer than 2 s, or changes them all the time: a warning is logged.
    """
    expected: dict[str, Mapping[ObjectKey, ExpectedObject]] = {
        each.known.track.name: load_catalog(each.known.track.name).expected_at(each.version)
        for each in applied
        if each.known.track.is_builtin
    }
    tables = {key.table for objects in expected.values() for key in objects}
    stored: dict[str, dict[ObjectKey, StoredObject]] = {}
    problem: str | None = None
    if tables:
        try:
            stored = await read_objects(db, {each.table_names.schema for each in applied}, tables)
        except SchemaReadError as error:
            problem = f"the schema was not compared: {error}"
            logger.warning("%s", problem)
    others = [each for each in applied if each.known.track.name not in expected]
    missing = await read_missing(db, others) if others else {}
    dropped = _find_dropped(applied, expected, stored)
    differences: dict[str, Differences] = {}
    for each in applied:
        name = each.known.track.name
        if name not in expected:
            differences[name] = _describe_missing(each.known, missing[name])
        elif problem is not None:
            differences[name] = Differences(problem=problem)
        else:
            objects = stored.get(each.table_names.schema, {})
            differences[name] = compare(each, expected[name], objects, dropped=dropped)
    return differences


def _find_dropped(
    applied: Sequence[Applied],
    expected: Mapping[str, Mapping[ObjectKey, ExpectedObject]],
    stored: Mapping[str, Mapping[ObjectKey, StoredObject]],
) -> frozenset[str]:
    """Return the missing tables of tracks that a newer release has migrated."""
    return frozenset(
        key.table
        for each in applied
        if each.version > each.known.newest
        for key in expected.get(each.known.track.name, {})
        if key.kind == "table" and key not in stored.get(each.table_names.schema, {})
    )


def compare(
    applied: Applied,
    expected: Mapping[ObjectKey, ExpectedObject],
    stored: Mapping[ObjectKey, StoredObject],
    *,
    dropped: frozenset[str] = frozenset(),
) -> Differences:
    """Compare the objects of a built-in track with those of its schema.

    Of a track that a newer release has migrated, only missing tables and columns are listed, and
    columns of a smaller integer type, because the files of that release may change the others, and
    `up` creates none of them. The objects of a missing table are not listed, nor those of the
    tables in `dropped`. A permissive policy that no file creates is listed, because rows that it
    accepts are visible to every user.
    """
    is_ahead = applied.version > applied.known.newest
    comparison = _Comparison(applied.known, expected, stored, dropped, is_ahead=is_ahead)
    found: list[Difference] = []
    rebuilt: set[int] = set()
    for key, wanted in sorted(expected.items(), key=_order):
        actual = stored.get(key)
        if is_ahead and not _is_compared_ahead(wanted, actual):
            continue
        if (actual.definition if actual else None) in wanted.accepted and (
            actual is None or actual.is_valid
        ):
            continue
        if comparison.is_rebuilt(key, actual):
            rebuilt.update(wanted.versions)
        if key.kind == "table" or comparison.has_table(key):
            found.append(comparison.describe(wanted, actual))
    found += [] if is_ahead else comparison.open_policies()
    return Differences(tuple(found), frozenset(rebuilt))


def _is_compared_ahead(wanted: ExpectedObject, actual: StoredObject | None) -> bool:
    """Return whether an object is compared of a track that a newer release has migrated."""
    if actual is None:
        return wanted.key.kind in ("table", "column")
    return wanted.key.kind == "column" and is_narrower(actual.definition, wanted.definition)


def _order(item: tuple[ObjectKey, ExpectedObject]) -> tuple[int, int, ObjectKey]:
    """Sort by the file, and a table before its parts, so that the cures can run in this order."""
    key, wanted = item
    return wanted.version, KINDS.index(key.kind), key


@dataclass(frozen=True, slots=True)
class _Comparison:
    """The expected and the stored objects of a track."""

    known: LoadedTrack
    expected: Mapping[ObjectKey, ExpectedObject]
    stored: Mapping[ObjectKey, StoredObject]
    dropped: frozenset[str]
    _: KW_ONLY
    is_ahead: bool

    def open_policies(self) -> list[Difference]:
        """Return the permissive policies that no file creates on tables with row security."""
        protected = {
            key.table: wanted for key, wanted in self.expected.items() if key.kind == "row security"
        }
        return [
            Difference(
                object=_describe_object(key),
                name=_name_object(key),
                file=self.known.migrations[protected[key.table].version - 1].up.label,
                expected="no other permissive policy",
                actual=policy.definition,
                cure=drop_policy(key),
            )
            for key, policy in sorted(self.stored.items())
            if key.kind == "policy"
            and key.table in protected
            and key not in self.expected
            and policy.definition.startswith("PERMISSIVE")
        ]

    def has_table(self, key: ObjectKey) -> bool:
        """Whether the object's table exists, or belongs to another track, which may create it."""
        table = ObjectKey("table", key.table)
        if key.table in self.dropped:
            return False
        return table in self.stored or table not in self.expected

    def is_rebuilt(self, key: ObjectKey, actual: StoredObject | None) -> bool:
        """Whether the object's file creates it again when it runs a second time."""
        if self.is_ahead or self.known.track.name in SHARED_TRACKS or key.table in self.dropped:
            return False
        if actual is None and (key.kind == "table" or not self.has_table(key)):
            return True
        if actual is not None and not actual.is_valid:
            return True
        if self._is_part_of_create_table(key):
            return False
        if actual is None and key.kind == "index":
            return not self.find_other_name(self.expected[key])
        return key.kind in RERUN_RESTORES or (actual is None and key.kind == "column")

    def _is_part_of_create_table(self, key: ObjectKey) -> bool:
        """Whether the file creates the object with its table, which IF NOT EXISTS skips."""
        table = self.expected.get(ObjectKey("table", key.table))
        is_same_file = table is not None and table.version == self.expected[key].version
        return is_same_file and key.kind in ("column", "constraint", "setting")

    def find_other_name(self, wanted: ExpectedObject) -> str:
        """Return the name of an unexpected object of the table with this definition, or ""."""
        key = wanted.key
        if key.kind not in ("index", "constraint"):
            return ""
        names = (
            other.name
            for other, stored in self.stored.items()
            if (other.kind, other.table) == (key.kind, key.table)
            and other not in self.expected
            and stored.is_valid
            and stored.definition == wanted.definition
        )
        return min(names, default="")

    def describe(self, wanted: ExpectedObject, actual: StoredObject | None) -> Difference:
        """Return the difference of an object."""
        key, is_rebuilt = wanted.key, self.is_rebuilt(wanted.key, actual)
        definition = actual.definition if actual else None
        other = "" if actual else self.find_other_name(wanted)
        migration = self.known.migrations[wanted.version - 1]
        cure = self._find_cure(wanted, actual, is_rebuilt=is_rebuilt, other=other)
        force = force_command(self.known.track.name, wanted.version)
        return Difference(
            object=_describe_object(key),
            name=_name_object(key),
            file=migration.up.label,
            expected=wanted.definition,
            actual=definition,
            cure=cure,
            repair_from=wanted.version - 1 if cure == force else None,
            is_needed=not other and _is_needed(wanted, definition),
            is_rebuilt=is_rebuilt,
            is_invalid=actual is not None and not actual.is_valid,
        )

    def _find_cure(
        self, wanted: ExpectedObject, actual: StoredObject | None, *, is_rebuilt: bool, other: str
    ) -> str:
        key, track = wanted.key, self.known.track.name
        if is_rebuilt:
            return UP
        if self.is_ahead and key.kind == "table":
            return "run `agentrows migrate doctor` of the release that migrated the track"
        if key.kind == "table" and (actual is None or actual.definition != UNLOGGED):
            rename = f"rename {key.table}, then " if actual else ""
            is_shared = track in SHARED_TRACKS
            return rename + (force_command(track, wanted.version) if is_shared else UP)
        if key.kind == "index" and actual is not None and track not in SHARED_TRACKS:
            return f"{drop_index(key.name)}, then {UP}"
        definition = actual.definition if actual else None
        return repair_statement(key, wanted.definition, definition, other=other)


def _is_needed(wanted: ExpectedObject, actual: str | None) -> bool:
    """Return whether methods fail without the object, or with its actual definition."""
    if wanted.key.kind == "table":
        return actual != UNLOGGED
    if wanted.key.kind == "column":
        if actual is None:
            return True
        stored, expected = parse_column(actual), parse_column(wanted.definition)
        is_other_type = stored.base_type != expected.base_type
        return is_other_type or (expected.assigns_ids and not stored.assigns_ids)
    if wanted.key.kind == "constraint":
        return wanted.definition.startswith(KEYS)
    return wanted.key.kind in ("policy", "row security")


def _describe_object(key: ObjectKey) -> str:
    return f"{key.kind} {key.name} of {key.table}" if key.name else f"{key.kind} {key.table}"


def _name_object(key: ObjectKey) -> str:
    if key.kind == "index":
        return key.name
    return f"{key.name} of {key.table}" if key.kind == "setting" else _describe_object(key)


def _describe_missing(known: LoadedTrack, missing: Sequence[Missing]) -> Differences:
    """Return the differences of a track without a catalog, from the text of its files."""
    optional = {migration.version for migration in known.optional}
    found = [_difference_of(known, each, each.migration, optional) for each in missing]
    rebuilt = {each.migration.version for each in missing} & optional
    return Differences(tuple(found), frozenset(rebuilt))


def _difference_of(
    known: LoadedTrack, missing: Missing, migration: Migration, optional: set[int]
) -> Difference:
    is_rebuilt = migration.version in optional
    return Difference(
        object=f"{'index ' * missing.is_index}{missing.name}",
        name=missing.name,
        file=migration.up.label,
        expected="",
        actual="INVALID" if missing.is_invalid else None,
        cure=UP if is_rebuilt else force_command(known.track.name, migration.version),
        repair_from=None if is_rebuilt else migration.version - 1,
        is_rebuilt=is_rebuilt,
        is_invalid=missing.is_invalid,
    )
