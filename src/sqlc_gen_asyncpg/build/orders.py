"""The directive `order by`: the orders that an argument selects, each as a statement of its own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.tokens import tokenize

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from sqlc_gen_asyncpg.build.context import QueryContext
    from sqlc_gen_asyncpg.build.order_keys import OrderBy

__all__ = ["KEYWORDS", "order_of"]

_DIRECTIVE: Final = "order by"
# Types without an order; PostgreSQL refuses to sort by them.
_UNORDERED: Final = frozenset({
    "box", "circle", "json", "line", "lseg", "path", "point", "polygon", "xid", "xml",
})  # fmt: skip
# Words that PostgreSQL does not read as the name of a column.
KEYWORDS: Final = """
    all analyse analyze and any array as asc asymmetric authorization binary both case cast check
    collate collation column concurrently constraint create cross current_catalog current_date
    current_role current_schema current_time current_timestamp current_user default deferrable desc
    distinct do else end except false fetch for foreign freeze from full grant group having ilike in
    initially inner intersect into is isnull join lateral leading left like limit localtime
    localtimestamp natural not notnull null offset on only or order outer overlaps placing primary
    references returning right select session_user similar some symmetric system_user table
    tablesample then to trailing true union unique user using variadic verbose when where window
    with
"""


def order_of(context: QueryContext, function: str, sql: str, taken: Collection[str]) -> ir.Order:
    """Return the statements of a function with the directive, which is in the context.

    `sql` is its statement without a selected order, `taken` are the names of its other arguments.

    Raises:
        Refused: the statement has no order, a key is no column of its result, or the argument has
            the name of another one.

    """
    order = context.directives.order
    if order is None:
        raise AssertionError(context.query.name)
    constant = naming.constant_name(function)
    argument = naming.argument_name(order.argument, constant)
    if argument in taken:
        raise _refusal(order, "a parameter has this name; choose another for the argument")
    position = _end_of_order_by(context, order, sql)
    choices: dict[str, ir.OrderChoice] = {}
    for value, term in _terms(context, order):
        if value in choices:
            raise _refusal(order, f"{value} is in the list twice")
        suffix = naming.constant_name(naming.snake(value.replace(" ", "_")))
        text = f"{sql[:position]} {term},{sql[position:]}"
        choices[value] = ir.OrderChoice(value, f"{constant}_BY_{suffix}", text)
    title = naming.camel(f"{context.query.name}_{order.argument}")
    return ir.Order(argument, title, tuple(choices.values()))


def _refusal(order: OrderBy, message: str) -> Refused:
    return Refused(f"-- py: {_DIRECTIVE} {order.argument}: {message}", directive=_DIRECTIVE)


def _terms(context: QueryContext, order: OrderBy) -> Iterator[tuple[str, str]]:
    """Yield each value of the argument with its term of ORDER BY."""
    columns = _result_columns(context)
    for key in order.keys:
        matching = [column for column in columns if column[0] == key.name]
        if len(matching) != 1:
            problem = "is not a column of the result" if not matching else "is ambiguous"
            raise _refusal(order, f"{key.name} {problem}; there are {_listed(columns)}")
        _, sql_name, pg_type = matching[0]
        if pg_type in _UNORDERED:
            raise _refusal(order, f"{key.name} has the type {pg_type}, which has no order")
        nulls = f" NULLS {key.nulls.upper()}" if key.nulls else ""
        name = _quoted(sql_name)
        if key.direction != "desc":
            yield key.name, f"{name}{nulls}"
        if key.direction != "asc":
            yield f"{key.name} desc", f"{name} DESC{nulls}"


def _listed(columns: list[tuple[str, str, str]]) -> str:
    return ", ".join(dict.fromkeys(name for name, _, _ in columns))


def _result_columns(context: QueryContext) -> list[tuple[str, str, str]]:
    """Return the name of each column, its name in SQL with its mark, and its type."""
    catalog, analysis = context.catalog, context.analysis
    results = list(analysis.results) if analysis else []
    names: list[str] = []
    for column in context.query.columns:
        if column.embed:
            names += catalog.schema.tables.get(catalog.key(column.embed), ())
        else:
            names.append(column.name)
    types = [value.type if not value.dims else "" for value in results]
    types += [""] * (len(names) - len(types))
    return [
        (name.removesuffix("!").removesuffix("?"), name, pg_type)
        for name, pg_type in zip(names, types, strict=False)
    ]


def _quoted(name: str) -> str:
    if re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in KEYWORDS.split():
        return name
    return '"' + name.replace('"', '""') + '"'


def _end_of_order_by(context: QueryContext, order: OrderBy, sql: str) -> int:
    """Return the position after ORDER BY of the whole statement."""
    body = context.analysis.query.body if context.analysis else None
    if not isinstance(body, nodes.Select | nodes.SetOp):
        raise _refusal(order, "it goes with a SELECT that the generator can read")
    depth, previous, found = 0, "", 0
    for token in tokenize(sql):
        if token.kind == "op":
            depth += (token.text == "(") - (token.text == ")")
        if token.kind == "word" and not depth:
            if (previous, token.text) == ("distinct", "on"):
                raise _refusal(order, "DISTINCT ON has an order of its own; use a subquery")
            if (previous, token.text) == ("order", "by"):
                found = token.start + len("by")
        previous = token.text if token.kind == "word" and not depth else ""
    if not found:
        raise _refusal(
            order,
            "the statement has no ORDER BY; write one whose columns are unique, which orders rows "
            "of equal keys, such as ORDER BY id",
        )
    return found
