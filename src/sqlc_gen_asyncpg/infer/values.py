"""The types of values and calls, which are the results of inference."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

__all__ = ["JSON", "UNKNOWN", "Candidate", "ResolvedCall", "RowShape", "ValueType"]

UNKNOWN: Final = "unknown"
JSON: Final = frozenset({"json", "jsonb"})


@dataclass(frozen=True, slots=True)
class RowShape:
    """The columns of a row by name; `table` is the key of the table, if it is a row of one."""

    columns: tuple[tuple[str, ValueType], ...]
    table: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class ValueType:
    """The type of a value.

    `type` is empty if it cannot be inferred and `unknown` for a quoted literal; `literal` is the
    text of that. `origin` is the schema, table and column that the value comes from. `param` is the
    number of the parameter, 0 for other values. `row` are the columns of a record, or of the
    objects in JSON: of the one object, or with `is_list` of each object in an array.
    """

    type: str
    dims: int = 0
    nullable: bool = True
    null_items: bool = False
    origin: tuple[str, str, str] | None = None
    param: int = 0
    literal: str | None = None
    row: RowShape | None = None
    is_list: bool = False

    @property
    def open(self) -> bool:
        """Whether the context decides the type."""
        return self.type == UNKNOWN

    @property
    def spelled(self) -> str:
        """The type in SQL syntax, as in `int4[]`."""
        return self.type + "[]" * self.dims

    def with_nullable(self, *, nullable: bool) -> ValueType:
        """Return the same type, nullable or not."""
        return self if self.nullable == nullable else replace(self, nullable=nullable)


@dataclass(frozen=True, slots=True)
class ResolvedCall:
    """A function or operator with the types of its arguments.

    `args` is empty if all overloads have the same result and none was chosen.
    """

    type: str
    dims: int
    args: tuple[tuple[str, int], ...]
    flags: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One overload of a function or operator.

    `flags`: `f` function, `a` aggregate, `w` window function, `s` strict, `n` not strict, `r`
    returns rows, `v` variadic, `u` defined by the schema; digits are the number of arguments with
    a default.
    `columns` are those of its rows. `names` are the names of its arguments, empty without one.
    """

    flags: str
    args: tuple[str, ...]
    result: str
    columns: tuple[tuple[str, str, int], ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)
