"""Pairs of texts, such as keys of rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable


def check_pairs(name: str, values: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return a list of pairs; raise InvalidValue for any other value."""
    try:
        pairs = list(values)
    except TypeError as error:
        raise InvalidValue(f"{name} must be an iterable of pairs of texts") from error
    for index, pair in enumerate(pairs):
        if not _is_pair(pair):
            raise InvalidValue(f"{name}[{index}] must be a tuple of two texts")
    return pairs


def _is_pair(value: object) -> bool:
    if not isinstance(value, tuple):
        return False
    return [type(part) for part in cast("tuple[object, ...]", value)] == [str, str]
