"""Functions that take many rows: :copyfrom, :batchexec, :batchone and :batchmany."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.render.source import call, comprehension, docstring, string

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.render.module import ModuleText

__all__ = ["render_batch"]


def render_batch(function: ir.Function, made: ModuleText) -> list[str]:
    """Return the function, which takes `rows`."""
    params = function.params
    if params is None:
        raise AssertionError(function.query)
    if function.copy:
        return _copy(function, function.copy, params, made)
    made.imports.use("DBTX", "Iterable", "tuples", params.name)
    rows = f"tuples({', '.join(_taken(function, made, _fields(function)))})"
    if function.command == ":batchexec":
        result = "None"
        body = call("await db.executemany(", [function.constant, rows], ")", 4)
    else:
        result, body = _fetched(function, made, rows)
    head = ["db: DBTX", "/", "*", f"rows: Iterable[{params.name}]"]
    return [
        *call(f"async def {function.name}(", head, f") -> {result}:"),
        *docstring(function.doc, 4),
        *body,
    ]


def _fields(function: ir.Function) -> tuple[str, ...]:
    fields = {each.name: each.field.name for each in function.arguments}
    return tuple(fields[each.argument] for each in function.binds)


def _taken(function: ir.Function, made: ModuleText, fields: tuple[str, ...]) -> list[str]:
    """Return what takes the values out of the rows: the fields, and what encodes some of them."""
    columns = made.columns(function.name, fields)
    encoders = {
        field: made.encoder(bind, field)
        for field, bind in zip(_fields(function), function.binds, strict=True)
        if bind.encode
    }
    if not encoders:
        return ["rows", columns]
    items = [f"{string(field)}: {encoder}" for field, encoder in sorted(encoders.items())]
    name = f"_{function.name}_ENCODERS".upper()
    return ["rows", columns, made.constant(name, ["{", *items, "}"])]


def _copy(function: ir.Function, copy: ir.Copy, params: ir.Model, made: ModuleText) -> list[str]:
    made.imports.use("CopyDBTX", "copied", "affected", "AsyncIterable", "Iterable", params.name)
    kind = f"Iterable[{params.name}] | AsyncIterable[{params.name}]"
    items = [
        string(copy.table),
        f"records=copied({', '.join(_taken(function, made, copy.fields))})",
        f"columns={made.columns(function.name, copy.columns)}",
        *([f"schema_name={string(copy.schema)}"] if copy.schema else []),
    ]
    head = ["db: CopyDBTX", "/", "*", f"rows: {kind}"]
    return [
        *call(f"async def {function.name}(", head, ") -> int:"),
        *docstring(function.doc, 4),
        *call("status = await db.copy_records_to_table(", items, ")", 4),
        "    return affected(status)",
    ]


def _fetched(function: ir.Function, made: ModuleText, rows: str) -> tuple[str, list[str]]:
    many = function.command == ":batchmany"
    fetch = f"await db.{'fetch' if many else 'fetchrow'}({function.constant}, *each)"
    lines = comprehension("found = ", fetch, f"for each in {rows}", 4)
    if isinstance(function.result, ir.Record):
        return _read(function.result, lines, made, many=many)
    if not function.result:
        raise AssertionError(function.query)
    kind, hint = function.result.row, function.result.hint
    if many:
        lines += comprehension("values = ", "[row[0] for row in rows_]", "for rows_ in found", 4)
        adapter, result = made.adapter(f"list[list[{kind}]]"), f"list[list[{hint}]]"
    else:
        none = "" if kind.endswith(" | None") else " | None"
        value = "None if row is None else row[0]"
        lines += comprehension("values = ", value, "for row in found", 4)
        adapter, result = made.adapter(f"list[{kind}{none}]"), f"list[{hint}{none}]"
    made.imports.use(result)
    return result, [*lines, *call(f"return {adapter}.validate_python(", ["values"], ")", 4)]


def _read(
    record: ir.Record, lines: list[str], made: ModuleText, *, many: bool
) -> tuple[str, list[str]]:
    """Return what makes models of the rows that were found."""
    read = made.reader(record)
    if many:
        each, clause = f"[{read}(row) for row in rows_]", "for rows_ in found"
        return f"list[list[{record.model}]]", [*lines, *comprehension("return ", each, clause, 4)]
    each, clause = f"None if row is None else {read}(row)", "for row in found"
    return f"list[{record.model} | None]", [*lines, *comprehension("return ", each, clause, 4)]
