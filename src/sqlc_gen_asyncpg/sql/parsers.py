"""The interfaces of the two parsers, for the modules that read a part of a statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql import nodes
    from sqlc_gen_asyncpg.sql.stream import Stream

__all__ = ["ExpressionParser", "StatementParser"]


class ExpressionParser(Protocol):
    """A parser of expressions."""

    @property
    def stream(self) -> Stream:
        """The tokens of the statement."""
        ...

    def expression(self, least: int = 0) -> nodes.Expr:
        """Read an expression whose operators bind at least this tightly."""
        ...

    def several(self, end: str = ")") -> tuple[nodes.Expr, ...]:
        """Read expressions up to and including `end`."""
        ...

    def subscript(self, expr: nodes.Expr) -> nodes.Expr:
        """Read an index or a slice after its bracket."""
        ...

    def order(self) -> list[nodes.Expr]:
        """Read the expressions after ORDER BY."""
        ...

    def subquery(self) -> nodes.Query:
        """Read a subquery."""
        ...


class StatementParser(Protocol):
    """A parser of statements."""

    @property
    def stream(self) -> Stream:
        """The tokens of the statement."""
        ...

    @property
    def expressions(self) -> ExpressionParser:
        """The parser of the statement's expressions."""
        ...

    def query(self) -> nodes.Query:
        """Read a statement with its CTEs."""
        ...

    def items(self) -> tuple[nodes.Item, ...]:
        """Read the expressions of a SELECT list or of RETURNING."""
        ...

    def sources(self) -> tuple[nodes.Source, ...]:
        """Read a FROM clause."""
        ...
