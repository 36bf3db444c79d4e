"""Page tokens: the position of a row as text, for one list of one user.

A token is base64url of: a version byte, the digest of the list (method, user, filters and order),
with keys the first 16 bytes of an HMAC-SHA256 of these and the position, and the position as JSON.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from agentrows.errors import InvalidValue
from agentrows.validation import INT64, check_aware, check_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["KeyValue", "digest_of_list", "read_token", "write_token"]

KeyValue: TypeAlias = datetime | str | int | float | None
"""A value of the key by which a list is ordered; None only in the place of a time."""

UNSIGNED: Final = b"\x01"
SIGNED: Final = b"\x02"
DIGEST_SIZE: Final = 16
CONTEXT: Final = b"agentrows page token\0"
LONGEST_TOKEN: Final = 16_384
"""In characters; the longest key has three ids of 512 bytes."""


def digest_of_list(method: str, filters: Mapping[str, object]) -> bytes:
    """Return a digest of everything that determines the rows of a list and their order."""
    text = json.dumps([method, sorted(filters.items())], separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()[:DIGEST_SIZE]


def write_token(position: Sequence[KeyValue], digest: bytes, keys: Sequence[bytes]) -> str:
    """Return the token of a position, signed with the first key if there are any."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    body = json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()
    if keys:
        token = SIGNED + digest + _mac(keys[0], digest, body) + body
    else:
        token = UNSIGNED + digest + body
    return _encode(token)


def read_token(
    name: str, token: str, digest: bytes, keys: Sequence[bytes], first: Sequence[KeyValue]
) -> list[KeyValue]:
    """Return the position of a token; `first` is one with values of the same types.

    Raises:
        InvalidValue: the token is malformed, of another list, or not signed with one of the keys.

    """
    version, found, mac, body = _parts(name, token)
    if version == SIGNED and not keys:
        raise InvalidValue(f"{name} is a signed page token, and there are no page_token_keys")
    if keys and not any(hmac.compare_digest(mac, _mac(key, found, body)) for key in keys):
        raise InvalidValue(f"{name} is not signed with one of the page_token_keys")
    if found != digest:
        raise InvalidValue(f"{name} is a page token of another method, user, filter or order")
    try:
        values: object = json.loads(body)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != len(first):  # pyright: ignore[reportUnknownArgumentType]
        raise InvalidValue(_malformed(name))
    return [_read_value(name, value, like) for value, like in zip(values, first, strict=True)]  # pyright: ignore[reportUnknownVariableType,reportUnknownArgumentType]


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _parts(name: str, token: str) -> tuple[bytes, bytes, bytes, bytes]:
    """Return version, digest, signature (empty without one) and position of a token."""
    try:
        if len(token) > LONGEST_TOKEN:
            raise InvalidValue(_malformed(name))
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        raw = base64.b64decode(padded, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidValue(_malformed(name)) from error
    # The decoder also accepts "+", "/", padding, and any value of the unused last bits.
    if _encode(raw) != token:
        raise InvalidValue(_malformed(name))
    version, digest = raw[:1], raw[1 : 1 + DIGEST_SIZE]
    rest = raw[1 + DIGEST_SIZE :]
    if version == UNSIGNED:
        return version, digest, b"", rest
    if version == SIGNED:
        return version, digest, rest[:DIGEST_SIZE], rest[DIGEST_SIZE:]
    raise InvalidValue(_malformed(name))


def _read_value(name: str, value: object, like: KeyValue) -> KeyValue:
    """Return a value of a position, if it has the type of another one."""
    if isinstance(like, str):
        if isinstance(value, str):
            return check_text(name, value)
    elif isinstance(like, int):
        if isinstance(value, int) and not isinstance(value, bool) and value in INT64:
            return value
    elif isinstance(like, float):
        if isinstance(value, float):
            return value
    elif value is None:
        return None
    elif isinstance(value, str):
        try:
            return check_aware(name, datetime.fromisoformat(value))
        except ValueError as error:
            raise InvalidValue(_malformed(name)) from error
    raise InvalidValue(_malformed(name))


def _mac(key: bytes, digest: bytes, body: bytes) -> bytes:
    return hmac.digest(key, CONTEXT + digest + body, "sha256")[:DIGEST_SIZE]


def _malformed(name: str) -> str:
    return f"{name} is not a page token: pass `next_token` of the previous page, or its last row"
