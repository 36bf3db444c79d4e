"""Checks of the arguments of a migrator."""

from __future__ import annotations

import math
from typing import Final

from agentrows.errors import InvalidValue

LONGEST_TIMEOUT_S: Final = 2_000_000.0
"""PostgreSQL stores a timeout as a 32-bit number of milliseconds, which is 24 days."""


def check_timeout(name: str, value: float, *, shortest: float) -> None:
    """Raise InvalidValue unless a timeout is a number of seconds that the server can store."""
    if isinstance(value, bool) or not isinstance(value, int | float):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be a number of seconds, not {type(value).__name__}")
    if not (math.isfinite(value) and shortest <= value <= LONGEST_TIMEOUT_S):
        raise InvalidValue(
            f"{name} must be from {shortest:g} to {LONGEST_TIMEOUT_S:.0f} seconds, got {value}"
        )


def check_integer(name: str, value: int) -> None:
    """Raise InvalidValue unless a value is an integer."""
    if isinstance(value, bool) or not isinstance(value, int):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"{name} must be an integer, not {type(value).__name__}")


def check_count(name: str, value: int) -> None:
    """Raise InvalidValue unless a value is an integer of at least 1."""
    check_integer(name, value)
    if value < 1:
        raise InvalidValue(f"{name} must be 1 or more, got {value}")
