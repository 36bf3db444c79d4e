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
        """Return the type of a condition, which is a bool."""
        ...

    def settle(self, info: ValueType, to: ValueType) -> ValueType:
        """Give a value without a type the type of its context."""
        ...

    def unify(self, infos: Sequence[ValueType]) -> ValueType:
        """Give several values, parameters among them, one type."""
        ...

    def operation(self, op: str, infos: list[ValueType]) -> ValueType:
        """Return the result of an operator and settle its operands."""
        ...

    def based(self, info: ValueType) -> ValueType:
        """Return a value of a domain as one of the domain's base type."""
        ...
