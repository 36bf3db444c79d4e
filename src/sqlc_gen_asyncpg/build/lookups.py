"""The directive `lookup`: the statement that runs many look-ups of a query at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer import functions
from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.keywords import RESERVED_WORDS
from sqlc_gen_asyncpg.sql.line_breaks import break_long_lines
from sqlc_gen_asyncpg.sql.tokens import tokenize

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.build.context import QueryContext
    from sqlc_gen_asyncpg.build.query_types import Analysis

__all__ = ["lookup_batch"]

_DIRECTIVE: Final = "lookup"


def lookup_batch(context: QueryContext, constant: str, text: str) -> ir.LookupBatch:
    """Return the statement of a query with the directive over arrays of its arguments.

    The text of the query stays as it is, in a subquery that runs for each element of the arrays;
    `$1` becomes `wanted.arg1`. `constant` is the name of its SQL, `text` the SQL.

    Raises:
        Refused: the query is no SELECT that can be a subquery, or a parameter has no array.

    """
    analysis = context.analysis
    _check_statement(context, analysis)
    arrays = [
        f"unnest(${parameter.number}::{_element_type(context, parameter.number)}[])"
        for parameter in context.query.parameters
    ]
    if not arrays:
        raise _refusal("the query needs a parameter")
    tokens = tokenize(text)
    names = {token.text for token in tokens if token.kind in {"word", "quoted"}}
    wanted = _free_name("wanted", names)
    found = _free_name("found", names)
    parts: list[str] = []
    end = 0
    for token in tokens:
        if token.kind == "param":
            parts += [text[end : token.start], f"{wanted}.arg{token.text[1:]}"]
            end = token.start + len(token.text)
    columns = ", ".join(f"arg{parameter.number}" for parameter in context.query.parameters)
    sql = (
        f"-- name: {context.query.name}Batch :many\n"
        f"SELECT {found}.*, {wanted}.number\n"
        f"FROM ROWS FROM ({', '.join(arrays)})\n"
        f"WITH ORDINALITY AS {wanted} ({columns}, number)\n"
        f"CROSS JOIN LATERAL (\n{''.join(parts)}{text[end:]}\n) AS {found}"
    )
    return ir.LookupBatch(f"{constant}_BATCH", break_long_lines(sql))


def _refusal(message: str) -> Refused:
    return Refused(f"-- py: {_DIRECTIVE}: {message}", directive=_DIRECTIVE)


def _check_statement(context: QueryContext, analysis: Analysis | None) -> None:
    body = analysis.query.body if analysis else None
    if not isinstance(body, nodes.Select | nodes.SetOp):
        raise _refusal("it goes with a SELECT that the generator can read")
    parts = list(nodes.walk(analysis.query, queries=True)) if analysis else []
    if any(isinstance(part, nodes.Dml) for part in parts):
        raise _refusal("a statement that changes rows cannot be a subquery")
    for part in parts:
        if isinstance(part, nodes.Call) and _is_aggregate_of_parameters(part):
            raise _refusal(
                f"{part.name} is an aggregate of parameters alone, which the batch cannot contain; "
                "name them in a subquery: FROM (SELECT @x::int AS x) AS given"
            )
    if context.directives.order:
        raise _refusal("an order that an argument selects is not possible beside it")


def _is_aggregate_of_parameters(call: nodes.Call) -> bool:
    """Whether PostgreSQL moves an aggregate out of the subquery that the batch makes of a query.

    An aggregate belongs to the query of its innermost column; in the batch the parameters are
    columns of the outer query. The columns of a subquery in its argument do not count. Without any
    column and parameter, as in `count(*)`, it stays where it is.
    """
    if call.over is not None or not functions.is_aggregate(call.name):
        return False
    expressions = (call.args, call.extra)
    parts = list(nodes.walk(expressions, queries=True))
    if not any(isinstance(part, nodes.Param) for part in parts):
        return False
    if any(isinstance(part, nodes.Ref) for part in nodes.walk(expressions)):
        return False
    names = {
        part.alias or (part.parts[-1] if isinstance(part, nodes.Table) else "")
        for part in parts
        if isinstance(part, nodes.Table | nodes.Derived | nodes.Functions | nodes.Join)
    }
    references = [part.parts for part in parts if isinstance(part, nodes.Ref)]
    return all(len(each) == 1 or each[-2] in names for each in references)


def _element_type(context: QueryContext, number: int) -> str:
    """Return the type of a parameter in SQL; its array has one element for each look-up."""
    value = context.analysis.params.get(number) if context.analysis else None
    name = next(p.column.name for p in context.query.parameters if p.number == number)
    if value is None or not value.type:
        raise _refusal(f"the type of the parameter {name} is not sure; cast it")
    if value.dims:
        raise _refusal(f"the parameter {name} is an array, and arrays of arrays cannot be unnested")
    if value.type in context.catalog.composites:
        raise _refusal(f"the parameter {name} is composite; pass its fields")
    return ".".join(map(_quoted, value.type.split(".")))


def _quoted(name: str) -> str:
    # Without quotes char is bpchar, and bit has one bit.
    is_plain = re.fullmatch(r"[a-z_][a-z0-9_]*", name) and name not in {"char", "bit"}
    if is_plain and name not in RESERVED_WORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _free_name(name: str, taken: set[str]) -> str:
    """Return a name that the query does not use."""
    while name in taken:
        name += "_"
    return name
