"""The JSON documents of commands whose result is no object with fields of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agentrows import TableStats
    from agentrows.migrate import HistoryEntry, PlannedFile


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """The document of `migrate plan`; `sql` of a file is null without --sql."""

    files: Sequence[PlannedFile]


@dataclass(frozen=True, slots=True)
class HistoryDocument:
    """The document of `migrate history`."""

    entries: Sequence[HistoryEntry]


@dataclass(frozen=True, slots=True)
class TrackVersion:
    """The version of a track, 0 for none."""

    name: str
    version: int
    dirty: bool


@dataclass(frozen=True, slots=True)
class VersionsDocument:
    """The document of `migrate version`."""

    tracks: Sequence[TrackVersion]


@dataclass(frozen=True, slots=True)
class NewFilesDocument:
    """The document of `migrate new`: the paths of the files."""

    files: Sequence[Path]


@dataclass(frozen=True, slots=True)
class StatsDocument:
    """The document of `stats`.

    `uncovered_tables`: tables with a column user_id that export_user and erase_user do not cover.
    """

    tables: Sequence[TableStats]
    uncovered_tables: Sequence[str]


@dataclass(frozen=True, slots=True)
class MemoryIndexState:
    """The state of an index of agentrows_memory."""

    dimensions: int
    name: str
    exists: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class MemoryIndexesDocument:
    """The document of `memory indexes`; `superseded` are indexes that no search uses any more."""

    indexes: Sequence[MemoryIndexState]
    superseded: Sequence[str]


@dataclass(frozen=True, slots=True)
class MemoryIndexDocument:
    """The document of `memory index`; `was_built` is false if a valid index existed."""

    dimensions: int
    name: str
    was_built: bool
