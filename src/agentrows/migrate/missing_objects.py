"""Objects that applied files created and that the database no longer has.

A down file of another tool drops a table with the indexes of our tracks on it, and their versions
do not change. The expected objects are read from the text of the files, so an index that a DO
block creates, and one that was renamed, are not compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agentrows.migrate import relations
from agentrows.migrate.index_statements import created_indexes, indexes_after, settings_after

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentrows.db.sources import Connection
    from agentrows.migrate.ledger import TableNames
    from agentrows.migrate.track import LoadedTrack, Migration


@dataclass(frozen=True, slots=True)
class Applied:
    """The completely applied migrations of a track."""

    known: LoadedTrack
    table_names: TableNames
    version: int

    @property
    def migrations(self) -> tuple[Migration, ...]:
        """The migrations up to the version."""
        return tuple(each for each in self.known.migrations if each.version <= self.version)


@dataclass(frozen=True, slots=True)
class Missing:
    """An index, a storage setting or a column that is missing, and its migration."""

    name: str
    migration: Migration
    is_index: bool = True
    is_invalid: bool = False
    """Whether the index exists and is INVALID."""

    def __str__(self) -> str:
        """Return the index's name, `fillfactor of memory` or `column agentrows_run_id of …`."""
        return self.name


async def read_missing(db: Connection, applied: Sequence[Applied]) -> dict[str, list[Missing]]:
    """Return the missing objects of each track, by the track's name, in the order of the files."""
    expected = _expected_indexes(applied)
    settings = {
        each.known.track.name: settings_after(m.up for m in each.migrations) for each in applied
    }
    schemas = sorted({each.table_names.schema for each in applied})
    tables = sorted({table for of_track in settings.values() for table, _ in of_track})
    present: dict[tuple[str, str], bool] = {}
    if expected or tables:
        present = await relations.read_objects(db, schemas, list(expected), tables)
    missing: dict[str, list[Missing]] = {}
    for each in applied:
        name = each.known.track.name
        objects = [
            Missing(
                index, _find_creator(each.migrations, index), is_invalid=(index, table) in present
            )
            for index, (table, owner) in expected.items()
            if owner == name and not present.get((index, table))
        ]
        objects += [
            Missing(f"{setting} of {table}", _find_setter(each.migrations, table), is_index=False)
            for table, setting in settings[name]
            if (setting, table) not in present
        ]
        missing[name] = sorted(objects, key=lambda m: (m.migration.version, m.name))
    return missing


def _expected_indexes(applied: Iterable[Applied]) -> dict[str, tuple[str, str]]:
    """Return the indexes that the applied files create: the table and the track of each."""
    return {
        index: (table, each.known.track.name)
        for each in applied
        for index, table in indexes_after(m.up for m in each.migrations).items()
    }


def _find_creator(migrations: Sequence[Migration], index: str) -> Migration:
    return next(m for m in migrations if index in {each.name for each in created_indexes(m.up)})


def _find_setter(migrations: Sequence[Migration], table: str) -> Migration:
    return next(m for m in migrations if any(t == table for t, _ in settings_after([m.up])))
