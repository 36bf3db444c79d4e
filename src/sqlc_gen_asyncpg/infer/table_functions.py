"""The columns of functions in FROM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.scope import Relation
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.infer.protocol import Infer
    from sqlc_gen_asyncpg.infer.scope import Scope
    from sqlc_gen_asyncpg.infer.values import Candidate

__all__ = ["function_relation"]

# Functions in FROM that return columns with fixed names: (name, type, nullable).
_RECORDS: Final = {
    "jsonb_each": (("key", "text", False), ("value", "jsonb", False)),
    "json_each": (("key", "text", False), ("value", "json", False)),
    "jsonb_each_text": (("key", "text", False), ("value", "text", True)),
    "json_each_text": (("key", "text", False), ("value", "text", True)),
}
_VALUE_FUNCTIONS: Final = frozenset({
    "jsonb_array_elements", "json_array_elements", "jsonb_array_elements_text",
    "json_array_elements_text",
})  # fmt: skip


def function_relation(infer: Infer, source: nodes.Functions, scope: Scope) -> Relation:
    """Return the columns of the functions of one FROM item, under its alias."""
    several = len(source.calls) > 1
    result = [
        (
            name,
            info.with_nullable(nullable=True) if several else info,
        )  # shorter sets are padded with NULL
        for call in source.calls
        for name, info in _function(infer, call, source, scope).items()
    ]
    if source.ordinality:
        result.append(("ordinality", ValueType("int8", nullable=False)))
    names = [*source.columns, *[name for name, _ in result][len(source.columns) :]]
    first = source.calls[0]
    alias = source.alias or (first.name if isinstance(first, nodes.Call) else "")
    return Relation(alias, dict(zip(names, [info for _, info in result], strict=False)))


def _function(
    infer: Infer, call: nodes.Expr, source: nodes.Functions, scope: Scope
) -> dict[str, ValueType]:
    name = call.name if isinstance(call, nodes.Call) else ""
    alias = name if len(source.calls) > 1 else source.alias or name
    info = infer.expr(call, scope)
    own_functions: tuple[Candidate, ...] = ()
    if isinstance(call, nodes.Call):
        name, own_functions = infer.schema.functions_for(call)
    row_types = {each.columns for each in own_functions}
    row = infer.schema.table(tuple(info.type.split("."))) if info.type else None
    defined = source.defined or (next(iter(row_types)) if len(row_types) == 1 else ())
    if defined:
        return {key: ValueType(normal_name(kind), dims) for key, kind, dims in defined}
    if row:
        return {key: each.with_nullable(nullable=True) for key, each in row[1].items()}
    if name in _RECORDS:
        return {key: ValueType(kind, nullable=null) for key, kind, null in _RECORDS[name]}
    if name == "unnest" and isinstance(call, nodes.Call) and len(call.args) > 1:
        infos = [infer.expr(each, scope) for each in call.args]
        return {
            f"unnest{i}": ValueType(each.type if each.dims else "") for i, each in enumerate(infos)
        }
    if info.type == "record":
        return {}
    return {"value" if name in _VALUE_FUNCTIONS else alias: info}
