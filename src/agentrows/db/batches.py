"""Statements with many rows of arguments, which the driver sends in several messages."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["send_rows"]


async def send_rows(call: Awaitable[None]) -> None:
    """Await executemany in its own task, and cancel that task until it ends.

    The driver ignores a cancellation that arrives while the server accepts no more rows. It then
    waits for the reply, where a second cancellation is effective.
    """
    sending = asyncio.ensure_future(call)
    try:
        await asyncio.wait([sending])
    except asyncio.CancelledError:
        sending.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        while not sending.done():
            sending.cancel()
            with contextlib.suppress(
                asyncio.CancelledError
            ):  # the first cancellation is raised anyway
                await asyncio.sleep(0)
        raise
    sending.result()
