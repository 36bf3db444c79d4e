"""The columns of functions in FROM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.scope import Relation
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer
    from sqlc_gen_asyncpg.infer.scope import Scope

__all__ = ["call_columns", "function_relation"]

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
    columns = dict(zip(names, [info for _, info in result], strict=False))
    row = infer.expr(first, scope)
    is_value = row.type in infer.schema.composites and not several and not source.ordinality
    return Relation(alias, columns, row_type=row.type if is_value else "")


def call_columns(infer: Infer, call: nodes.Call, info: ValueType) -> dict[str, ValueType]:
    """Return the columns of a function's result of type `info`; empty if it is no row."""
    _, own_functions = infer.schema.functions_for(call)
    row_types = {each.columns for each in own_functions}
    defined = next(iter(row_types)) if len(row_types) == 1 else ()
    if defined:
        return _columns(defined)
    table = infer.schema.table(tuple(info.type.split("."))) if info.type else None
    row = table[1] if table else infer.schema.composites.get(info.type)
    if row is None or info.dims:
        return {}
    return {key: each.with_nullable(nullable=True) for key, each in row.items()}


def _unnested(infer: Infer, arrays: Sequence[ValueType]) -> dict[str, ValueType]:
    """Return the columns of several arrays; one of a composite type has a column per field."""
    columns: dict[str, ValueType] = {}
    for index, array in enumerate(arrays):
        fields = infer.schema.composites.get(array.type)
        if fields:
            columns.update({f"unnest{index}.{name}": value for name, value in fields.items()})
        else:
            columns[f"unnest{index}"] = ValueType(array.type if array.dims else "")
    return columns


def _columns(defined: Sequence[tuple[str, str, int]]) -> dict[str, ValueType]:
    return {key: ValueType(normal_name(kind), dims) for key, kind, dims in defined}


def _function(  # one return per kind of function
    infer: Infer, call: nodes.Expr, source: nodes.Functions, scope: Scope
) -> dict[str, ValueType]:
    name = call.name if isinstance(call, nodes.Call) else ""
    alias = name if len(source.calls) > 1 else source.alias or name
    info = infer.expr(call, scope)
    if source.defined:
        return _columns(source.defined)
    if isinstance(call, nodes.Call):
        if columns := call_columns(infer, call, info):
            return columns
        name, _ = infer.schema.functions_for(call)
    if name in _RECORDS:
        return {key: ValueType(kind, nullable=null) for key, kind, null in _RECORDS[name]}
    if name == "unnest" and isinstance(call, nodes.Call) and len(call.args) > 1:
        return _unnested(infer, [infer.expr(each, scope) for each in call.args])
    if info.type == "record":
        return {}
    return {"value" if name in _VALUE_FUNCTIONS else alias: info}
