"""The type of a call, and whether it may return NULL."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer import functions, overloads, type_errors
from sqlc_gen_asyncpg.infer.values import JSON, ValueType
from sqlc_gen_asyncpg.sql import nodes
from sqlc_gen_asyncpg.sql.windows import FRAME_MAY_EXCLUDE_ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer
    from sqlc_gen_asyncpg.infer.scope import Scope
    from sqlc_gen_asyncpg.infer.values import Candidate, ResolvedCall

__all__ = ["call"]

# Strict functions that return NULL for some arguments that are not NULL.
_SOMETIMES_NULL: Final = frozenset({
    "array_dims", "array_length", "array_lower", "array_ndims", "array_upper", "array_position",
    "current_setting", "json_array_element", "json_array_element_text", "json_extract_path",
    "json_extract_path_text", "json_object_field", "json_object_field_text", "jsonb_array_element",
    "jsonb_array_element_text", "jsonb_extract_path", "jsonb_extract_path_text",
    "jsonb_object_field", "jsonb_object_field_text", "jsonb_path_exists", "jsonb_path_match",
    "jsonb_path_query_first", "jsonb_path_exists_tz", "jsonb_path_match_tz",
    "jsonb_path_query_first_tz", "lower", "upper", "date_part", "extract", "regexp_match",
    "regexp_substr", "substring", "scale", "min_scale", "range_merge", "to_regclass", "to_regtype",
    "obj_description", "col_description",
    "shobj_description", "inet_client_addr", "inet_server_addr",
    "to_number", "to_regproc", "to_regprocedure", "to_regoper", "to_regoperator",
    "to_regnamespace", "to_regrole", "to_regcollation", "to_regtypemod", "pg_describe_object",
    "pg_column_compression", "pg_encoding_max_length", "txid_current_if_assigned",
    "icu_unicode_version", "pg_total_relation_size", "pg_relation_size", "pg_table_size",
    "pg_indexes_size", "pg_basetype", "pg_filenode_relation", "pg_partition_root",
    "pg_relation_filenode", "pg_relation_filepath", "pg_relation_is_publishable",
    "pg_replication_origin_oid", "pg_settings_get_flags", "system_user", "jsonb_path_match_opr",
    "xpath_exists", "uuid_extract_timestamp", "uuid_extract_version",
})  # fmt: skip
# Functions of the catalog, which return NULL for objects that do not exist.
_CATALOG: Final = re.compile(r"pg_(?:get|index|indexam)_.+|pg_.+_is_(?:visible|updatable)")
# Functions that are not strict and never return NULL.
_NEVER_NULL: Final = frozenset({
    "concat", "count", "jsonb_build_object", "jsonb_build_array", "json_build_object",
    "json_build_array", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist",
    "num_nulls", "num_nonnulls", "array_append", "array_prepend", "regr_count", "grouping",
    "pg_typeof", "now", "gen_random_uuid", "uuidv4", "uuidv7", "int4range", "int8range", "numrange",
    "tsrange", "tstzrange", "daterange",
})  # fmt: skip
# NULL only without rows or if an argument is NULL; with GROUP BY every group has a row.
_AGGREGATES: Final = frozenset({
    "sum", "max", "min", "avg", "bool_and", "bool_or", "every", "bit_and", "bit_or", "bit_xor",
    "string_agg", "any_value", "range_agg", "stddev_pop", "var_pop", "xmlagg",
})  # fmt: skip
# NULL only without rows.
_ARRAY_AGGREGATES: Final = frozenset({
    "array_agg", "json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg",
})  # fmt: skip
# Functions whose result may contain an argument that is NULL.
_ADD_ITEMS: Final = frozenset({"array_append", "array_prepend", "array_replace", "array_fill"})
# Functions that make JSON of a row, and those that collect rows in an array.
_TO_JSON: Final = frozenset({"row_to_json", "to_json", "to_jsonb"})
_COLLECT_JSON: Final = frozenset({"json_agg", "jsonb_agg"})
# Functions of casts.
_FROM_JSONB: Final = frozenset({"bool", "int2", "int4", "int8", "float4", "float8", "numeric"})
# NULL for infinity, or for an empty format.
_TIMES: Final = frozenset({"timestamp", "timestamptz", "interval", "unknown"})
# Fields of EXTRACT that are not NULL for an infinite timestamp.
_NON_NULL_FIELDS: Final = frozenset({
    "epoch", "year", "isoyear", "decade", "century", "millennium", "julian",
})  # fmt: skip


def call(infer: Infer, expr: nodes.Call, scope: Scope) -> ValueType:
    """Return the type of a call, and assign types to its arguments."""
    infos = [infer.expr(each, scope) for each in expr.args]
    for extra in expr.extra:  # ORDER BY, PARTITION BY and FILTER
        infer.assign_type(infer.expr(extra, scope), ValueType("text"))
    match expr.name if not expr.schema else "":
        case "coalesce" | "greatest" | "least":
            return infer.unify(infos).with_nullable(nullable=all(each.nullable for each in infos))
        case "nullif" if len(infos) == 2:  # noqa: PLR2004
            infer.operation("=", infos)
            first = infos[1] if infos[0].open else infos[0]
            return replace(first, nullable=True, param=0)
        case "array_agg" if infos and infos[0].type == "record":
            return ValueType("record", infos[0].dims + 1)
        case "grouping":
            return ValueType("int4", nullable=False)
        case _:
            pass
    return _function_call(infer, expr, infos)


def _function_call(infer: Infer, expr: nodes.Call, infos: list[ValueType]) -> ValueType:
    name, schema_functions = infer.schema.functions_for(expr)
    bases = [infer.to_base_type(each) for each in infos]
    if expr.variadic:
        function = functions.by_name(name, schema_functions)
    elif expr.names:
        function = functions.named_function(name, bases, expr.names, schema_functions)
    elif any(not each.type or each.row for each in bases):
        function = _independent_of_arguments(name, bases, schema_functions)
    else:
        function = functions.function(name, bases, schema_functions)
    if function is None:
        if not schema_functions and not expr.names and all(each.type for each in bases):
            type_errors.no_function(infer, expr.name, infos)
        return ValueType("")
    for info, (kind, dims) in zip(infos, function.args, strict=False):
        if kind and kind != "any":
            infer.assign_type(info, ValueType(kind, dims))
        elif info.open and info.param:  # PostgreSQL cannot infer its type either
            infer.untyped.add(info.param)
    typed = ValueType(
        function.type, function.dims, nullable=_nullable(infer, expr, infos, function.flags)
    )
    if "u" in function.flags:
        return typed
    return _with_origin_and_items(expr, infos, typed)


def _independent_of_arguments(
    name: str, infos: Sequence[ValueType], schema_functions: Sequence[Candidate]
) -> ResolvedCall | None:
    """Return the function if its result does not depend on the types of its arguments."""
    if name == "count" and infos:
        return functions.function(name, [ValueType("int4")])
    return functions.by_name(name, schema_functions)


def _with_origin_and_items(  # noqa: PLR0911  # one return per kind of function
    expr: nodes.Call, infos: list[ValueType], typed: ValueType
) -> ValueType:
    """Copy the column of origin, and whether items may be NULL, from an argument to the result."""
    first = infos[0] if infos else ValueType("")
    if first.row and typed.type in JSON:
        return _json_of_rows(expr, first, typed)
    if expr.name == "array_agg":
        items = first.null_items if first.dims else first.nullable  # NULL arrays are an error
        return replace(typed, dims=first.dims + 1, null_items=items, origin=first.origin)
    typed = replace(typed, dims=overloads.depth(typed.type, typed.dims, infos))
    same = typed.type == first.type  # False for unnest of a multirange, which returns ranges
    if expr.name in {"unnest", "max", "min", "any_value"} and first.origin and same:
        typed = replace(typed, origin=first.origin)
    if expr.name in {"regexp_match", "regexp_matches", "string_to_array"}:
        # A group of the pattern may match nothing, which is NULL. string_to_array replaces items
        # that equal its third argument with NULL.
        return replace(typed, null_items=expr.name != "string_to_array" or len(infos) > 2)  # noqa: PLR2004
    if expr.name == "unnest":
        return typed.with_nullable(nullable=first.null_items)
    if expr.name == "array_remove" and isinstance(expr.args[1], nodes.Const):
        removed = expr.args[1].type == "null"
        return replace(typed, null_items=first.null_items and not removed)
    if typed.dims and expr.name != "array_positions":  # its items are indexes, never NULL
        added = expr.name in _ADD_ITEMS and any(each.nullable and not each.dims for each in infos)
        return replace(typed, null_items=added or any(each.null_items for each in infos))
    return typed


def _json_of_rows(expr: nodes.Call, first: ValueType, typed: ValueType) -> ValueType:
    """Return JSON of a row, or of rows that are collected in an array, with their columns."""
    if first.dims:
        return typed
    if expr.name in _TO_JSON:
        return replace(typed, row=first.row, is_list=first.is_list, null_items=first.null_items)
    if expr.name in _COLLECT_JSON and not first.is_list:
        null_items = first.nullable and not _excludes_null_rows(expr)
        return replace(typed, row=first.row, is_list=True, null_items=null_items)
    return typed


def _excludes_null_rows(expr: nodes.Call) -> bool:
    """Whether FILTER (WHERE r.id IS NOT NULL) is about the row `r` that is collected."""
    rows = [each for each in nodes.walk(expr.args) if isinstance(each, nodes.Ref)]
    for condition in expr.extra:
        match condition:
            case nodes.Test("true", (nodes.Test("null", (nodes.Ref(parts),), True),)):
                return len(rows) == 1 and parts[:1] == rows[0].parts
            case _:
                pass
    return False


def _nullable(infer: Infer, expr: nodes.Call, infos: list[ValueType], flags: str) -> bool:  # noqa: C901, PLR0911
    name, any_nullable = expr.name, any(each.nullable for each in infos)
    if "u" in flags:
        return True
    if name in {"array_remove", "array_replace", "string_to_array"}:
        return infos[0].nullable
    if name in _NEVER_NULL:
        return False
    if flags.startswith("a"):
        if expr.filtered or not (
            infer.groups if expr.over is None else _frame_has_row(infer, expr)
        ):
            return True
        return not (name in _ARRAY_AGGREGATES or (name in _AGGREGATES and not any_nullable))
    if flags.startswith("w"):
        return _window_nullable(infer, expr, infos)
    if name in {"extract", "date_part"}:
        field = expr.args[0] if expr.args else None
        never_null = (
            isinstance(field, nodes.Const) and field.text.strip("'").lower() in _NON_NULL_FIELDS
        )
        return any_nullable or not never_null
    if name in {"lower", "upper", "substring"}:
        return any_nullable or not _is_plain_text(name, infos)
    if name in _FROM_JSONB and infos and infos[0].type == "jsonb":
        return True  # of the JSON null
    if name in {"to_char", "time", "timetz"}:
        return any_nullable or (bool(infos) and infos[0].type in _TIMES)
    if "r" in flags:
        return any_nullable or name in {"jsonb_each_text", "json_array_elements_text"}
    if name in {"concat_ws", "format"}:
        return not infos or infos[0].nullable
    sometimes = name in _SOMETIMES_NULL or _CATALOG.fullmatch(name) is not None
    return any_nullable or sometimes or not flags.startswith("fs")


def _frame_has_row(infer: Infer, expr: nodes.Call) -> bool:
    """Whether the frame of a window always contains the current row."""
    return expr.over != FRAME_MAY_EXCLUDE_ROW and expr.over not in infer.frame_may_exclude_row


def _window_nullable(infer: Infer, expr: nodes.Call, infos: list[ValueType]) -> bool:
    any_nullable = any(each.nullable for each in infos)
    if expr.name in {"first_value", "last_value"}:
        return any_nullable or not _frame_has_row(infer, expr)
    if expr.name in {"lag", "lead"}:
        return any_nullable or len(infos) < 3  # noqa: PLR2004  # the third argument is returned for a missing row
    return any_nullable or expr.name != "ntile"


def _is_plain_text(name: str, infos: list[ValueType]) -> bool:
    """Whether this is lower(text), not lower(range), and no substring(text from pattern)."""
    texts = infos and infos[0].type in {"text", "varchar", "bpchar", "citext", "name", "unknown"}
    return bool(texts) and (name != "substring" or all(each.type == "int4" for each in infos[1:]))
