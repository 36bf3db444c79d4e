"""Rows of LangGraph checkpoints: their two layouts, keys and arguments.

In the layout of other writers a row contains the whole state as base64 text. In the layout of
`agentrows.langgraph` it contains bytes, and the values of channels are rows of their own; its type
has a prefix, which alone determines the layout of a row.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final, TypedDict

from agentrows.errors import InvalidValue, UnreadableRow
from agentrows.validation import check_id, check_json_object, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from agentrows.gen.models import ThreadAncestor, ThreadCheckpoint, ThreadHead
    from agentrows.gen.pgjson import JsonLike

BYTES_PREFIX: Final = "agentrows+"
"""The start of the type of a row that contains bytes; the rest is the serializer's name."""
LONGEST_KEY: Final = 2600
"""In bytes, of all texts of a key together; an index row has at most about 2,700."""
INDEXES: Final = range(-4, (1 << 20) - 16)
"""ERROR, SCHEDULED, INTERRUPT and RESUME are -1 to -4; the rest of the 20 bits are channels."""
HASH_BITS: Final = 43
"""The bits that are left of `write_idx`, a positive 64-bit integer with 20 bits of index."""


class NamespaceKey(TypedDict):
    """The key of a namespace of a thread."""

    user_id: str
    thread_id: str
    checkpoint_ns: str


class FullKey(NamespaceKey):
    """The key of a checkpoint."""

    checkpoint_id: str


def check_namespace_key(user_id: str, thread_id: str, checkpoint_ns: str) -> NamespaceKey:
    """Return the key of a namespace; raise InvalidValue unless it can be indexed."""
    key = NamespaceKey(
        user_id=check_id("user_id", user_id),
        thread_id=check_id("thread_id", thread_id),
        checkpoint_ns=check_text("checkpoint_ns", checkpoint_ns),
    )
    check_key_size(user_id=user_id, thread_id=thread_id, checkpoint_ns=checkpoint_ns)
    return key


def check_checkpoint_key(
    user_id: str, thread_id: str, checkpoint_ns: str, checkpoint_id: str
) -> FullKey:
    """Return the key of a checkpoint; raise InvalidValue unless it can be indexed."""
    key = FullKey(
        **check_namespace_key(user_id, thread_id, checkpoint_ns),
        checkpoint_id=check_id("checkpoint_id", checkpoint_id),
    )
    check_key_size(
        user_id=user_id,
        thread_id=thread_id,
        checkpoint_ns=checkpoint_ns,
        checkpoint_id=checkpoint_id,
    )
    return key


def encode_metadata(value: Mapping[str, JsonLike]) -> str:
    """Return base64 of the text of a JSON object, the form of `metadata` in both layouts."""
    text = base64.b64encode(check_json_object("metadata", value).encode()).decode()
    return check_text("metadata", text)


def check_key_size(**parts: str) -> None:
    """Raise InvalidValue unless the texts of a key fit an index row together."""
    if sum(map(len, parts.values())) * 4 <= LONGEST_KEY:
        return
    size = sum(len(part.encode()) for part in parts.values())
    if size > LONGEST_KEY:
        *names, last = parts
        raise InvalidValue(
            f"{', '.join(names)} and {last} must have at most {LONGEST_KEY:,} bytes together, "
            f"got {size:,}"
        )


def check_indexes(indexes: Iterable[int], name: str = "writes") -> None:
    """Raise InvalidValue unless the indexes of the writes of a task are unique and in the range."""
    seen: set[int] = set()
    for position, index in enumerate(indexes):
        if index not in INDEXES:
            raise InvalidValue(f"{name}[{position}].idx must be from -4 to {INDEXES.stop - 1}")
        seen.add(index)
        if len(seen) <= position:
            raise InvalidValue(f"{name} contains the same idx more than once")


def hash_task_id(task_id: str) -> int:
    """Return 43 bits of the SHA-256 of a task id."""
    # Part of stored keys: it must be the same on every machine and in every release.
    return int.from_bytes(hashlib.sha256(task_id.encode()).digest()) >> (256 - HASH_BITS)


def decode_checkpoint(row: ThreadCheckpoint) -> ThreadCheckpoint:
    """Return a row of either layout with its bytes decoded and its types without the prefix.

    Raises:
        UnreadableRow: a value is missing, or a text of another writer is not base64.

    """
    _check_values(row)
    name = f"checkpoint {row.checkpoint_id!r} of thread {row.thread_id!r}"
    row.metadata = decode_metadata(name, row.metadata)
    row.checkpoint_type, row.checkpoint = _decode(name, row.checkpoint_type, row.checkpoint)
    row.write_types, row.write_values = _decode_all(name, row.write_types, row.write_values)
    row.send_types, row.send_values = _decode_all(name, row.send_types, row.send_values)
    return row


def decode_ancestor(row: ThreadAncestor) -> ThreadAncestor:
    """Return an ancestor with its bytes decoded, as `decode_checkpoint` does."""
    _check_values(row)
    name = f"checkpoint {row.checkpoint_id!r}"
    row.checkpoint_type, row.checkpoint = _decode(name, row.checkpoint_type, row.checkpoint)
    row.write_types, row.write_values = _decode_all(name, row.write_types, row.write_values)
    return row


def decode_head(row: ThreadHead) -> ThreadHead:
    """Return the newest checkpoint of a namespace with its bytes decoded."""
    name = f"checkpoint {row.checkpoint_id!r}"
    row.metadata = decode_metadata(name, row.metadata)
    row.checkpoint_type, row.checkpoint = _decode(name, row.checkpoint_type, row.checkpoint)
    return row


def decode_metadata(name: str, value: str) -> str:
    """Return the text of metadata that is stored as base64."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError as error:
        raise UnreadableRow(f"{name} cannot be returned: its metadata is not base64") from error


def _check_values(row: ThreadCheckpoint | ThreadAncestor) -> None:
    if row.missing_channels:
        raise UnreadableRow(
            f"checkpoint {row.checkpoint_id!r} cannot be returned: no value of its channels "
            f"{', '.join(map(repr, row.missing_channels))} is stored"
        )


def _decode(name: str, type: str, value: bytes) -> tuple[str, bytes]:
    """Return the serializer's name and the bytes of a value of either layout."""
    if type.startswith(BYTES_PREFIX):
        return type.removeprefix(BYTES_PREFIX), value
    try:
        return type, base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise UnreadableRow(f"{name} cannot be returned: a value is not base64") from error


def _decode_all(name: str, types: list[str], values: list[bytes]) -> tuple[list[str], list[bytes]]:
    decoded = [_decode(name, *each) for each in zip(types, values, strict=True)]
    return [each[0] for each in decoded], [each[1] for each in decoded]
