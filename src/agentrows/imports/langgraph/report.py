"""The result and the progress of an import."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agentrows.gen.models import SourceCounts
    from agentrows.imports.langgraph.source import CheckpointKey

__all__ = ["ImportProgress", "ImportReport", "Refused", "Skipped"]


class Skipped(NamedTuple):
    """A thread that is not copied, because it has no owner, or no id that can be stored."""

    thread_id: str
    checkpoints: int
    reason: str


class Refused(NamedTuple):
    """A checkpoint that cannot be stored, and its writes."""

    key: CheckpointKey
    reason: str


class ImportProgress(NamedTuple):
    """The progress of one phase of a run, in checkpoints of the source."""

    phase: str
    done: int
    total: int


@dataclass(slots=True)
class ImportReport:
    """The result of a run."""

    source: SourceCounts
    is_dry_run: bool = False
    threads: int = 0
    """Threads with an owner."""
    checkpoints: int = 0
    """Checkpoints of these threads in the source."""
    writes: int = 0
    """Writes of these threads in the source."""
    incomplete: int = 0
    """Checkpoints that were missing or different, or a write of which was."""
    stored_checkpoints: int = 0
    stored_values: int = 0
    stored_writes: int = 0
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    refused: list[Refused] = field(default_factory=list[Refused])
    kept: set[CheckpointKey] = field(default_factory=set["CheckpointKey"])
    """Checkpoints that were stored again or deleted here, or a special write of which was; they
    remain as they are."""
    missing: list[CheckpointKey] = field(default_factory=list["CheckpointKey"])
    """Checkpoints of the source that verification did not find here, or a write of which."""
    compared: int = 0
    """Checkpoints that verification compared byte by byte."""
    different: list[CheckpointKey] = field(default_factory=list["CheckpointKey"])
    """Those of them that differ."""

    @property
    def is_complete(self) -> bool:
        """Whether every thread with an owner is stored with all of its rows."""
        return not (self.refused or self.missing or self.different)
