"""What a run will do: decided without a database, so tested without one."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrows.errors import DirtySchema, InvalidTrack, MigrationError
from agentrows.migrate import Track
from agentrows.migrate.plan import (
    NOTHING,
    Entry,
    Row,
    check_unchanged,
    external_move,
    find_mover,
    plan_steps,
)
from agentrows.migrate.track import File, LoadedTrack, Migration


def known(newest: int) -> LoadedTrack:
    """A track with this many versions; the file of version v has the hash "v"."""
    return LoadedTrack(
        Track("t", Path(), "versions"),
        tuple(
            Migration(v, f"{v:06}_x", File(f"t/{v}", "", str(v)), File(f"t/{v} down", "", ""))
            for v in range(1, newest + 1)
        ),
    )


def steps(row: Row | None, newest: int) -> list[tuple[int, bool]]:
    return [(step.migration.version, step.heals) for step in plan_steps(row, known(newest))]


@pytest.mark.parametrize(
    ("row", "newest", "expected"),
    [
        (None, 3, [(1, False), (2, False), (3, False)]),
        (Row(1, dirty=False), 3, [(2, False), (3, False)]),
        (Row(3, dirty=False), 3, []),
        (Row(4, dirty=False), 3, []),
        (Row(20260101, dirty=False), 3, []),
        (Row(2, dirty=True), 3, [(2, True), (3, False)]),
        (Row(3, dirty=True), 3, [(3, True)]),
        (Row(NOTHING, dirty=True), 2, [(1, False), (2, False)]),
    ],
)
def test_plan_goes_from_the_applied_version_to_the_newest(
    row: Row | None, newest: int, expected: list[tuple[int, bool]]
) -> None:
    assert steps(row, newest) == expected


def test_ahead_and_dirty_is_refused() -> None:
    with pytest.raises(DirtySchema, match="dirty at version 4, and the newest file here is 3"):
        plan_steps(Row(4, dirty=True), known(3))


@pytest.mark.parametrize("row", [Row(0, dirty=False), Row(0, dirty=True), Row(-1, dirty=False)])
def test_a_version_that_no_tool_writes_is_refused(row: Row) -> None:
    with pytest.raises(MigrationError, match="no tool writes"):
        plan_steps(row, known(3))


@given(version=st.integers(1, 30), newest=st.integers(1, 20), dirty=st.booleans())
def test_a_plan_is_a_run_without_gaps_up_to_the_newest(
    version: int, newest: int, *, dirty: bool
) -> None:
    row = Row(version, dirty=dirty)
    if dirty and version > newest:
        with pytest.raises(DirtySchema):
            plan_steps(row, known(newest))
        return
    planned = steps(row, newest)
    assert [v for v, _ in planned] == list(range(version + (not dirty), newest + 1))
    assert [v for v, heals in planned if heals] == ([version] if dirty else [])


@given(version=st.integers(1, 20), newest=st.integers(1, 20))
def test_plan_after_an_executed_plan_is_empty(version: int, newest: int) -> None:
    planned = plan_steps(Row(version, dirty=False), known(newest))
    reached = planned[-1].migration.version if planned else version
    assert reached == max(version, newest)
    assert plan_steps(Row(reached, dirty=False), known(newest)) == ()


@given(data=st.data(), newest=st.integers(1, 20))
def test_plan_to_a_target_has_one_step_per_version(data: st.DataObject, newest: int) -> None:
    version = data.draw(st.integers(0, newest))
    target = data.draw(st.integers(0, newest))
    row = Row(version, dirty=False) if version else None
    planned = plan_steps(row, known(newest), target)
    assert {step.direction for step in planned} <= {"up" if target > version else "down"}
    at = version
    for step in planned:
        reached = max(step.reaches, 0)
        assert abs(reached - at) == 1
        at = reached
    assert at == target
    assert not any(step.heals for step in planned)


def test_last_down_file_reaches_no_version_as_in_golang_migrate() -> None:
    planned = plan_steps(Row(2, dirty=False), known(3), 0)
    assert [(step.file.label, step.reaches) for step in planned] == [
        ("t/2 down", 1),
        ("t/1 down", NOTHING),
    ]


@pytest.mark.parametrize("row", [Row(2, dirty=True), Row(NOTHING, dirty=True)])
def test_dirty_track_can_only_go_up(row: Row) -> None:
    with pytest.raises(DirtySchema, match="`agentrows migrate up` first"):
        plan_steps(row, known(3), 1)


@pytest.mark.parametrize("target", [-1, 4])
def test_a_target_without_a_file_is_refused(target: int) -> None:
    with pytest.raises(MigrationError, match=f"no version {target}"):
        plan_steps(Row(2, dirty=False), known(3), target)


def test_track_that_is_ahead_cannot_be_rolled_back() -> None:
    with pytest.raises(MigrationError, match="the release that has the files above it"):
        plan_steps(Row(4, dirty=False), known(3), 1)


STARTED = (Entry(1, "1"), Entry(2, None, is_start=True))


def test_dirty_row_is_of_this_library_if_its_history_has_the_start() -> None:
    assert find_mover(Row(2, dirty=True), STARTED) == "agentrows"
    assert find_mover(Row(3, dirty=True), STARTED) == "another tool"


def test_move_that_another_tool_finished_belongs_to_that_tool() -> None:
    assert find_mover(Row(2, dirty=False), STARTED) == "another tool"
    assert external_move(Row(2, dirty=False), STARTED) == 2


OURS = (Entry(1, "1"), Entry(2, "2"))


@pytest.mark.parametrize(
    ("row", "history", "mover", "move"),
    [
        (None, (), "nobody", None),
        (Row(2, dirty=False), OURS, "agentrows", None),
        (Row(2, dirty=False), (Entry(2, None),), "agentrows", None),
        (Row(2, dirty=False), (), "another tool", 2),
        (Row(3, dirty=False), OURS, "another tool", 3),
        (Row(1, dirty=False), OURS, "another tool", 1),
        (None, OURS, "nobody", NOTHING),
        (None, (*OURS, Entry(NOTHING, None)), "nobody", None),
        (Row(2, dirty=True), OURS, "another tool", None),
        (Row(2, dirty=True), (), "another tool", None),
    ],
)
def test_row_is_of_this_library_while_its_history_agrees(
    row: Row | None, history: tuple[Entry, ...], mover: str, move: int | None
) -> None:
    assert find_mover(row, history) == mover
    assert external_move(row, history) == move


@given(
    history=st.lists(st.builds(Entry, st.integers(1, 9), st.none() | st.just("x"))),
    row=st.none() | st.builds(Row, st.integers(1, 9), dirty=st.just(value=False)),
)
def test_a_move_that_was_entered_leaves_a_history_that_agrees(
    history: list[Entry], row: Row | None
) -> None:
    move = external_move(row, history)
    entered = history if move is None else [*history, Entry(move, None)]
    assert external_move(row, entered) is None
    assert find_mover(row, entered) == ("nobody" if row is None else "agentrows")


def test_files_as_they_were_applied_are_accepted() -> None:
    check_unchanged([*OURS, Entry(7, None)], known(3))


def test_a_changed_file_is_named_with_both_hashes() -> None:
    with pytest.raises(InvalidTrack, match=r"t/2 was changed .* sha256 old then, 2 now"):
        check_unchanged([Entry(1, "1"), Entry(2, "old")], known(3))


def test_file_that_another_tool_rolled_back_may_change() -> None:
    check_unchanged([Entry(1, "1"), Entry(2, "old"), Entry(1, None)], known(3))
    with pytest.raises(InvalidTrack, match="t/1 was changed"):
        check_unchanged([Entry(1, "old"), Entry(2, "old"), Entry(1, None)], known(3))


def test_the_last_application_of_a_version_counts() -> None:
    check_unchanged([Entry(2, "old"), Entry(2, "2")], known(3))
