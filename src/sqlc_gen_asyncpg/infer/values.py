"""Types of values and calls: the results of inference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["UNKNOWN", "Candidate", "ResolvedCall", "ValueType"]

UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class ValueType:
    """What is known of a value: `type` is empty if nothing is, `unknown` for text in quotes.

    `literal` is that text.
    """

    type: str
    dims: int = 0
    nullable: bool = True
    null_items: bool = False
    origin: tuple[str, str, str] | None = None
    param: int = 0
    literal: str | None = None

    @property
    def open(self) -> bool:
        """Whether the type is still to be decided by what stands beside it."""
        return self.type == UNKNOWN

    @property
    def spelled(self) -> str:
        """The type as SQL writes it."""
        return self.type + "[]" * self.dims

    def null(self, *, nullable: bool) -> ValueType:
        """Return the same, nullable or not."""
        return self if self.nullable == nullable else replace(self, nullable=nullable)


@dataclass(frozen=True, slots=True)
class ResolvedCall:
    """A function or an operator with its arguments' types decided; `args` may be empty."""

    type: str
    dims: int
    args: tuple[tuple[str, int], ...]
    flags: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the functions of a name; flag `u` is for the user's own, `columns` for its rows.

    `names` are those of its arguments, empty where they have none.
    """

    flags: str
    args: tuple[str, ...]
    result: str
    columns: tuple[tuple[str, str, int], ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)
