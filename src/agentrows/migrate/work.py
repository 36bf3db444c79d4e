"""The work of a run in each track: its files, their order, and which need a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, InvalidTrack
from agentrows.migrate.file_checks import check_statements
from agentrows.migrate.index_statements import created_in
from agentrows.migrate.plan import Step, check_unchanged, external_move, plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate.status import State

GOLANG_MIGRATES: Final = {"schema_migrations", "vector_schema_migrations"}


@dataclass(frozen=True, slots=True)
class Work:
    """What a run has to do in one track."""

    state: State
    steps: tuple[Step, ...]
    waits: bool = False
    """Whether the track that this one comes after has steps outside of the transaction."""

    @property
    def is_needed(self) -> bool:
        """Whether there is anything to run, or to enter into the history."""
        return bool(self.steps) or self.moved_to is not None

    @property
    def moved_to(self) -> int | None:
        """The version to which another tool moved the track."""
        return external_move(self.state.row, self.state.history)

    @property
    def now(self) -> tuple[Step, ...]:
        """The steps of the run's transaction."""
        return self.steps[: len(self.steps) - len(self.later)]

    @property
    def later(self) -> tuple[Step, ...]:
        """The steps from the first one on that cannot be in the run's transaction."""
        if self.waits:
            return self.steps
        for number, step in enumerate(self.steps):
            if step.file.no_transaction:
                return self.steps[number:]
        return ()


def decide(state: State, target: int | None = None, *, required: int | None = None) -> Work:
    """Return a track's work; raise InvalidTrack for files that must not be run.

    With `required` the files above that version are left out. Raises ConfigError if this role
    cannot read the tracking table.
    """
    if not state.is_readable:
        raise ConfigError(f"permission denied for table {state.place.tracking}")
    check_unchanged(state.history, state.known)
    steps = plan(state.row, state.known, target)
    if required is not None:
        steps = tuple(step for step in steps if step.migration.version <= required)
    work = Work(state, steps)
    for step in work.steps:
        check_statements(step.file)
        created_in(step.file)
        if step.file.no_transaction and state.place.table in GOLANG_MIGRATES:
            raise InvalidTrack(
                f"{step.file.label}: asks to run outside of a transaction "
                f"({step.file.no_transaction}); golang-migrate runs this track too, so it cannot"
            )
    return work


def in_order(works: Sequence[Work]) -> list[Work]:
    """Let the tracks wait that come after one with steps outside of the transaction."""
    late: set[str] = set()
    ordered: list[Work] = []
    for work in works:
        track = work.state.known.track
        ordered.append(replace(work, waits=track.after in late))
        if ordered[-1].later:
            late.add(track.name)
    return ordered
