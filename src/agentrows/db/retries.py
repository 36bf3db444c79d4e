"""Retries of calls that had no effect or are repeatable, until a deadline.

Unavailable and Aborted are retried. A lost connection is Unavailable in a statement that is
`repeatable`, and OutcomeUnknown, which is not retried, in one that must run `once`.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from agentrows.db.backoff import RetryLog, wait_times
from agentrows.errors import Aborted, AgentRowsError, ClientClosed, PoolTimeout, Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    OnRetry = Callable[["Retry"], None]

__all__ = ["NO_RETRIES", "Retries", "Retry"]

T = TypeVar("T")
logger = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0
JITTER_S: Final = 0.05
FINAL: Final = (PoolTimeout, ClientClosed)
"""Kinds of Unavailable that a retry would repeat: the queue is too long, the client is closed."""


@dataclass(frozen=True)
class Retry:
    """A retry of a call that had no effect or is repeatable; passed to `on_retry` before it."""

    attempt: int
    """The number of the attempt that follows: 2, 3, …"""
    elapsed_s: float
    """Seconds since the start of the call."""
    error: AgentRowsError
    """The error of the previous attempt: Unavailable or Aborted; AlreadyExists for an upsert."""


@dataclass(frozen=True)
class Retries:
    """The time in which a call is retried, in seconds, and the hook that is called before each."""

    timeout_s: float
    on_retry: OnRetry | None = None
    _log: RetryLog = field(default_factory=RetryLog, repr=False, compare=False)

    async def run(
        self, call: Callable[[], Awaitable[T]], *, limit_s: float | None, name: str = "a call"
    ) -> T:
        """Return the result of `call`, and retry it after Unavailable and Aborted.

        The first retry follows at once, the others after 20 ms doubling to 1 s, until `timeout_s`
        or `limit_s` is over; then the last error is raised. PoolTimeout and ClientClosed are not
        retried. `name` is the name of the call in the log.
        """
        started = asyncio.get_running_loop().time()
        try:
            return await call()
        except AgentRowsError as error:
            if self.gives_up(error, limit_s):
                raise
            first_error = error
        return await self.retry(call, first_error, started=started, limit_s=limit_s, name=name)

    def gives_up(self, error: AgentRowsError, limit_s: float | None, *, tries: int = 1) -> bool:
        """Return whether a call is not retried after `tries` attempts, the last with this error.

        The caller then raises the error inside its handler. A frame that stores an error in a
        variable is also referenced by the error's traceback, and this cycle would keep the
        arguments alive until a garbage collection.
        """
        if error.most_tries is not None:
            is_final = tries >= error.most_tries
        else:
            is_final = isinstance(error, FINAL) or not isinstance(error, (Unavailable, Aborted))
        return is_final or not self._window_s(limit_s)

    def _window_s(self, limit_s: float | None) -> float:
        return self.timeout_s if limit_s is None else min(self.timeout_s, limit_s)

    async def retry(
        self,
        call: Callable[[], Awaitable[T]],
        last_error: AgentRowsError,
        *,
        started: float,
        limit_s: float | None,
        name: str = "a call",
    ) -> T:
        """Retry a call that started at `started` and raised `last_error`, as `run` does."""
        window_s = self._window_s(limit_s)
        now = asyncio.get_running_loop().time
        tries = 1
        for wait_s in wait_times(FIRST_WAIT_S, LONGEST_WAIT_S, jitter_s=JITTER_S):
            tries += 1
            retry = Retry(tries, now() - started, last_error)
            self._log.log(name, now=now(), elapsed_s=retry.elapsed_s, error=last_error)
            self._call_hook(retry)
            try:
                return await call()
            except AgentRowsError as error:
                last_error = error
            is_over = now() - started + wait_s > window_s
            if is_over or self.gives_up(last_error, limit_s, tries=tries):
                break
            await asyncio.sleep(wait_s)
        last_error.add_note(f"tried {tries} times in {now() - started:.1f} s")
        raise last_error

    def _call_hook(self, retry: Retry) -> None:
        """Call the application's hook; an error of the hook is logged and does not end the call."""
        if self.on_retry is None:
            return
        try:
            self.on_retry(retry)
        except Exception:
            logger.exception("the hook on_retry failed")


NO_RETRIES: Final = Retries(timeout_s=0.0)
