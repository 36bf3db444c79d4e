"""Checks of the arguments of store items: keys, values, embeddings and conditions."""

from __future__ import annotations

import json
import math
import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from agentrows.errors import InvalidValue
from agentrows.gen.models import NewStoreItem
from agentrows.stores._pairs import check_pairs
from agentrows.stores._vectors import check_vector
from agentrows.validation import (
    ARRAY_ELEMENT_OVERHEAD,
    LARGEST_BATCH_BYTES,
    NUL_ESCAPE,
    check_batch,
    check_choice,
    check_int64,
    check_json,
    check_number,
    check_text,
    check_texts,
    encoded_length,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pgvector import Vector

    from agentrows.gen.pgjson import JsonLike
    from agentrows.gen.pgvectors import VectorLike

__all__ = ["Metric", "Operator", "StoreCondition", "VectorRows"]

LONGEST_KEY: Final = 2400
"""In bytes: user, namespace and key together. An index row has at most about 2,700."""
LONGEST_SPACE: Final = 200
LONGEST_TTL_S: Final = 100 * 366 * 86_400
NO_DEPTH: Final = 2**31 - 1
WILDCARD: Final = "*"
LARGE_EXPONENT: Final = re.compile(r"[eE]\+?\d{3}")
"""A number that may be too large for a float, or such characters in a text."""

Operator: TypeAlias = Literal["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$object"]
Metric: TypeAlias = Literal["cosine", "l2", "inner_product"]


class StoreCondition(NamedTuple):
    """A condition on the value of a store item.

    `path` contains the keys from the outermost object to the compared value. `$eq` and `$ne`
    compare any JSON; an absent value equals None. `$gt`, `$gte`, `$lt` and `$lte` compare a number
    with a number, or a text with a text by code points; any other pair does not match. `$object`
    requires an object and ignores the operand.
    """

    path: tuple[str, ...]
    operator: Operator
    operand: JsonLike = None


class VectorRows(NamedTuple):
    """The vectors of a batch of items, as columns: item (from 1), ordinal, vector."""

    items: list[int]
    ordinals: list[int]
    vectors: list[Vector]


def check_namespace(name: str, value: str) -> str:
    """Return a namespace; raise InvalidValue for an empty label."""
    if check_text(name, value) and ".." in f".{value}.":
        raise InvalidValue(f"{name} must have labels with one dot between them, got {value!r}")
    return value


def check_keys(
    name: str, keys: Iterable[tuple[str, str]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the namespaces and the keys of items, as columns; each pair once."""
    pairs = dict.fromkeys(check_pairs(name, keys))
    for index, (namespace, key) in enumerate(pairs):
        check_namespace(f"{name}[{index}].namespace", namespace)
        check_text(f"{name}[{index}].key", key)
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def check_items(items: Iterable[NewStoreItem], user_id: str) -> tuple[NewStoreItem, ...]:
    """Return checked items; raise InvalidValue for a wrong one, or two with the same key."""
    batch = check_batch("items", items, NewStoreItem)
    for index, item in enumerate(batch):
        _check_item(f"items[{index}]", item, user_id)
    if len({(item.namespace, item.key) for item in batch}) < len(batch):
        raise InvalidValue("items contains the same namespace and key more than once")
    return batch


def _check_item(name: str, item: NewStoreItem, user_id: str) -> None:
    check_namespace(f"{name}.namespace", item.namespace)
    check_text(f"{name}.key", item.key)
    size = sum(encoded_length(name, text) for text in (user_id, item.namespace, item.key))
    if size > LONGEST_KEY:
        raise InvalidValue(
            f"user_id, {name}.namespace and {name}.key must have at most {LONGEST_KEY:,} bytes "
            f"together, got {size:,}"
        )
    check_object_text(f"{name}.value", item.value)
    if (
        item.ttl_s is not None
        and not 0 <= check_number(f"{name}.ttl_s", item.ttl_s) <= LONGEST_TTL_S
    ):
        raise InvalidValue(f"{name}.ttl_s must be between 0 and {LONGEST_TTL_S:,} seconds, or None")


def check_object_text(name: str, text: str) -> str:
    """Return the text of a JSON object.

    Raises InvalidValue for any other text, and for numbers that are too large for a float.
    """
    has_large = LARGE_EXPONENT.search(check_text(name, text)) is not None
    try:
        value = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_float=_parse_finite if has_large else None,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidValue(f"{name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InvalidValue(f"{name} must be the text of a JSON object")
    return text


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"JSON has no {constant}")


def _parse_finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"the number {text[:20]} is too large")
    return number


def check_embeddings(
    embeddings: Iterable[Sequence[VectorLike]], items: Sequence[NewStoreItem]
) -> VectorRows:
    """Return the vectors of items as columns; `embeddings` has a list for each item."""
    rows = VectorRows([], [], [])
    try:
        lists = [list(vectors) for vectors in embeddings]
    except TypeError as error:
        raise InvalidValue("embeddings must be lists of vectors, one list for each item") from error
    if len(lists) != len(items):
        raise InvalidValue(
            f"embeddings must have a list for each of the {len(items)} items, got {len(lists)}"
        )
    for index, vectors in enumerate(lists):
        for ordinal, value in enumerate(vectors):
            rows.items.append(index + 1)
            rows.ordinals.append(ordinal)
            rows.vectors.append(check_vector(f"embeddings[{index}][{ordinal}]", value))
    size = sum(4 * vector.dimensions() + 3 * ARRAY_ELEMENT_OVERHEAD for vector in rows.vectors)
    size += sum(encoded_length("items", item.value) for item in items)
    if size > LARGEST_BATCH_BYTES:
        raise InvalidValue(
            f"items and embeddings must have at most {LARGEST_BATCH_BYTES:,} bytes in all, "
            f"got {size:,}: store them in several batches"
        )
    return rows


def check_space(space: str | None) -> str:
    """Return the name of an embedding space, of 1 to 200 bytes."""
    if space is None:
        raise InvalidValue("space must name the embedding space of the embeddings")
    if not 1 <= encoded_length("space", check_text("space", space)) <= LONGEST_SPACE:
        raise InvalidValue(f"space must have 1 to {LONGEST_SPACE} bytes")
    return space


def check_conditions(conditions: Iterable[StoreCondition]) -> list[JsonLike]:
    """Return conditions as JSON for a statement."""
    encoded: list[JsonLike] = []
    try:
        listed = list(conditions)
    except TypeError as error:
        raise InvalidValue("conditions must be an iterable of StoreCondition") from error
    for index, condition in enumerate(listed):
        name = f"conditions[{index}]"
        if not isinstance(condition, StoreCondition):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidValue(f"{name} must be a StoreCondition, not {type(condition).__name__}")
        path, operator, operand = condition
        check_choice(f"{name}.operator", operator, get_args(Operator))
        if not path:
            raise InvalidValue(f"{name}.path must have at least one key")
        check_texts(f"{name}.path", path)
        if operator in ("$gt", "$gte", "$lt", "$lte") and (
            isinstance(operand, bool) or not isinstance(operand, int | float | str)
        ):
            raise InvalidValue(f"{name}.operand must be a number or a text for {operator}")
        if NUL_ESCAPE.search(check_json(f"{name}.operand", operand)):
            raise InvalidValue(f"{name}.operand contains a NUL character, which cannot be compared")
        encoded.append({"path": list(path), "operator": operator, "operand": operand})
    return encoded


def check_offset(value: int) -> int:
    """Return the number of rows to skip."""
    if check_int64("offset", value) < 0:
        raise InvalidValue("offset must be an integer of at least 0")
    return value


def check_max_depth(value: int | None) -> int:
    """Return the number of labels to keep."""
    if value is None:
        return NO_DEPTH
    if check_int64("max_depth", value) < 1:
        raise InvalidValue("max_depth must be an integer of at least 1, or None for all labels")
    return min(value, NO_DEPTH)


def match_patterns(prefixes: Iterable[str], suffixes: Iterable[str]) -> tuple[str, list[str]]:
    """Return the namespace that all matches are under, and a regular expression per argument."""
    firsts = _check_namespaces("prefixes", prefixes)
    lasts = _check_namespaces("suffixes", suffixes)
    patterns = [f"^{_label_pattern(each)}" for each in firsts if each]
    patterns += [f"{_label_pattern(each)}$" for each in lasts if each]
    literal = [
        each.partition(WILDCARD)[0].rpartition(".")[0] if WILDCARD in each else each
        for each in firsts
    ]
    return max(literal, key=len, default=""), patterns


def _check_namespaces(name: str, values: Iterable[str]) -> list[str]:
    texts = check_texts(name, values)
    return [check_namespace(f"{name}[{index}]", text) for index, text in enumerate(texts)]


def _label_pattern(namespace: str) -> str:
    """Return a pattern for labels in a row, with the dots around them."""
    labels = namespace.split(".")
    parts = ["[^.]+" if label == WILDCARD else re.escape(label) for label in labels]
    return "".join(rf"\.{part}" for part in parts) + r"\."
