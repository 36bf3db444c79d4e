"""The values that a statement assigns to columns, and the parameters that may be None."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.build.slices import mask
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sqlc_gen_asyncpg.infer.scope import Schema

__all__ = ["AssignedColumn", "assigned_columns", "none_parameters", "optional_names"]

_NARG: Final = re.compile(r"\bsqlc\s*\.\s*narg\s*\(", re.IGNORECASE)
_NAME: Final = re.compile(r"""\s*(?:'(?P<text>[^']+)'|"(?P<quoted>[^"]+)"|(?P<bare>\w+))\s*\)""")
# Functions that return the first argument, or one of the arguments, that is not NULL.
_CHOICES: Final = frozenset({"coalesce", "greatest", "least"})


@dataclass(frozen=True, slots=True)
class AssignedColumn:
    """The schema, table and name of a column; `is_array`: each item of an array becomes a value."""

    path: tuple[str, str, str]
    is_array: bool = False


def optional_names(sql: str) -> frozenset[str]:
    """Return the names in the calls of sqlc.narg in the text of a query."""
    names: set[str] = set()
    for call in _NARG.finditer(mask(sql)):
        name = _NAME.match(sql, call.end())
        if name:
            names.add(name["text"] or name["quoted"] or name["bare"].lower())
    return frozenset(names)


def none_parameters(query: nodes.Query, schema: Schema) -> set[int]:
    """Return the numbers of the parameters for which None can matter.

    These are values of nullable columns, and operands of COALESCE, IS DISTINCT FROM and IS NULL. A
    comparison with NULL is never true, so that None could only be a mistake. A parameter is none of
    them if it has a cast, or is also the value of a NOT NULL column.
    """
    numbers: set[int] = set()
    never: set[int] = set()
    for part in nodes.walk(query, queries=True):
        match part:
            case nodes.Cast(nodes.Param(number)):
                never.add(number)
            case nodes.Test("distinct" | "null", exprs):
                numbers.update(_values(exprs))
            case nodes.Call("coalesce", args):
                numbers.update(_values(args[:-1]))
            case nodes.Dml():
                for _, value, nullable in _assignments(part, schema):
                    if nullable:
                        numbers.update(_values((value,)))
                    elif isinstance(value, nodes.Param):
                        never.add(value.number)
            case _:
                pass
    return numbers - never


def assigned_columns(query: nodes.Query, schema: Schema) -> dict[int, AssignedColumn]:
    """Return the columns that parameters are assigned to, by number, also in INSERT … SELECT.

    A parameter that is assigned to several columns has none.
    """
    found: dict[int, set[AssignedColumn]] = {}
    for part in nodes.walk(query, queries=True):
        named = schema.table(part.target.parts) if isinstance(part, nodes.Dml) else None
        if not isinstance(part, nodes.Dml) or not named:
            continue
        for name, value, _ in _assignments(part, schema):
            column = AssignedColumn((*named[0], name))
            for number in _values((value,)):
                found.setdefault(number, set()).add(column)
            if isinstance(value, nodes.Call) and value.name == "unnest":
                column = AssignedColumn((*named[0], name), is_array=True)
                for number in _values(value.args[:1]):
                    found.setdefault(number, set()).add(column)
    return {number: columns.pop() for number, columns in found.items() if len(columns) == 1}


def _values(exprs: Iterable[nodes.Expr]) -> Iterator[int]:
    """Yield the parameters that these expressions may return as they are."""
    for expr in exprs:
        match expr:
            case nodes.Param(number):
                yield number
            case nodes.Cast(inner, _, _):
                yield from _values((inner,))
            case nodes.Case(_, _, results, otherwise):
                yield from _values((*results, *((otherwise,) if otherwise else ())))
            case nodes.Call(name, args) if name in _CHOICES:
                yield from _values(args)
            case nodes.Call("nullif", args):
                yield from _values(args[:1])
            case nodes.Subquery("one", query):
                for row in _rows(query):
                    yield from _values(row)
            case _:
                pass


def _rows(query: nodes.Query) -> Iterator[tuple[nodes.Expr, ...]]:
    """Yield the expressions of each row of VALUES, or of each SELECT."""
    body = query.body
    match body:
        case nodes.Values(rows):
            yield from rows
        case nodes.Select(items):
            yield tuple(item.expr for item in items)
        case nodes.SetOp(_, left, right):
            yield from _rows(left)
            yield from _rows(right)
        case _:
            pass


def _assignments(body: nodes.Dml, schema: Schema) -> Iterator[tuple[str, nodes.Expr, bool]]:
    """Yield the columns and values that an INSERT or UPDATE assigns, and whether each may be NULL.

    The name of an element or a field of a column is empty.
    """
    named = schema.table(body.target.parts)
    if not named:
        return
    table = named[1]
    columns = body.columns or tuple(table)
    for row in _rows(body.source) if body.source else ():
        for name, expr in zip(columns, row, strict=False):
            if isinstance(expr, nodes.Ref) and expr.parts[-1] == "*":
                break  # the position of those behind it is not known
            if name in table:
                yield name, expr, table[name].nullable
    for target, value in body.sets:
        name = target.parts[-1] if isinstance(target, nodes.Ref) else ""
        if name in table:
            yield name, value, table[name].nullable
        elif not name:
            yield "", value, True
