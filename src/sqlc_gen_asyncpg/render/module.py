"""The functions of one query file as text."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.naming import snake
from sqlc_gen_asyncpg.render.batch import render_batch
from sqlc_gen_asyncpg.render.imports import Imports
from sqlc_gen_asyncpg.render.model import render_model
from sqlc_gen_asyncpg.render.source import (
    WIDTH,
    call,
    comprehension,
    docstring,
    sort_names,
    sql_literal,
    string,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ModuleText", "render_module"]


@dataclass(slots=True)
class ModuleText:
    """A module in the making: its imports, and the private constants its functions share."""

    imports: Imports
    constants: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    named: dict[str, str] = field(default_factory=dict[str, str])

    def constant(self, wanted: str, value: list[str], annotation: str = "Final") -> str:
        """Return the name of a private constant with this value; the same value has one name."""
        key = "\n".join([annotation, *value])
        if key in self.named:
            return self.named[key]
        name, number = wanted, 2
        while name in self.constants:
            name, number = f"{wanted}_{number}", number + 1
        self.imports.use("Final", annotation)
        head, *items, tail = value
        lines = call(f"{name}: {annotation} = {head}", items, tail)
        if width(lines[0]) > WIDTH:
            lines = [f"{name}: {annotation} = (", *call(head, items, tail, 4), ")"]
        # The comma of a tuple with one item is there twice if the item has a line of its own.
        self.constants[name] = [re.sub(",,$", ",", line) for line in lines]
        self.named[key] = name
        return name

    def adapter(self, annotation: str) -> str:
        """Return a TypeAdapter of this type; of a union a type checker needs to be told."""
        slug = re.sub(r"\W+", "_", annotation.replace("models.", "").replace("enums.", ""))
        self.imports.use("TypeAdapter", annotation)
        value = ["TypeAdapter(", annotation, ")"]
        if "Decimal" in annotation:
            self.imports.use("ConfigDict")
            value.insert(2, "config=ConfigDict(allow_inf_nan=True)")
        typed = f"Final[TypeAdapter[{annotation}]]"
        name = f"_{slug.strip('_').upper()}"
        fits = width(f"{name}: {typed} = (") <= WIDTH
        return self.constant(name if fits else "_ADAPTER", value, typed)

    def encoder(self, bind: ir.Bind, argument: str) -> str:
        """Return the constant that makes of an argument what the driver takes, if one must."""
        name, _, of = bind.encode.partition(":")
        if not name:
            return ""
        self.imports.use("Encoder", name)
        value = f"{name}({self.adapter(of)})" if of else name
        slug = re.sub(r"\W+", "_", argument).strip("_").upper()
        items = [string(argument), value, *([f"dims={bind.dims}"] if bind.dims else [])]
        items += [] if bind.nullable else ["null=False"]
        return self.constant(f"_ENCODE_{slug}", ["Encoder(", *items, ")"])

    def columns(self, model: str, names: tuple[str, ...]) -> str:
        """Return the names of a row's values."""
        return self.constant(_screaming(model, "COLUMNS"), _tuple([string(each) for each in names]))

    def reader(self, record: ir.Record) -> str:
        """Return the function that makes a model of a row."""
        if all(isinstance(each, str) for each in record.shape):
            flat = tuple(each for each in record.shape if isinstance(each, str))
            make, names = "reader(", self.columns(record.model, flat)
        else:
            parts = [self._part(record, each) for each in record.shape]
            make = "nested_reader("
            names = self.constant(_screaming(record.model, "SHAPE"), _tuple(parts))
        self.imports.use(make, record.model)
        name = f"_READ_{snake(record.model.removeprefix('models.'))}".upper()
        return self.constant(name, [make, record.model, names, ")"])

    def _part(self, record: ir.Record, part: str | ir.Embedded) -> str:
        if isinstance(part, str):
            return string(part)
        items = [string(part.name), self.columns(f"{record.model}_{part.name}", part.columns)]
        return f"({', '.join([*items, *([string(part.key)] if part.key else [])])})"


def _tuple(items: list[str]) -> list[str]:
    return ["(", f"{items[0]},", ")"] if len(items) == 1 else ["(", *items, ")"]


def _screaming(model: str, suffix: str) -> str:
    return f"_{snake(model.removeprefix('models.'))}_{suffix}".upper()


def render_module(module: ir.Module, custom: Mapping[str, str]) -> list[str]:
    """All lines of the module."""
    made = ModuleText(Imports(custom))
    names: list[str] = [model.name for model in module.models]
    body: list[str] = []
    for function in module.functions:
        names += [function.constant, function.name]
        made.imports.use("Final")
        literal = f"{function.constant}: Final = {sql_literal(function.sql)}"
        lines = render_batch(function, made) if function.of_many else _function(function, made)
        body += ["", *literal.split("\n"), "", "", *lines, ""]
        if function.iterator:
            names.append(f"iter_{function.name}")
            body += ["", *_iterator(function, made), ""]
    models: list[str] = []
    for model in module.models:
        models += ["", "", *render_model(model, made.imports)]
    constants = [line for lines in made.constants.values() for line in lines]
    return [
        *docstring(module.doc),
        *made.imports.lines(),
        "",
        *call("__all__ = [", [string(name) for name in sort_names(names)], "]"),
        *models,
        *(["", *(["", *constants] if models else constants)] if constants else []),
        *_after(body, gap=bool(models) and not constants),
    ]


def _after(body: list[str], *, gap: bool) -> list[str]:
    trimmed = body[:-1] if body and not body[-1] else body
    return ["", *trimmed] if gap else trimmed


def _signature(
    function: ir.Function, made: ModuleText, name: str, db: str, result: str
) -> list[str]:
    made.imports.use(db, result)
    items = [f"db: {db}", "/"]
    if function.params:
        items.append(f"params: {function.params.name}")
    elif function.arguments:
        items.append("*")
        for each in function.arguments:
            made.imports.use(each.annotation)
            items.append(f"{each.name}: {each.annotation}")
    return call(f"async def {name}(", items, f") -> {result}:")


def _values(function: ir.Function, made: ModuleText) -> list[str]:
    """Return what follows the SQL in the call of the driver."""
    arguments = {each.name: each for each in function.arguments}
    item = _local("item", function)
    values: list[str] = []
    for bind in function.binds:
        argument = arguments[bind.argument]
        called = argument.field.name if function.params else argument.name
        value = f"params.{called}" if function.params else called
        if bind.column:
            value = f"[{item}.{bind.column} for {item} in {value}]"
            called = f"{called}.{bind.column}"
        encoder = made.encoder(bind, called)
        values.append(f"{encoder}({value})" if encoder else value)
    return [function.constant, *values]


def _local(name: str, function: ir.Function) -> str:
    """Return a local variable that no argument is called like."""
    while name in {each.name for each in function.arguments} | {"params"}:
        name += "_"
    return name


def _checks(function: ir.Function, made: ModuleText) -> list[str]:
    lines: list[str] = []
    for each in function.arguments if not function.params else ():
        if each.aware:
            made.imports.use("require_aware")
            lines += call("require_aware(", [string(each.name), each.name], ")", 4)
    return lines


def _function(function: ir.Function, made: ModuleText) -> list[str]:
    result, body = _body(function, made)
    return [
        *_signature(function, made, function.name, "DBTX", result),
        *docstring(function.doc, 4),
        *_checks(function, made),
        *body,
    ]


def _body(function: ir.Function, made: ModuleText) -> tuple[str, list[str]]:
    """Return the type of the result, and the statements that get it."""
    values = _values(function, made)
    match function.command:
        case ":exec":
            return "None", call("await db.execute(", values, ")", 4)
        case ":execresult":
            return "str", call("return await db.execute(", values, ")", 4)
        case ":execrows":
            made.imports.use("affected")
            status = _local("status", function)
            line = f"    return affected({status})"
            return "int", [*call(f"{status} = await db.execute(", values, ")", 4), line]
        case ":one" if isinstance(function.result, ir.Scalar):
            return _one_scalar(function, function.result, made, values)
        case ":one" if isinstance(function.result, ir.Record):
            return _one_record(function, function.result, made, values)
        case _:
            return _many(function, made, values)


def _one_scalar(
    function: ir.Function, scalar: ir.Scalar, made: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    if function.always_row and scalar.nullable:
        return _one_nullable(function, scalar, made, values)
    value = _local("value", function)
    lines = call(f"{value} = await db.fetchval(", values, ")", 4)
    none = "" if function.always_row or scalar.nullable else " | None"
    if function.always_row:
        made.imports.use("required")
        value = f"required({value}, {string(function.query)})"
    adapter = made.adapter(scalar.row + none)
    return scalar.hint + none, [
        *lines,
        *call(f"return {adapter}.validate_python(", [value], ")", 4),
    ]


def _one_nullable(
    function: ir.Function, scalar: ir.Scalar, made: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    """Tell a row that holds NULL from no row."""
    made.imports.use("required")
    row = _local("row", function)
    value = f"required({row}, {string(function.query)})[0]"
    return scalar.hint, [
        *call(f"{row} = await db.fetchrow(", values, ")", 4),
        *call(f"return {made.adapter(scalar.row)}.validate_python(", [value], ")", 4),
    ]


def _one_record(
    function: ir.Function, record: ir.Record, made: ModuleText, values: list[str]
) -> tuple[str, list[str]]:
    row = _local("row", function)
    lines = call(f"{row} = await db.fetchrow(", values, ")", 4)
    read = made.reader(record)
    if function.always_row:
        made.imports.use("required")
        value = f"required({row}, {string(function.query)})"
        return record.model, [*lines, *call(f"return {read}(", [value], ")", 4)]
    lines += [f"    if {row} is None:", "        return None"]
    return f"{record.model} | None", [*lines, *call(f"return {read}(", [row], ")", 4)]


def _many(function: ir.Function, made: ModuleText, values: list[str]) -> tuple[str, list[str]]:
    rows, row = _local("rows", function), _local("row", function)
    lines = call(f"{rows} = await db.fetch(", values, ")", 4)
    if isinstance(function.result, ir.Record):
        value = f"{made.reader(function.result)}({row})"
        lines += comprehension("return ", value, f"for {row} in {rows}", 4)
        return f"list[{function.result.model}]", lines
    if not function.result:
        raise AssertionError(function.query)
    found = _local("found", function)
    adapter = made.adapter(f"list[{function.result.row}]")
    lines += comprehension(f"{found} = ", f"{row}[0]", f"for {row} in {rows}", 4)
    lines += call(f"return {adapter}.validate_python(", [found], ")", 4)
    return f"list[{function.result.hint}]", lines


def _iterator(function: ir.Function, made: ModuleText) -> list[str]:
    row = _local("row", function)
    values = _values(function, made)
    if isinstance(function.result, ir.Record):
        result = function.result.model
        value = call(f"yield {made.reader(function.result)}(", [row], ")", 8)
    elif function.result:
        result = function.result.hint
        value = call(
            f"yield {made.adapter(function.result.row)}.validate_python(", [f"{row}[0]"], ")", 8
        )
    else:
        raise AssertionError(function.query)
    doc = (f"Like {function.name}, one row at a time over a cursor; needs a transaction.",)
    name = f"iter_{function.name}"
    return [
        *_signature(function, made, name, "CursorDBTX", f"AsyncIterator[{result}]"),
        *docstring(doc if function.doc else (), 4),
        *_checks(function, made),
        *call(f"async for {row} in db.cursor(", values, "):", 4),
        *value,
    ]
