"""Time limits on one timer end the same blocks as asyncio.timeout."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import weakref
from typing import TYPE_CHECKING

import pytest

from agentrows.db.deadlines import Deadlines, TimeLimit

if TYPE_CHECKING:
    from collections.abc import Callable

NEVER_S = 3600.0
SOON_S = 0.01


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines()


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The moments for which the event loop was asked to ring."""
    asked: list[float] = []
    call_at = asyncio.BaseEventLoop.call_at

    def counted(
        loop: asyncio.BaseEventLoop, when: float, call: Callable[..., object]
    ) -> asyncio.TimerHandle:
        asked.append(when)
        return call_at(loop, when, call)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_at", counted)
    return asked


async def wait(deadlines: Deadlines, limit_s: float) -> None:
    with TimeLimit(deadlines, deadlines.now() + limit_s):
        await asyncio.Event().wait()


async def test_block_beyond_its_limit_raises_timeout_error(deadlines: Deadlines) -> None:
    with pytest.raises(TimeoutError):
        await wait(deadlines, SOON_S)
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()


async def test_expired_limit_ends_block_at_its_first_await(
    deadlines: Deadlines,
) -> None:
    with pytest.raises(TimeoutError):
        await wait(deadlines, -1.0)


async def test_only_expired_blocks_end(deadlines: Deadlines) -> None:
    waiting = asyncio.create_task(wait(deadlines, NEVER_S))
    with pytest.raises(TimeoutError):
        await wait(deadlines, SOON_S)
    assert not waiting.done()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_blocks_that_end_in_time_share_a_timer(
    deadlines: Deadlines, timers: list[float]
) -> None:
    for _ in range(100):
        with TimeLimit(deadlines, deadlines.now() + NEVER_S):
            await asyncio.sleep(0)
    assert len(timers) == 1


async def test_shorter_limit_expires_first_and_longer_one_later(
    deadlines: Deadlines,
) -> None:
    ended: list[float] = []

    async def run(limit_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            await wait(deadlines, limit_s)
        ended.append(limit_s)

    limits = [3 * SOON_S, SOON_S, 2 * SOON_S]
    await asyncio.gather(*map(run, limits))
    assert ended == sorted(limits)


async def test_cancellation_from_outside_stays_cancelled_error(deadlines: Deadlines) -> None:
    """The same applies if the limit expires at the same moment, as in `asyncio.timeout`."""

    async def both() -> None:
        task = asyncio.current_task()
        assert task is not None
        with TimeLimit(deadlines, deadlines.now() - 1.0):
            asyncio.get_running_loop().call_later(SOON_S / 2, task.cancel)
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()  # the limit, which this block hides
            await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(both())


async def test_error_of_block_is_not_replaced_by_timeout_error(deadlines: Deadlines) -> None:
    with pytest.raises(KeyError), TimeLimit(deadlines, deadlines.now() + NEVER_S):
        raise KeyError
    with pytest.raises(KeyError), TimeLimit(deadlines, deadlines.now() - 1.0):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise KeyError from None


async def test_infinity_sets_no_timer(deadlines: Deadlines, timers: list[float]) -> None:
    with TimeLimit(deadlines, math.inf):
        await asyncio.sleep(0)
    assert not timers


async def test_ended_block_does_not_reference_its_task(deadlines: Deadlines) -> None:
    async def run() -> None:
        with TimeLimit(deadlines, deadlines.now() + NEVER_S):
            await asyncio.sleep(0)

    task = asyncio.create_task(run())
    await task
    kept = weakref.ref(task)
    del task
    await asyncio.sleep(0)  # the event loop references the callback of this task
    gc.collect()
    assert kept() is None
