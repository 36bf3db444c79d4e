"""Items of LangGraph and rows of the store: namespaces, values and times to live."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from langgraph.store.base import InvalidNamespaceError, Item, SearchItem

from agentrows import NewStoreItem, StoreHit
from agentrows.errors import InvalidValue
from agentrows.validation import check_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langgraph.store.base import PutOp

    from agentrows import StoreItem

__all__ = ["Write", "decode_hit", "decode_item", "encode_put", "labels_of", "path_of"]

LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
LONGEST_TTL: Final = 100 * 365 * 24 * 60
"""In minutes."""


class Write(NamedTuple):
    """A put or a deletion; `item` is None for a deletion."""

    key: tuple[str, str]
    item: NewStoreItem | None
    vectors: Sequence[Sequence[float]]

    @property
    def size(self) -> int:
        """About the number of bytes to send."""
        size = len(self.key[0]) + len(self.key[1]) + sum(4 * len(each) for each in self.vectors)
        return size if self.item is None else size + len(self.item.value)


def path_of(namespace: Sequence[str]) -> str:
    """Return the labels of a namespace with dots between them.

    Raises:
        InvalidNamespaceError: a label is no text, is empty, or contains a dot or NUL.

    """
    for label in namespace:
        if not isinstance(label, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidNamespaceError(
                f"labels of a namespace must be text, got {type(label).__name__} in {namespace!r}"
            )
        if not label or "." in label or "\0" in label:
            raise InvalidNamespaceError(
                "labels of a namespace must not be empty or contain a period (`.`) or NUL: "
                f"{label!r} in {namespace!r}"
            )
    return ".".join(namespace)


def encode_put(op: PutOp) -> NewStoreItem | None:
    """Return the new row of a put; None for a deletion.

    Raises:
        InvalidValue: the value is not JSON, or the time to live is wrong.

    """
    path = path_of(op.namespace)
    if op.value is None:
        return None
    return NewStoreItem(
        namespace=path,
        key=op.key,
        value=_encode_value(op.key, op.value),
        ttl_s=_seconds(op.ttl),
    )


def _encode_value(key: str, value: Mapping[str, Any]) -> str:
    """Return the JSON text of a value, in the order of its keys."""
    try:
        text = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidValue(f"the value of {key!r} cannot be written as JSON: {error}") from error
    if text.isascii():
        return text
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _seconds(minutes: float | None) -> float | None:
    if minutes is None:
        return None
    if not 0 <= check_number("ttl", minutes) <= LONGEST_TTL:
        raise InvalidValue(f"ttl must be from 0 to {LONGEST_TTL:,} minutes, or None")
    return float(minutes) * 60


def labels_of(path: str) -> tuple[str, ...]:
    """Return the labels of a namespace."""
    return tuple(path.split(".")) if path else ()


def decode_item(row: StoreItem) -> Item:
    """Return the item of a row."""
    return Item(
        value=json.loads(row.value),
        key=row.key,
        namespace=labels_of(row.namespace),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def decode_hit(row: StoreItem | StoreHit) -> SearchItem:
    """Return the item of a row that a search returned."""
    return SearchItem(
        namespace=labels_of(row.namespace),
        key=row.key,
        value=json.loads(row.value),
        created_at=row.created_at,
        updated_at=row.updated_at,
        score=row.score if isinstance(row, StoreHit) else None,
    )
