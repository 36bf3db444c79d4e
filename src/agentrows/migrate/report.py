"""What a run is asked to do, and what it says of itself."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from agentrows.config import Password
    from agentrows.migrate.plan import Direction, Step
    from agentrows.migrate.status import Status
    from agentrows.migrate.track import Track


@dataclass(frozen=True, slots=True)
class FileRun:
    """One file of a run; `duration_s` is None while it runs."""

    file: str
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did, in order (nothing, if `files` is empty), and where the database stands.

    `not_tried` are the files that a dry run left out: one that cannot run in a transaction, and
    those of its track behind it.
    """

    files: tuple[FileRun, ...]
    status: Status
    not_tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a run would execute.

    `heals` if it is run again after one that broke off, `rebuilds` if it is run again because an
    object that it makes is missing. A service that starts does not wait for an `optional` file.
    """

    track: str
    file: str
    direction: Direction
    heals: bool
    in_transaction: bool
    optional: bool = False
    rebuilds: bool = False

    @classmethod
    def of(cls, track: Track, step: Step, *, optional: bool = False) -> PlannedFile:
        """Return what there is to say of a step."""
        return cls(
            track=track.name,
            file=step.file.label,
            direction=step.direction,
            heals=step.heals,
            in_transaction=step.file.no_transaction is None,
            optional=optional,
            rebuilds=step.rebuilds,
        )


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """What a runner of the application's own gets; the repr shows neither DSN nor password."""

    dsn: str = field(repr=False)
    tracks: tuple[Track, ...]
    password: Password | None = field(default=None, repr=False)


MigrationRunner = Callable[[MigrationContext], Awaitable[None]]
OnProgress = Callable[[FileRun], None]
Transactions = Literal["run", "file"]


@dataclass(frozen=True, slots=True)
class Options:
    """How a run behaves."""

    runner_lock_timeout_s: float
    ddl_lock_timeout_s: float
    on_progress: OnProgress | None
    transaction: Transactions = "run"
    is_dry: bool = False
    rebuilds: bool = False
    """Whether optional files are run again whose index or storage setting is missing."""
    is_patient: bool = True
    """Whether a concurrent build waits for old transactions, and a blocked file is tried again."""

    def tell(self, run: FileRun) -> FileRun:
        """Pass progress on, and return it."""
        if self.on_progress:
            with contextlib.suppress(OSError):  # a closed stderr is no reason to stop
                self.on_progress(run)
        return run
