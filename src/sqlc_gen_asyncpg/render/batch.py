"""Functions that take many rows: :copyfrom, :batchexec, :batchone and :batchmany."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.render.source import call, comprehension, docstring, string

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.render.module_text import ModuleText

__all__ = ["render_batch"]


def render_batch(function: ir.Function, text: ModuleText) -> list[str]:
    """Return the lines of a function with the argument `rows`."""
    params = function.params
    if params is None:
        raise AssertionError(function.query)
    if function.copy:
        return _copy(function, function.copy, params, text)
    text.imports.use("DBTX", "Iterable", "tuples", params.name)
    rows = f"tuples({', '.join(_row_arguments(function, text, _fields(function)))})"
    if function.command == ":batchexec":
        result = "None"
        body = call("await db.executemany(", [function.constant, rows], ")", 4)
    else:
        result, body = _fetched(function, text, rows)
    head = ["db: DBTX", "/", "*", f"rows: Iterable[{params.name}]"]
    return [
        *call(f"async def {function.name}(", head, f") -> {result}:"),
        *docstring(function.doc, 4),
        *body,
    ]


def _fields(function: ir.Function) -> tuple[str, ...]:
    fields = {argument.name: argument.field.name for argument in function.arguments}
    return tuple(fields[bind.argument] for bind in function.binds)


def _row_arguments(function: ir.Function, text: ModuleText, fields: tuple[str, ...]) -> list[str]:
    """Return the arguments of `tuples` or `copied`: the rows, their fields, and the encoders."""
    columns = text.columns(function.name, fields)
    encoders = {
        field: text.encoder(bind, field)
        for field, bind in zip(_fields(function), function.binds, strict=True)
        if bind.encode
    }
    if not encoders:
        return ["rows", columns]
    items = [f"{string(field)}: {encoder}" for field, encoder in sorted(encoders.items())]
    name = f"_{function.name}_ENCODERS".upper()
    return ["rows", columns, text.constant(name, ["{", *items, "}"], owner=function.name)]


def _copy(function: ir.Function, copy: ir.Copy, params: ir.Model, text: ModuleText) -> list[str]:
    text.imports.use("CopyDBTX", "copied", "affected", "AsyncIterable", "Iterable", params.name)
    annotation = f"Iterable[{params.name}] | AsyncIterable[{params.name}]"
    items = [
        string(copy.table),
        f"records=copied({', '.join(_row_arguments(function, text, copy.fields))})",
        f"columns={text.columns(function.name, copy.columns)}",
        *([f"schema_name={string(copy.schema)}"] if copy.schema else []),
    ]
    head = ["db: CopyDBTX", "/", "*", f"rows: {annotation}"]
    return [
        *call(f"async def {function.name}(", head, ") -> int:"),
        *docstring(function.doc, 4),
        *call("status = await db.copy_records_to_table(", items, ")", 4),
        "    return affected(status)",
    ]


def _fetched(function: ir.Function, text: ModuleText, rows: str) -> tuple[str, list[str]]:
    many = function.command == ":batchmany"
    fetch = f"await db.{'fetch' if many else 'fetchrow'}({function.constant}, *each)"
    lines = comprehension("found = ", fetch, f"for each in {rows}", 4)
    if isinstance(function.result, ir.Record):
        return _read(function, function.result, lines, text)
    if not function.result:
        raise AssertionError(function.query)
    row_type, hint = function.result.row, function.result.hint
    if many:
        value = f"[{text.value(function, function.result, 'row[0]')} for row in rows_]"
        lines += comprehension("values = ", value, "for rows_ in found", 4)
        adapter, result = text.adapter(f"list[list[{row_type}]]"), f"list[list[{hint}]]"
    else:
        none = "" if function.always_row or function.result.nullable else " | None"
        value = text.value(function, function.result, f"{_present(function, text)}[0]")
        value = value if function.always_row else f"None if row is None else {value}"
        lines += comprehension("values = ", value, "for row in found", 4)
        adapter, result = text.adapter(f"list[{row_type}{none}]"), f"list[{hint}{none}]"
    text.imports.use(result)
    return result, [*lines, *call(f"return {adapter}.validate_python(", ["values"], ")", 4)]


def _present(function: ir.Function, text: ModuleText) -> str:
    """Return the expression of a row; of a query that always returns one it is never None."""
    if not function.always_row:
        return "row"
    text.imports.use("required")
    return f"required(row, {string(function.query)})"


def _read(
    function: ir.Function, record: ir.Record, lines: list[str], text: ModuleText
) -> tuple[str, list[str]]:
    """Return the result type, and the statements that read rows into models."""
    read = text.reader(record)
    if function.command == ":batchmany":
        value, clause = f"[{read}(row) for row in rows_]", "for rows_ in found"
        return f"list[list[{record.model}]]", [*lines, *comprehension("return ", value, clause, 4)]
    value, none = f"{read}({_present(function, text)})", ""
    if not function.always_row:
        value, none = f"None if row is None else {value}", " | None"
    body = comprehension("return ", value, "for row in found", 4)
    return f"list[{record.model}{none}]", [*lines, *body]
