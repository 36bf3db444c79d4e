"""Owners of the threads of a source, which has no users."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from agentrows.errors import InvalidValue
from agentrows.validation import check_id

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agentrows.gen.models import SourceThread

    OwnerFunction: TypeAlias = Callable[[str, dict[str, Any]], str | Awaitable[str | None] | None]

__all__ = [
    "FunctionOwner",
    "MetadataOwner",
    "NoOwner",
    "OneOwner",
    "Owner",
    "OwnerFunction",
    "find_owner",
]


@dataclass(frozen=True, slots=True)
class OneOwner:
    """One user as the owner of every thread."""

    user_id: str

    def __post_init__(self) -> None:
        """Check the id."""
        check_id("user_id", self.user_id)


@dataclass(frozen=True, slots=True)
class MetadataOwner:
    """The text or number under a key in the metadata of a thread's checkpoints."""

    key: str


@dataclass(frozen=True, slots=True)
class FunctionOwner:
    """The result of a function, plain or async, or None for a thread without an owner.

    Its arguments are the id of the thread and the metadata of its newest checkpoint.
    """

    function: OwnerFunction


Owner: TypeAlias = OneOwner | MetadataOwner | FunctionOwner


class NoOwner(Exception):
    """A thread cannot be stored for a user; the message is the reason."""


async def find_owner(owner: Owner, thread: SourceThread) -> str:
    """Return the user that owns a thread.

    Raises:
        NoOwner: it has none, or several, or an id that cannot be stored.
        InvalidValue: a function returned another value than text or None.

    """
    if problem := _problem_of_id("the id of the thread", thread.thread_id):
        raise NoOwner(problem)
    if isinstance(owner, OneOwner):
        return owner.user_id
    if isinstance(owner, MetadataOwner):
        return _check_owner(_owner_in_metadata(owner.key, thread))
    try:
        metadata = cast("dict[str, Any]", json.loads(thread.metadata))
    except (ValueError, RecursionError):
        raise NoOwner("the metadata of its newest checkpoint cannot be read") from None
    result = owner.function(thread.thread_id, metadata)
    user_id = await result if inspect.isawaitable(result) else result
    if user_id is None or user_id == "":
        raise NoOwner("the function returned no user")
    if not isinstance(user_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(
            f"the function for the owner returned {type(user_id).__name__} for thread "
            f"{thread.thread_id!r}; it must return text or None"
        )
    return _check_owner(user_id)


def _owner_in_metadata(key: str, thread: SourceThread) -> str:
    if not thread.owners:
        raise NoOwner(f"no text or number under {key!r} in its metadata")
    if len(thread.owners) > 1:
        raise NoOwner(f"{len(thread.owners)} different values under {key!r} in its metadata")
    return thread.owners[0]


def _check_owner(user_id: str) -> str:
    if problem := _problem_of_id("the id of its owner", user_id):
        raise NoOwner(problem)
    return user_id


def _problem_of_id(name: str, value: str) -> str | None:
    """Return the reason why an id cannot be stored; None if it can."""
    try:
        check_id(name, value)
    except InvalidValue as error:
        return str(error)
    return None
