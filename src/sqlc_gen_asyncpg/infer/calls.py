"""What a call returns, and whether it may be NULL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer import functions, overloads, type_errors
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.windows import FRAME_MAY_EXCLUDE_ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer
    from sqlc_gen_asyncpg.infer.scope import Scope
    from sqlc_gen_asyncpg.infer.values import Candidate, ResolvedCall

__all__ = ["call"]

# Strict functions that have no value for some arguments that are not NULL.
_SOMETIMES_NULL: Final = frozenset({
    "array_dims", "array_length", "array_lower", "array_ndims", "array_upper", "array_position",
    "current_setting", "json_array_element", "json_array_element_text", "json_extract_path",
    "json_extract_path_text", "json_object_field", "json_object_field_text", "jsonb_array_element",
    "jsonb_array_element_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_object_field", "jsonb_object_field_text", "jsonb_path_exists", "jsonb_path_match",
    "jsonb_path_query_first", "jsonb_path_exists_tz", "jsonb_path_match_tz",
    "jsonb_path_query_first_tz", "lower", "upper", "date_part", "extract", "regexp_match",
    "regexp_substr", "substring", "scale", "min_scale", "range_merge", "to_regclass", "to_regtype",
    "pg_get_expr", "pg_get_serial_sequence", "obj_description", "col_description",
    "shobj_description", "inet_client_addr", "inet_server_addr",
    "xpath_exists", "uuid_extract_timestamp", "uuid_extract_version",

})  # fmt: skip
# Not strict, and never NULL.
_NEVER_NULL: Final = frozenset({
    "concat", "count", "jsonb_build_object", "jsonb_build_array", "json_build_object",
    "json_build_array", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist",
    "num_nulls", "num_nonnulls", "array_append", "array_prepend", "regr_count", "grouping",
    "pg_typeof", "now", "gen_random_uuid", "uuidv4", "uuidv7", "int4range", "int8range", "numrange",
    "tsrange", "tstzrange", "daterange",
})  # fmt: skip
# NULL without rows only; with GROUP BY there is a row in every group.
_OF_GROUPS: Final = frozenset({
    "sum", "max", "min", "avg", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor",
    "string_agg", "any_value", "range_agg", "stddev_pop", "var_pop", "xmlagg",
})  # fmt: skip
_ARRAYS_OF_GROUPS: Final = frozenset({
    "array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg",
})  # fmt: skip
_SURE_FIELDS: Final = frozenset({
    "epoch", "year", "isoyear", "decade", "century", "millennium", "julian",
})  # fmt: skip


def call(infer: Infer, expr: nodes.Call, scope: Scope) -> ValueType:
    """Return what is known of a call."""
    infos = [infer.expr(each, scope) for each in expr.args]
    for each in expr.extra:  # what it is ordered by or divided into
        infer.settle(infer.expr(each, scope), ValueType("text"))
    match expr.name:
        case "coalesce":
            found = infer.unify(infos)
            return found.null(nullable=all(each.nullable for each in infos))
        case "greatest" | "least":
            found = infer.unify(infos)
            return found.null(nullable=all(each.nullable for each in infos))
        case "nullif" if len(infos) == 2:  # noqa: PLR2004
            infer.operation("=", infos)
            first = infos[1] if infos[0].open else infos[0]
            return replace(first, nullable=True, param=0)
        case "grouping":
            return ValueType("int4", nullable=False)
        case _:
            pass
    return _library(infer, expr, infos)


def _library(infer: Infer, expr: nodes.Call, infos: list[ValueType]) -> ValueType:
    own = infer.schema.functions.get(expr.name, ())
    based = [infer.based(each) for each in infos]
    if expr.variadic:
        found = functions.by_name(expr.name, own)
    elif expr.names:
        found = functions.named_function(expr.name, based, expr.names, own)
    elif any(not each.type for each in based):
        found = _whatever(expr.name, based, own)
    else:
        found = functions.function(expr.name, based, own)
    if found is None:
        if not own and not expr.names and all(each.type for each in based):
            type_errors.no_function(infer, expr.name, infos)
        return ValueType("")
    for info, (kind, dims) in zip(infos, found.args, strict=False):
        if kind and kind != "any":
            infer.settle(info, ValueType(kind, dims))
        elif info.open and info.param:  # the server knows no type for it either
            infer.untyped.add(info.param)
    typed = ValueType(found.type, found.dims, nullable=_nullable(infer, expr, infos, found.flags))
    return _items(expr, infos, typed)


def _whatever(
    name: str, infos: Sequence[ValueType], own: Sequence[Candidate]
) -> ResolvedCall | None:
    """Return a function that is the same whatever the arguments are."""
    if name == "count" and infos:
        return functions.function(name, [ValueType("int4")])
    return functions.by_name(name, own)


def _items(expr: nodes.Call, infos: list[ValueType], typed: ValueType) -> ValueType:
    """Follow enums, overrides and NULLs in arrays through functions that keep their argument."""
    first = infos[0] if infos else ValueType("")
    if expr.name == "array_agg":
        items = first.null_items if first.dims else first.nullable  # there are no NULL arrays in it
        return replace(typed, dims=first.dims + 1, null_items=items, origin=first.origin)
    typed = replace(typed, dims=overloads.depth(typed.type, typed.dims, infos))
    same = typed.type == first.type  # unnest has the ranges of a multirange
    if expr.name in {"unnest", "max", "min", "any_value"} and first.origin and same:
        typed = replace(typed, origin=first.origin)
    if expr.name in {"regexp_match", "regexp_matches", "string_to_array"}:
        # A group may match nothing; the third argument of string_to_array is what stands for NULL.
        return replace(typed, null_items=expr.name != "string_to_array" or len(infos) > 2)  # noqa: PLR2004
    if expr.name == "unnest":
        return typed.null(nullable=first.null_items)
    if expr.name == "array_remove" and isinstance(expr.args[1], nodes.Const):
        removed = expr.args[1].type == "null"
        return replace(typed, null_items=first.null_items and not removed)
    if typed.dims:
        return replace(typed, null_items=any(each.null_items for each in infos))
    return typed


def _nullable(infer: Infer, expr: nodes.Call, infos: list[ValueType], flags: str) -> bool:  # noqa: C901, PLR0911
    name, some = expr.name, any(each.nullable for each in infos)
    if "u" in flags:
        return True
    if name in {"array_remove", "array_replace", "string_to_array"}:
        return infos[0].nullable
    if name in _NEVER_NULL:
        return False
    if flags.startswith("a"):
        if expr.filtered or not (infer.groups if expr.over is None else _holds_row(infer, expr)):
            return True
        return not (name in _ARRAYS_OF_GROUPS or (name in _OF_GROUPS and not some))
    if flags.startswith("w"):
        return _of_window(infer, expr, infos)
    if name in {"extract", "date_part"}:
        field = expr.args[0] if expr.args else None
        sure = isinstance(field, nodes.Const) and field.text.strip("'").lower() in _SURE_FIELDS
        return some or not sure
    if name in {"lower", "upper", "substring"}:
        return some or not _plain_text(name, infos)
    if "r" in flags:
        return some or name in {"jsonb_each_text", "json_array_elements_text"}
    if name in {"concat_ws", "format"}:
        return not infos or infos[0].nullable
    return some or name in _SOMETIMES_NULL or not flags.startswith("fs")


def _holds_row(infer: Infer, expr: nodes.Call) -> bool:
    """Whether the frame of a window always holds the row itself."""
    return expr.over != FRAME_MAY_EXCLUDE_ROW and expr.over not in infer.frame_may_exclude_row


def _of_window(infer: Infer, expr: nodes.Call, infos: list[ValueType]) -> bool:
    some = any(each.nullable for each in infos)
    if expr.name in {"first_value", "last_value"}:
        return some or not _holds_row(infer, expr)
    if expr.name in {"lag", "lead"}:
        return some or len(infos) < 3  # noqa: PLR2004  # the last is in place of a row that is not there
    return some or expr.name != "ntile"


def _plain_text(name: str, infos: list[ValueType]) -> bool:
    """Whether this is lower(text), not lower(range), and no search for a pattern."""
    texts = infos and infos[0].type in {"text", "varchar", "bpchar", "citext", "name", "unknown"}
    return bool(texts) and (name != "substring" or all(each.type == "int4" for each in infos[1:]))
