"""A pytest plugin: it leaves tests out and writes the outcome of each test to a file.

The environment names the suite (AGENTROWS_SUITE) and the file (AGENTROWS_OUTCOMES).
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from integrations.suites.pins import SUITES

if TYPE_CHECKING:
    from integrations.suites.suite import Suite

outcomes: dict[str, str] = {}
LEFT_OUT: Final = pytest.StashKey[dict[str, int]]()


def suite() -> Suite:
    """Return the suite that the environment names."""
    name = os.environ["AGENTROWS_SUITE"]
    return next(one for family in SUITES.values() for one in family if one.name == name)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the counts."""
    config.stash[LEFT_OUT] = {}
    if config.pluginmanager.hasplugin("xdist"):
        config.pluginmanager.register(Workers(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests of other fixtures and those of the groups that are left out."""
    wanted = suite()
    counts: Counter[str] = Counter()
    kept: list[pytest.Item] = []
    for item in items:
        if not wanted.wants(getattr(item, "fixturenames", ())):
            continue
        if group := wanted.group_of(item.nodeid):
            counts[group.pattern] += 1
        else:
            kept.append(item)
    items[:] = kept
    config.stash[LEFT_OUT] = dict(counts)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note the outcome of a test: failed, if one of its phases did."""
    ended = report.outcome != "passed" or report.when == "call"
    if ended and outcomes.get(report.nodeid) != "failed":
        outcomes[report.nodeid] = report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Pass the counts of a worker to the controller, or write them to the file."""
    config = session.config
    output: dict[str, Any] | None = getattr(config, "workeroutput", None)
    if output is not None:
        output["left_out"] = config.stash[LEFT_OUT]
        return
    Path(os.environ["AGENTROWS_OUTCOMES"]).write_text(
        json.dumps({"outcomes": outcomes, "left_out": config.stash[LEFT_OUT]})
    )


class Workers:
    """The hooks of pytest-xdist."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config

    def pytest_testnodedown(self, node: Any) -> None:  # noqa: ANN401  xdist has no types
        """Take the counts of a worker. Every worker collects the same tests."""
        self.config.stash[LEFT_OUT] = node.workeroutput["left_out"]
