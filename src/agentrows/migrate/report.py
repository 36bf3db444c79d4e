"""The options of a run, its progress and its report."""

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
    direction: Direction = "up"


@dataclass(frozen=True, slots=True)
class Report:
    """The files that a run executed, in order, and the status of the database afterwards.

    `not_tried` are the files that a dry run left out: a file that allows no transaction, and the
    later files of its track.
    """

    files: tuple[FileRun, ...]
    status: Status
    not_tried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """A file that a run would execute.

    `heals`: an earlier run left it half applied. `rebuilds`: it is applied, and an object of it is
    missing or changed. `optional`: a service that starts does not wait for it. `sql`: the text of
    the file.
    """

    track: str
    file: str
    direction: Direction
    heals: bool
    in_transaction: bool
    optional: bool = False
    rebuilds: bool = False
    sql: str | None = field(default=None, repr=False)

    @classmethod
    def from_step(cls, track: Track, step: Step, *, optional: bool = False) -> PlannedFile:
        """Describe a step of a track."""
        return cls(
            track=track.name,
            file=step.file.label,
            direction=step.direction,
            heals=step.heals,
            in_transaction=step.file.no_transaction is None,
            optional=optional,
            rebuilds=step.rebuilds,
            sql=step.file.sql,
        )


@dataclass(frozen=True, slots=True)
class MigrationContext:
    """The argument of an application's own runner; its repr has neither DSN nor password."""

    dsn: str = field(repr=False)
    tracks: tuple[Track, ...]
    password: Password | None = field(default=None, repr=False)


MigrationRunner = Callable[[MigrationContext], Awaitable[None]]
OnProgress = Callable[[FileRun], None]
Transactions = Literal["run", "file"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one run."""

    lock_timeout_s: float
    ddl_lock_timeout_s: float
    on_progress: OnProgress | None
    transaction: Transactions = "run"
    is_dry: bool = False
    statement_timeout_s: float | None = None
    rebuilds: bool = False
    """Whether applied files with missing objects are run again."""
    max_steps: int | None = None
    """The most files that the run executes; None for all."""
    only_track: str | None = None
    """The only track whose files are run again."""
    is_patient: bool = True
    """Whether a concurrent build waits for old transactions, and a blocked file is tried again."""

    def report(self, run: FileRun) -> FileRun:
        """Call `on_progress`, and return the progress."""
        if self.on_progress:
            with contextlib.suppress(OSError):  # a closed stderr must not stop the run
                self.on_progress(run)
        return run
