"""Checks of embeddings: sequences of numbers, or arrays, as vectors of float32."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, SupportsFloat, cast

from pgvector import Vector

from agentrows.errors import InvalidValue
from agentrows.validation import DIMENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentrows.gen.pgvectors import VectorLike

MAX_DIMENSIONS: Final = 16_000
"""The most that pgvector stores."""
NORM_RANGE: Final = (1e-18, 1e18)
"""pgvector adds up squares in float32: outside of this range a similarity is not a number."""


def check_embedding(name: str, value: VectorLike, dimensions: int | None = DIMENSIONS) -> Vector:
    """Return a float32 vector that has a direction, with this number of dimensions.

    With None it may have 1 to 16,000 dimensions. Raises InvalidValue for other dimensions, and for
    a norm that is zero or not finite: it has no cosine similarity with another vector.
    """
    try:
        vector = value if isinstance(value, Vector) else Vector(to_floats(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(f"{name} must be a sequence of numbers") from error
    count = vector.dimensions()
    if count != (dimensions or count) or not 1 <= count <= MAX_DIMENSIONS:
        raise InvalidValue(
            f"{name} must have {dimensions or '1 to 16,000'} dimensions, got {count}"
        )
    norm = math.hypot(*vector.to_list())
    if not NORM_RANGE[0] < norm < NORM_RANGE[1]:
        raise InvalidValue(f"{name} must have a finite norm above zero, got {norm:g}")
    return vector


def check_vector(name: str, value: VectorLike) -> Vector:
    """Return an `(n,) float32` vector with 1 to 16,000 dimensions.

    Raises InvalidValue for other dimensions, and for numbers that float32 cannot represent.
    """
    try:
        vector = value if isinstance(value, Vector) else Vector(to_floats(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidValue(f"{name} must be a sequence of numbers") from error
    if not 1 <= vector.dimensions() <= MAX_DIMENSIONS:
        raise InvalidValue(
            f"{name} must have 1 to {MAX_DIMENSIONS:,} dimensions, got {vector.dimensions()}"
        )
    if not all(map(math.isfinite, vector.to_list())):
        raise InvalidValue(f"{name} must have finite numbers of float32")
    return vector


def to_floats(value: Iterable[SupportsFloat]) -> list[float]:
    """Return numbers as floats; raise TypeError for texts, truth values and unordered ones."""
    to_list = getattr(value, "tolist", None)  # of an array: 10 times faster than its numbers
    numbers = cast("Iterable[float]", to_list() if callable(to_list) else value)
    if isinstance(numbers, str | bytes | bytearray | dict | set | frozenset) or any(
        isinstance(number, str | bytes | bool) for number in numbers
    ):
        raise TypeError("this is not a sequence of numbers")
    return [float(number) for number in numbers]
