"""The text of a generated module: its imports, and the constants that its functions share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.naming import snake
from sqlc_gen_asyncpg.render.source import WIDTH, call, string, width

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir
    from sqlc_gen_asyncpg.render.imports import Imports

__all__ = ["ModuleText"]


@dataclass(slots=True)
class ModuleText:
    """A module while it is written: its imports and the private constants of its functions."""

    imports: Imports
    constants: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    names_by_value: dict[str, str] = field(default_factory=dict[str, str])

    def constant(self, wanted: str, value: list[str], annotation: str = "Final") -> str:
        """Return the name of a private constant with this value; equal values share one."""
        key = "\n".join([annotation, *value])
        if key in self.names_by_value:
            return self.names_by_value[key]
        name, number = wanted, 2
        while name in self.constants:
            name, number = f"{wanted}_{number}", number + 1
        self.imports.use("Final", annotation)
        head, *items, tail = value
        lines = call(f"{name}: {annotation} = {head}", items, tail)
        if width(lines[0]) > WIDTH:
            lines = [f"{name}: {annotation} = (", *call(head, items, tail, 4), ")"]
        # A tuple with one item has two commas if the item is on a line of its own.
        self.constants[name] = [re.sub(",,$", ",", line) for line in lines]
        self.names_by_value[key] = name
        return name

    def orders(self, function: ir.Function) -> str:
        """Return the name of the private constant with a function's statements by order.

        It is written beside the statements, not with the other private constants.
        """
        key = f"orders of {function.name}"
        name = wanted = f"_{function.name}_ORDERS".upper()
        number = 2
        while key not in self.names_by_value and name in self.constants:
            name, number = f"{wanted}_{number}", number + 1
        self.constants.setdefault(name, [])
        return self.names_by_value.setdefault(key, name)

    def adapter(self, annotation: str) -> str:
        """Return the constant of a TypeAdapter of this type, with its own annotation."""
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
        """Return the constant that encodes an argument for the driver; empty if none has to."""
        name, _, adapted = bind.encode.partition(":")
        if not name:
            return ""
        self.imports.use("Encoder", name)
        value = f"{name}({self.adapter(adapted)})" if adapted else name
        slug = re.sub(r"\W+", "_", argument).strip("_").upper()
        items = [string(argument), value, *([f"dims={bind.dims}"] if bind.dims else [])]
        items += [] if bind.nullable else ["null=False"]
        return self.constant(f"_ENCODE_{slug}", ["Encoder(", *items, ")"])

    def columns(self, model: str, names: tuple[str, ...]) -> str:
        """Return the constant with the names of a row's values."""
        return self.constant(_constant_name(model, "COLUMNS"), _tuple([string(n) for n in names]))

    def reader(self, record: ir.Record) -> str:
        """Return the constant of the function that reads a row into a model."""
        columns = tuple(part for part in record.shape if isinstance(part, str))
        if len(columns) == len(record.shape):
            head, names = "reader(", self.columns(record.model, columns)
        else:
            parts = [self._part(record, part) for part in record.shape]
            head = "nested_reader("
            names = self.constant(_constant_name(record.model, "SHAPE"), _tuple(parts))
        self.imports.use(head, record.model)
        name = f"_READ_{snake(record.model.removeprefix('models.'))}".upper()
        read = f"{head}{record.model}, {names})"
        if not record.decoders:
            return self.constant(name, [head, record.model, names, ")"])
        self.imports.use("decoded")
        items = [f"{at}: {self.decoder(each)}" for at, each in record.decoders]
        decoders = self.constant(_constant_name(record.model, "DECODERS"), ["{", *items, "}"])
        return self.constant(name, ["decoded(", read, decoders, ")"])

    def decoder(self, decoder: ir.Decoder) -> str:
        """Return the expression of a decoder; those of an object's values are a constant."""
        self.imports.use(decoder.function)
        if decoder.function == "json_row":
            self.imports.use("Decoders")
            items = [f"{string(name)}: {self.decoder(each)}" for name, each in decoder.fields]
            fields = self.constant("_DECODERS", ["{", *items, "}"], "Final[Decoders]")
            return f"json_row({fields})"
        inner = f"({self.decoder(decoder.inner)})" if decoder.inner else ""
        return decoder.function + inner

    def value(self, scalar: ir.Scalar, value: str) -> str:
        """Return the expression of the one value of a row, decoded if it is JSON with rows."""
        if not scalar.decoder:
            return value
        decode = self.constant("_DECODE", ["", self.decoder(scalar.decoder), ""])
        return f"{decode}({value})"

    def _part(self, record: ir.Record, part: str | ir.Embedded) -> str:
        if isinstance(part, str):
            return string(part)
        items = [string(part.name), self.columns(f"{record.model}_{part.name}", part.columns)]
        return f"({', '.join([*items, *([string(part.key)] if part.key else [])])})"


def _tuple(items: list[str]) -> list[str]:
    return ["(", f"{items[0]},", ")"] if len(items) == 1 else ["(", *items, ")"]


def _constant_name(model: str, suffix: str) -> str:
    return f"_{snake(model.removeprefix('models.'))}_{suffix}".upper()
