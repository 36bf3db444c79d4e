"""The text of a generated module: its imports, and the constants that its functions share."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.naming import snake
from sqlc_gen_asyncpg.render.source import WIDTH, call, string, width
from sqlc_gen_asyncpg.render.type_words import type_words

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir
    from sqlc_gen_asyncpg.render.imports import Imports

__all__ = ["ModuleText"]


@dataclass(slots=True)
class ModuleText:
    """A module while it is written: its imports and the private constants of its functions."""

    imports: Imports
    names: set[str] = field(default_factory=set[str])
    names_by_value: dict[str, str] = field(default_factory=dict[str, str])
    pending: list[str] = field(default_factory=list[str])
    """The lines of the constants that were added since the last call of `take_constants`."""

    def take_constants(self) -> list[str]:
        """Return the constants that the last function uses and no function before it."""
        lines, self.pending = self.pending, []
        return lines

    def constant(
        self, wanted: str, value: list[str], annotation: str = "Final", *, owner: str = ""
    ) -> str:
        """Return the name of a private constant with this value.

        Equal values share a constant, unless they belong to different functions or models, the
        `owner`.
        """
        key = "\n".join([owner, annotation, *value])
        if key in self.names_by_value:
            return self.names_by_value[key]
        name = self._new_name(wanted, key)
        self.imports.use("Final", annotation)
        head, *items, tail = value
        lines = call(f"{name}: {annotation} = {head}", items, tail)
        if width(lines[0]) > WIDTH:
            lines = [f"{name}: {annotation} = (", *call(head, items, tail, 4), ")"]
        # A tuple with one item has two commas if the item is on a line of its own.
        self.pending += [re.sub(",,$", ",", line) for line in lines]
        return name

    def orders(self, function: ir.Function) -> str:
        """Return the name of the private constant with a function's statements by order.

        It is written beside the statements, not with the other private constants.
        """
        key = f"orders of {function.name}"
        known = self.names_by_value.get(key)
        return known or self._new_name(f"_{function.name}_ORDERS".upper(), key)

    def adapter(self, annotation: str) -> str:
        """Return the constant of a TypeAdapter of this type, with its own annotation."""
        self.imports.use("TypeAdapter", annotation)
        value = ["TypeAdapter(", annotation, ")"]
        if "Decimal" in annotation:
            self.imports.use("ConfigDict")
            value.insert(2, "config=ConfigDict(allow_inf_nan=True)")
        typed = f"Final[TypeAdapter[{annotation}]]"
        name = f"_{type_words(annotation)}_ADAPTER".upper()
        fits = width(f"{name}: {typed} = (") <= WIDTH
        return self.constant(name if fits else "_ADAPTER", value, typed)

    def encoder(self, bind: ir.Bind, argument: str) -> str:
        """Return the constant that encodes an argument for the driver; empty if none has to."""
        name, _, adapted = bind.encode.partition(":")
        if not name:
            return ""
        self.imports.use("Encoder", name)
        value = f"{name}({self.adapter(adapted)})" if adapted else name
        slug = re.sub(r"\W+", "_", argument).strip("_")
        items = [string(argument), value, *([f"dims={bind.dims}"] if bind.dims else [])]
        items += [] if bind.nullable else ["null=False"]
        return self.constant(f"_encode_{slug}", ["Encoder(", *items, ")"])

    def columns(self, function: str, names: tuple[str, ...]) -> str:
        """Return the constant with the columns that a function fills."""
        items = [string(name) for name in names]
        value = ["(", f"{items[0]},", ")"] if len(items) == 1 else ["(", *items, ")"]
        return self.constant(f"_{function}_COLUMNS".upper(), value, owner=function)

    def reader(self, record: ir.Record) -> str:
        """Return the constant of the function that reads a row into a model."""
        is_nested = any(not isinstance(part, str) for part in record.shape)
        head = "nested_reader(" if is_nested else "reader("
        shape = _tuple([_part(part) for part in record.shape])
        self.imports.use(head, record.model)
        name = f"_read_{snake(record.model.removeprefix('models.'))}"
        if not record.decoders:
            return self.constant(name, [head, record.model, shape, ")"])
        self.imports.use("decoded")
        items = ", ".join(f"{at}: {self.decoder(each)}" for at, each in record.decoders)
        read = f"{head}{record.model}, {shape})"
        return self.constant(name, ["decoded(", read, f"{{{items}}}", ")"])

    def decoder(self, decoder: ir.Decoder) -> str:
        """Return the expression of a decoder; that of an object's values is a constant."""
        self.imports.use(decoder.function)
        if decoder.function == "json_row":
            items = [f"{string(name)}: {self.decoder(each)}" for name, each in decoder.fields]
            name = f"_decode_{snake(decoder.row.removeprefix('models.'))}"
            value = ["json_row(", f"{{{', '.join(items)}}}", ")"]
            return self.constant(name, value, owner=decoder.row)
        inner = f"({self.decoder(decoder.inner)})" if decoder.inner else ""
        return decoder.function + inner

    def value(self, function: ir.Function, scalar: ir.Scalar, value: str) -> str:
        """Return the expression of the one value of a row, decoded if it is JSON with rows."""
        if not scalar.decoder:
            return value
        head, _, inner = self.decoder(scalar.decoder).removesuffix(")").partition("(")
        value_of = [f"{head}(", inner, ")"]
        decode = self.constant(f"_decode_{function.name}", value_of, owner=function.name)
        return f"{decode}({value})"

    def _new_name(self, wanted: str, key: str) -> str:
        name, number = wanted, 2
        while name in self.names:
            name, number = f"{wanted}_{number}", number + 1
        self.names.add(name)
        self.names_by_value[key] = name
        return name


def _part(part: str | ir.Embedded) -> str:
    if isinstance(part, str):
        return string(part)
    items = [string(part.name), _tuple([string(column) for column in part.columns])]
    return _tuple([*items, *([string(part.key)] if part.key else [])])


def _tuple(items: list[str]) -> str:
    return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
