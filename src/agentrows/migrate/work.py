"""The work of a run in each track: its files, their order, and which need a transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, InvalidTrack, MigrationError
from agentrows.migrate.file_checks import check_statements
from agentrows.migrate.index_statements import created_indexes
from agentrows.migrate.plan import Step, check_unchanged, external_move, plan_steps

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agentrows.migrate.status import State

GOLANG_MIGRATE_TABLES: Final = {"schema_migrations", "vector_schema_migrations"}
"""Tracking tables that golang-migrate uses as well."""


@dataclass(frozen=True, slots=True)
class TrackWork:
    """The steps of a run in one track."""

    state: State
    steps: tuple[Step, ...]
    is_deferred: bool = False
    """Whether the track that this one comes `after` has steps after the commit."""

    @property
    def is_needed(self) -> bool:
        """Whether there is a file to run, or a move to record in the history."""
        return bool(self.steps) or self.moved_to is not None

    @property
    def moved_to(self) -> int | None:
        """The version to which another tool moved the track; None if it did not."""
        return external_move(self.state.row, self.state.history)

    @property
    def steps_in_run(self) -> tuple[Step, ...]:
        """The steps in the run's transaction."""
        return self.steps[: len(self.steps) - len(self.steps_after_commit)]

    @property
    def steps_after_commit(self) -> tuple[Step, ...]:
        """The steps from the first one that cannot run in the run's transaction."""
        if self.is_deferred:
            return self.steps
        for number, step in enumerate(self.steps):
            if step.file.no_transaction:
                return self.steps[number:]
        return ()


def decide(state: State, target: int | None = None, *, required: int | None = None) -> TrackWork:
    """Return the steps that migrate a track to its newest file, or to the target version.

    With `required`, files above that version are left out.

    Raises:
        ConfigError: this role cannot read the tracking table.
        InvalidTrack: a file must not be run, or was changed after it was applied.
        DirtySchema, MigrationError: there is no way from the applied version to the target.

    """
    if not state.is_readable:
        raise ConfigError(f"permission denied for table {state.table_names.tracking}")
    check_unchanged(state.history, state.known)
    steps = plan_steps(state.row, state.known, target)
    if required is not None:
        steps = tuple(step for step in steps if step.migration.version <= required)
    for step in steps:
        check_statements(step.file)
        created_indexes(step.file)  # raises InvalidTrack for an index without a name
        if step.file.no_transaction and state.table_names.table in GOLANG_MIGRATE_TABLES:
            raise InvalidTrack(
                f"{step.file.label}: asks to run outside of a transaction "
                f"({step.file.no_transaction}); golang-migrate runs this track too, so it cannot"
            )
    return TrackWork(state, steps)


def select_work(
    states: Sequence[State], *, track: str | None = None, max_steps: int | None = None
) -> list[TrackWork]:
    """Return the work of `up` in every track, or in one, with at most `max_steps` files.

    Raises MigrationError for a single track that comes after another with pending files, and the
    errors of `decide`.
    """
    works = [decide(state) for state in states if track in (None, state.known.track.name)]
    for state in states:
        name = state.known.track.name
        comes_before = track is not None and works[0].state.known.track.after == name
        if comes_before and works[0].steps and decide(state).steps:
            raise MigrationError(
                f"track {track!r} comes after {name!r}, which has pending files: run "
                f"`agentrows migrate up --track {name}` first"
            )
    return works if max_steps is None else take_steps(works, max_steps)


def take_steps(works: Sequence[TrackWork], count: int) -> list[TrackWork]:
    """Return the works with only the first `count` steps of the run, in its order."""
    scheduled = schedule(works)
    in_order = [(work, step) for work in scheduled for step in work.steps_in_run]
    in_order += [(work, step) for work in scheduled for step in work.steps_after_commit]
    taken = {id(step) for _, step in in_order[:count]}
    return [
        replace(work, steps=tuple(step for step in work.steps if id(step) in taken))
        for work in works
    ]


def schedule(works: Sequence[TrackWork]) -> list[TrackWork]:
    """Defer the tracks that come after a track with steps after the commit."""
    late: set[str] = set()
    scheduled: list[TrackWork] = []
    for work in works:
        track = work.state.known.track
        scheduled.append(replace(work, is_deferred=track.after in late))
        if scheduled[-1].steps_after_commit:
            late.add(track.name)
    return scheduled
