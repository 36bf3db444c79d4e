"""Statements with many rows of arguments, which the driver sends in pieces."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["send_rows"]


async def send_rows(call: Awaitable[None]) -> None:
    """Run executemany in a task of its own, for the driver may swallow a cancellation in it.

    While the server takes no more rows, it then waits for an answer; there it is cancelled again.
    """
    sending = asyncio.ensure_future(call)
    try:
        await asyncio.wait([sending])
    except asyncio.CancelledError:
        sending.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        while not sending.done():
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError):  # it is on its way already
                await asyncio.sleep(0)
        raise
    sending.result()
