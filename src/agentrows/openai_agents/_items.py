"""Items of a conversation as JSON text, and changes that a cancellation does not interrupt."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING, Any, TypeVar, cast

from agentrows import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Sequence

    from agents import TResponseInputItem

    from agentrows import Event

T = TypeVar("T")
NOT_JSON = (ValueError, RecursionError)
"""Errors of `decode` for a row that another program wrote."""


def decode_all(events: Iterable[Event]) -> list[TResponseInputItem]:
    """Return the items of events, without those that are not JSON."""
    items: list[TResponseInputItem] = []
    for event in events:
        with contextlib.suppress(*NOT_JSON):
            items.append(decode(event.data))
    return items


def decode(text: str) -> TResponseInputItem:
    """Return the item of a row."""
    return cast("TResponseInputItem", json.loads(text))


def encode(items: Sequence[TResponseInputItem]) -> list[str]:
    """Return items as JSON text, of which `decode` returns the same values."""
    texts: list[str] = []
    for index, item in enumerate(items):
        try:
            text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidValue(f"items[{index}] cannot be written as JSON: {error}") from error
        try:
            text.encode()
        except UnicodeEncodeError:
            # A lone surrogate, the half of a character that a model was cut off in.
            text = json.dumps(item, separators=(",", ":"))
        texts.append(text)
    return texts


async def settle(mutation: Coroutine[Any, Any, T]) -> T:
    """Await a mutation to its end; a cancellation that arrives meanwhile is raised after it.

    A caller that was cancelled can then rely on the stored items: nothing is written later.
    """
    task = asyncio.ensure_future(mutation)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancellation = cancellation or error
    if cancellation is not None:
        if not task.cancelled():
            task.exception()  # so that the event loop does not log it
        raise cancellation
    return task.result()
