"""The intermediate representation of a package: everything that the renderer writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "LOOKUP_BATCHES",
    "Argument",
    "BaseClass",
    "Bind",
    "Command",
    "Converter",
    "Copy",
    "Decoder",
    "Embedded",
    "Enum",
    "Field",
    "Function",
    "LookupBatch",
    "Model",
    "Module",
    "Order",
    "OrderChoice",
    "Package",
    "ParsedJson",
    "Record",
    "Scalar",
    "Shape",
]

LOOKUP_BATCHES: Final = "LOOKUP_BATCHES"
"""The name of a module's constant with the statements of its look-ups."""

Command = Literal[
    ":one",
    ":many",
    ":exec",
    ":execrows",
    ":execresult",
    ":copyfrom",
    ":batchexec",
    ":batchone",
    ":batchmany",
]


@dataclass(frozen=True, slots=True)
class Embedded:
    """A model inside of a row; if `key` is NULL an outer join had no match."""

    name: str
    columns: tuple[str, ...]
    key: str = ""


# The fields that a row's values fill, in order.
Shape = tuple[str | Embedded, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a model; `alias` is the name of a column that Python does not allow."""

    name: str
    annotation: str
    alias: str = ""
    description: str = ""
    default_none: bool = False


@dataclass(frozen=True, slots=True)
class ParsedJson:
    """A property with the JSON of a text field; an error of this class names the column."""

    name: str
    field: str
    column: str
    error: str


@dataclass(frozen=True, slots=True)
class Model:
    """A pydantic model; an input model refuses other fields.

    Its `base` is empty if it has the base class of the package.
    """

    name: str
    doc: tuple[str, ...]
    fields: tuple[Field, ...]
    is_input: bool = False
    is_composite: bool = False
    base: str = ""
    parsed: tuple[ParsedJson, ...] = ()


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum; one that the database does not enforce is also emitted as Open<name>."""

    name: str
    doc: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Argument:
    """A function's argument, or the field of its Params model.

    An `optional` one has None as its default.
    """

    name: str
    annotation: str
    field: Field
    aware: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """The value of `$n`: an argument, or one field of each row of a batch.

    `encode` is that of PyType, `dims` the depth of arrays around its values. If it is not
    `nullable`, None is encoded as any value is: as JSON's null.
    """

    argument: str
    column: str = ""
    encode: str = ""
    dims: int = 0
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Decoder:
    """A function of pgrows.py that decodes a value inside of JSON.

    `inner` is the decoder that it takes, `fields` those of the values of an object by name, and
    `row` the name of the object's type.
    """

    function: str
    inner: Decoder | None = None
    fields: tuple[tuple[str, Decoder], ...] = ()
    row: str = ""


@dataclass(frozen=True, slots=True)
class Scalar:
    """One column, with the annotations `row` and `hint` of PyType."""

    row: str
    hint: str
    nullable: bool
    decoder: Decoder | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """A model, the fields that a row's values fill, and the decoders of values by position."""

    model: str
    shape: Shape
    decoders: tuple[tuple[int, Decoder], ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """The target of :copyfrom: columns, and the field that fills each."""

    schema: str
    table: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OrderChoice:
    """A value of the argument that selects an order, with its statement."""

    value: str
    constant: str
    sql: str


@dataclass(frozen=True, slots=True)
class Order:
    """The argument that selects an order; `title` is the name of its type."""

    argument: str
    title: str
    choices: tuple[OrderChoice, ...]


@dataclass(frozen=True, slots=True)
class LookupBatch:
    """The statement of a query over arrays of its arguments, and the name of its constant.

    Its rows are those of the query, with the number of the look-up in the arrays, from 1, at the
    end.
    """

    constant: str
    sql: str


@dataclass(frozen=True, slots=True)
class Function:
    """One query; `place` is its position and its name, as problems with it are reported."""

    query: str
    command: Command
    name: str
    constant: str
    sql: str
    doc: tuple[str, ...]
    arguments: tuple[Argument, ...]
    binds: tuple[Bind, ...]
    params: Model | None
    result: Scalar | Record | None
    always_row: bool
    iterator: bool
    copy: Copy | None = None
    place: str = ""
    order: Order | None = None
    lookup: LookupBatch | None = None

    @property
    def statements(self) -> tuple[str, ...]:
        """The statements that it may send: its only one, or one for each order."""
        return tuple(choice.sql for choice in self.order.choices) if self.order else (self.sql,)

    @property
    def of_many(self) -> bool:
        """Whether it takes rows."""
        return self.command == ":copyfrom" or self.command.startswith(":batch")


@dataclass(frozen=True, slots=True)
class Module:
    """The functions of one query file, in its order, and the models that only they use."""

    name: str
    filename: str
    doc: tuple[str, ...]
    functions: tuple[Function, ...]
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Converter:
    """A type of the application, and its two functions, by their names in generated code."""

    hint: str
    row: str
    argument: str
    from_db: str
    to_db: str


@dataclass(frozen=True, slots=True)
class BaseClass:
    """The class from which models are derived, by its name in generated code."""

    name: str = "BaseModel"
    module: str = "pydantic"
    frozen: bool = False


@dataclass(frozen=True, slots=True)
class Package:
    """A generated package."""

    name: str
    sqlc_version: str
    str_enum: bool
    enums: tuple[Enum, ...]
    models: tuple[Model, ...]
    modules: tuple[Module, ...]
    imports: Mapping[str, str]
    converters: tuple[Converter, ...] = ()
    base: BaseClass = BaseClass()
