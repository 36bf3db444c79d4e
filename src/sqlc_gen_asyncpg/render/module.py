"""The module of one query file: its models, constants and functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.render.batch import render_batch
from sqlc_gen_asyncpg.render.imports import Imports
from sqlc_gen_asyncpg.render.lookups import render_lookups
from sqlc_gen_asyncpg.render.model import render_model
from sqlc_gen_asyncpg.render.module_text import ModuleText
from sqlc_gen_asyncpg.render.source import (
    call,
    comprehension,
    docstring,
    sort_names,
    sql_literal,
    string,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["render_module"]


def render_module(
    module: ir.Module, custom: Mapping[str, str], base_class: ir.BaseClass
) -> list[str]:
    """Return the lines of a module; `custom` are the imported names of overrides."""
    text = ModuleText(Imports(custom))
    names: list[str] = [model.name for model in module.models]
    body: list[str] = []
    for function in module.functions:
        names += [name for name, _ in _statements(function)] + [function.name]
        text.imports.use("Final")
        literals = [f"{name}: Final = {sql_literal(sql)}" for name, sql in _statements(function)]
        alias: list[str] = []
        if function.order:
            names.append(function.order.title)
            alias = _orders(function, function.order, text)
        lines = render_batch(function, text) if function.of_many else _function(function, text)
        if function.iterator:
            names.append(f"iter_{function.name}")
            lines += ["", "", *_iterator(function, text)]
        constants = text.take_constants()
        body += ["", *(line for each in literals for line in each.split("\n")), *alias]
        body += [*(["", *constants] if constants else []), "", "", *lines, ""]
    lookups = render_lookups(module.functions)
    names += [ir.LOOKUP_BATCHES] if lookups else []
    body += lookups
    models: list[str] = []
    for model in module.models:
        models += ["", "", *render_model(model, text.imports, base_class)]
    return [
        *docstring(module.doc),
        *text.imports.lines(),
        "",
        *call("__all__ = [", [string(name) for name in sort_names(names)], "]"),
        *models,
        *_trimmed(body, gap=bool(models)),
    ]


def _statements(function: ir.Function) -> list[tuple[str, str]]:
    """Return the constants of a function's statements."""
    if function.lookup:
        batch = function.lookup
        return [(function.constant, function.sql), (batch.constant, batch.sql)]
    if function.order is None:
        return [(function.constant, function.sql)]
    return [(choice.constant, choice.sql) for choice in function.order.choices]


def _orders(function: ir.Function, order: ir.Order, text: ModuleText) -> list[str]:
    """Return the statements by the value of the argument, and the type of the argument."""
    text.imports.use("Literal", "TypeAlias")
    values = [string(choice.value) for choice in order.choices]
    items = [f"{string(choice.value)}: {choice.constant}" for choice in order.choices]
    return [
        *call(f"{text.orders(function)}: Final = {{", items, "}"),
        "",
        *call(f"{order.title}: TypeAlias = Literal[", values, "]"),
    ]


def _trimmed(body: list[str], *, gap: bool) -> list[str]:
    trimmed = body[:-1] if body and not body[-1] else body
    return ["", *trimmed] if gap else trimmed


def _signature(
    function: ir.Function, text: ModuleText, name: str, db: str, result: str
) -> list[str]:
    text.imports.use(db, result)
    items = [f"db: {db}", "/"]
    if function.params:
        items.append(f"params: {function.params.name}")
    if function.order or (function.arguments and not function.params):
        items.append("*")
    if function.order:
        items.append(f"{function.order.argument}: {function.order.title}")
    for argument in () if function.params else function.arguments:
        text.imports.use(argument.annotation)
        default = " = None" if argument.optional else ""
        items.append(f"{argument.name}: {argument.annotation}{default}")
    return call(f"async def {name}(", items, f") -> {result}:")


def _values(function: ir.Function, text: ModuleText) -> list[str]:
    """Return the arguments of a driver's method: the SQL and the values."""
    arguments = {argument.name: argument for argument in function.arguments}
    item = _local("item", function)
    values: list[str] = []
    for bind in function.binds:
        argument = arguments[bind.argument]
        name = argument.field.name if function.params else argument.name
        value = f"params.{name}" if function.params else name
        if bind.column:
            value = f"[{item}.{bind.column} for {item} in {value}]"
            name = f"{name}.{bind.column}"
        encoder = text.encoder(bind, name)
        values.append(f"{encoder}({value})" if encoder else value)
    return [_statement(function, text), *values]


def _statement(function: ir.Function, text: ModuleText) -> str:
    """Return the expression of a function's statement."""
    order = function.order
    if order is None:
        return function.constant
    text.imports.use("choose")
    return f"choose({string(order.argument)}, {order.argument}, {text.orders(function)})"


def _local(name: str, function: ir.Function) -> str:
    """Return a name for a local variable that no argument has."""
    order = {function.order.argument} if function.order else set[str]()
    while name in {argument.name for argument in function.arguments} | order | {"params"}:
        name += "_"
    return name


def _checks(function: ir.Function, text: ModuleText) -> list[str]:
    lines: list[str] = []
    for argument in function.arguments if not function.params else ():
        if argument.aware:
            text.imports.use("require_aware")
            lines += call("require_aware(", [string(argument.name), argument.name], ")", 4)
    return lines


def _function(function: ir.Function, text: ModuleText) -> list[str]:
    result, body = _body(function, text)
    return [
        *_signature(function, text, function.name, "DBTX", result),
        *docstring(function.doc, 4),
        *_checks(function, text),
        *body,
    ]


def _body(function: ir.Function, text: ModuleText) -> tuple[str, list[str]]:
    """Return the type of the result, and the statements that fetch and return it."""
    values = _values(function, text)
    match function.command:
        case ":exec":
            return "None", call("await db.execute(", values, ")", 4)
        case ":execresult":
            return "str", call("return await db.execute(", values, ")", 4)
        case ":execrows":
            text.imports.use("affected")
            status = _local("status", function)
            line = f"    return affected({status})"
            return "int", [*call(f"{status} = await db.execute(", values, ")", 4), line]
        case ":one" if isinstance(function.result, ir.Scalar):
            return _one_scalar(function, function.result, text, values)
        case ":one" if isinstance(function.result, ir.Record):
            return _one_record(function, function.result, text, values)
        case _:
            return _many(function, text, values)


def _one_scalar(
    function: ir.Function, scalar: ir.Scalar, text: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    if scalar.hint == "None":  # of a void function
        return "None", call("await db.fetchval(", values, ")", 4)
    if function.always_row and scalar.nullable:
        return _one_nullable(function, scalar, text, values)
    value = _local("value", function)
    lines = call(f"{value} = await db.fetchval(", values, ")", 4)
    none = "" if function.always_row or scalar.nullable else " | None"
    if function.always_row:
        text.imports.use("required")
        value = f"required({value}, {string(function.query)})"
    adapter = text.adapter(scalar.row + none)
    value = text.value(function, scalar, value)
    return scalar.hint + none, [
        *lines,
        *call(f"return {adapter}.validate_python(", [value], ")", 4),
    ]


def _one_nullable(
    function: ir.Function, scalar: ir.Scalar, text: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    """Return NULL as None, but raise without a row."""
    text.imports.use("required")
    row = _local("row", function)
    value = text.value(function, scalar, f"required({row}, {string(function.query)})[0]")
    return scalar.hint, [
        *call(f"{row} = await db.fetchrow(", values, ")", 4),
        *call(f"return {text.adapter(scalar.row)}.validate_python(", [value], ")", 4),
    ]


def _one_record(
    function: ir.Function, record: ir.Record, text: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    row = _local("row", function)
    lines = call(f"{row} = await db.fetchrow(", values, ")", 4)
    read = text.reader(record)
    if function.always_row:
        text.imports.use("required")
        value = f"required({row}, {string(function.query)})"
        return record.model, [*lines, *call(f"return {read}(", [value], ")", 4)]
    lines += [f"    if {row} is None:", "        return None"]
    return f"{record.model} | None", [*lines, *call(f"return {read}(", [row], ")", 4)]


def _many(function: ir.Function, text: ModuleText, values: list[str]) -> tuple[str, list[str]]:
    rows, row = _local("rows", function), _local("row", function)
    lines = call(f"{rows} = await db.fetch(", values, ")", 4)
    if isinstance(function.result, ir.Record):
        value = f"{text.reader(function.result)}({row})"
        lines += comprehension("return ", value, f"for {row} in {rows}", 4)
        return f"list[{function.result.model}]", lines
    if not function.result:
        raise AssertionError(function.query)
    values_ = _local("values", function)
    adapter = text.adapter(f"list[{function.result.row}]")
    value = text.value(function, function.result, f"{row}[0]")
    lines += comprehension(f"{values_} = ", value, f"for {row} in {rows}", 4)
    lines += call(f"return {adapter}.validate_python(", [values_], ")", 4)
    return f"list[{function.result.hint}]", lines


def _iterator(function: ir.Function, text: ModuleText) -> list[str]:
    row = _local("row", function)
    values = _values(function, text)
    if isinstance(function.result, ir.Record):
        result = function.result.model
        value = call(f"yield {text.reader(function.result)}(", [row], ")", 8)
    elif function.result:
        result = function.result.hint
        only = text.value(function, function.result, f"{row}[0]")
        value = call(f"yield {text.adapter(function.result.row)}.validate_python(", [only], ")", 8)
    else:
        raise AssertionError(function.query)
    doc = (f"Like {function.name}, one row at a time over a cursor; needs a transaction.",)
    name = f"iter_{function.name}"
    return [
        *_signature(function, text, name, "CursorDBTX", f"AsyncIterator[{result}]"),
        *docstring(doc if function.doc else (), 4),
        *_checks(function, text),
        *call(f"async for {row} in db.cursor(", values, "):", 4),
        *value,
    ]
