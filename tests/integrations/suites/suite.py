"""A test suite of a framework, and the counts that its run must have."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Group:
    """Tests that are left out or fail, by a pattern of their ids, with their number and the reason.

    A bracket in a pattern is an ordinary character.
    """

    pattern: str
    count: int
    reason: str

    def matches(self, test: str) -> bool:
        """Return whether a test belongs to this group."""
        return fnmatchcase(test, self.pattern.replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests of one source distribution, as `make integrations` runs them.

    `files` are arguments of pytest. `appended` are lines for the end of a file, by its path.
    With `fixtures`, only the tests that request one of them are run.
    """

    name: str
    sdist: str
    files: tuple[str, ...]
    appended: Mapping[str, str]
    passed: int
    fixtures: frozenset[str] = frozenset()
    left_out: tuple[Group, ...] = ()
    failing: tuple[Group, ...] = ()
    skipped: int = 0
    plugins: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict[str, str])

    def wants(self, fixtures: Iterable[str]) -> bool:
        """Return whether a test that requests these fixtures belongs to the suite."""
        return not self.fixtures or not self.fixtures.isdisjoint(fixtures)

    def group_of(self, test: str) -> Group | None:
        """Return the first group that leaves a test out."""
        return next((group for group in self.left_out if group.matches(test)), None)

    def differences(self, outcomes: Mapping[str, str], left_out: Mapping[str, int]) -> list[str]:
        """Return the differences between a run and the pinned counts, none if it is as expected."""
        found: list[str] = []
        failed = sorted(test for test, outcome in outcomes.items() if outcome == "failed")
        for group in self.failing:
            matching = [test for test in failed if group.matches(test)]
            failed = [test for test in failed if test not in matching]
            if len(matching) != group.count:
                found.append(f"{group.pattern}: {len(matching)} failed, expected {group.count}")
        found += [f"{test} failed" for test in failed]
        for group in self.left_out:
            count = left_out.get(group.pattern, 0)
            if count != group.count:
                found.append(f"{group.pattern}: {count} left out, expected {group.count}")
        for outcome, expected in (("passed", self.passed), ("skipped", self.skipped)):
            count = sum(one == outcome for one in outcomes.values())
            if count != expected:
                found.append(f"{count} {outcome}, expected {expected}")
        return found
