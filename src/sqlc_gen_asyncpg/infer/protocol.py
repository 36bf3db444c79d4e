"""The interface of the inference that calls, relations and type errors use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.scope import Schema, Scope
    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.sql import nodes

__all__ = ["Infer"]


class Infer(Protocol):
    """The types of one statement, while it is read."""

    schema: Schema
    untyped: set[int]
    type_errors: dict[int, str]
    groups: bool
    frame_may_exclude_row: tuple[str, ...]

    def expr(self, expr: nodes.Expr, scope: Scope) -> ValueType:
        """Return the type of an expression."""
        ...

    def condition(self, expr: nodes.Expr, scope: Scope) -> ValueType:
        """Return the type of a condition; an open type becomes bool."""
        ...

    def assign_type(self, info: ValueType, to: ValueType) -> ValueType:
        """Assign a type to a value whose type depends on its context; return the value with it."""
        ...

    def unify(self, infos: Sequence[ValueType]) -> ValueType:
        """Return the common type of several values, and assign it to those without a type."""
        ...

    def operation(self, op: str, infos: list[ValueType]) -> ValueType:
        """Return the type of an operator's result, and assign types to its operands."""
        ...

    def to_base_type(self, info: ValueType) -> ValueType:
        """Return the value with the base type of its domain, or unchanged without a domain."""
        ...
