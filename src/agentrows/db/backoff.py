"""Wait times between attempts, and loggers that summarize frequent attempts."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RetryLog", "WaitLog", "wait_times"]

# Without any logging configuration Python prints warnings to stderr, without a logger name.
logger = logging.getLogger("agentrows")

LOG_EVERY_S: Final = 5.0


def wait_times(first_s: float, longest_s: float, *, jitter_s: float) -> Iterator[float]:
    """Yield wait times in seconds: `first_s`, doubling up to `longest_s`, each with jitter."""
    wait_s = first_s
    while True:
        yield min(longest_s, wait_s + random.uniform(0, jitter_s))  # noqa: S311  not a secret
        wait_s = min(longest_s, 2 * wait_s)


@dataclass(slots=True)
class RetryLog:
    """Logs the retries of a client: the first one at once, then one line per 5 s with a count."""

    _next_at: float = 0.0
    _unlogged: int = 0

    def log(self, call: str, *, now: float, elapsed_s: float, error: Exception) -> None:
        """Log a retry, or count it for the next line."""
        if now < self._next_at:
            self._unlogged += 1
            return
        others = f" (and {self._unlogged} retries before it)" if self._unlogged else ""
        self._next_at = now + LOG_EVERY_S
        self._unlogged = 0
        # The text, because a handler that stores records would keep the error's frames alive.
        logger.warning("retrying %s after %.1f s: %s%s", call, elapsed_s, str(error), others)


@dataclass(slots=True)
class WaitLog:
    """Logs a long wait: at its start, when its time has doubled, and when the reason changes."""

    target: str
    limit_s: float
    _next_at_s: float = 0.0
    _reason: str = ""

    def log(self, reason: str, *, elapsed_s: float) -> None:
        """Log the reason of a wait, unless the same reason was logged a short time ago."""
        if elapsed_s < self._next_at_s and reason == self._reason:
            return
        self._reason = reason
        self._next_at_s = max(1.0, 2 * elapsed_s)
        logger.warning(
            "waiting for %s: %s (%.0f s of %.0f s)", self.target, reason, elapsed_s, self.limit_s
        )
