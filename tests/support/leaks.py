"""Fails each test that reveals a password in an error, a log, a warning or the output.

Every password of the tests contains MARK, so one search finds them all, also when they are quoted
or percent-encoded. The watch searches the texts of all errors of this library, also of caught ones;
the errors that a test expects, with their causes; the records of every logger, of this library from
DEBUG on; warnings; and stdout and stderr.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import AgentRowsError

if TYPE_CHECKING:
    import types
    import warnings
    from collections.abc import Generator, Iterator

MARK: Final = "hunter2"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and contexts, and the members of groups, each once."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        waiting += [one.__cause__, one.__context__]
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions  # pyright: ignore[reportUnknownMemberType]


def full_text(error: BaseException) -> str:
    """All texts of an error and its causes, without tracebacks, which quote the test."""
    return "\n".join(
        f"{one} {one!r} {one.args} {vars(one)}"  # notes and a driver's fields are in its vars
        for one in chain(error)
    )


class Listener(logging.Handler):
    """Passes each record to the watch."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.NOTSET)
        self.watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        text = f"{record.getMessage()} {record.args} {vars(record)}"
        self.watch.search("a log", text + (full_text(error) if error else ""))


class Watch:
    """Searches the output of each test, and fails the test in its last report."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def search(self, where: str, text: str) -> None:
        """Record a leaked password."""
        if MARK in text:
            self.found.append(f"{where} contains a password of the tests: {text}")

    def begin(self, patch: pytest.MonkeyPatch) -> None:
        """Watch errors and logs."""
        watch = self
        leave: Any = pytest.RaisesExc.__exit__

        def init(error: AgentRowsError, *args: object) -> None:
            super(AgentRowsError, error).__init__(*args)
            watch.search("an error", f"{args}")

        def leave_and_search(
            expected: object,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: types.TracebackType | None,
        ) -> bool:
            if error is not None:
                watch.search("an error, or its cause,", full_text(error))
            return bool(leave(expected, kind, error, trace))

        patch.setattr(AgentRowsError, "__init__", init)
        patch.setattr(pytest.RaisesExc, "__exit__", leave_and_search)
        logging.getLogger("agentrows").setLevel(logging.DEBUG)
        logging.getLogger().addHandler(Listener(self))

    @pytest.hookimpl
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        self.search("a warning", str(warning_message.message))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.passed:  # a test that failed is reported with its source
            self.search("the output", "".join(text for _, text in report.sections))
        if call.when == "teardown" and self.found:
            report.outcome = "failed"
            report.longrepr = "\n".join(self.found)
            self.found.clear()
        return report


def watch(config: pytest.Config) -> None:
    """Start the watch; it ends with the run."""
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    plugin = Watch()
    plugin.begin(patch)
    config.pluginmanager.register(plugin, "leaks")
