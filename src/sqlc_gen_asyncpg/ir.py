"""What will be written, decided in full: the renderer only spells it out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Argument",
    "Bind",
    "Command",
    "Converter",
    "Copy",
    "Embedded",
    "Enum",
    "Field",
    "Function",
    "Model",
    "Module",
    "Package",
    "Record",
    "Scalar",
    "Shape",
]

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
    """A model inside of a row; where `key` is NULL an outer join found no match."""

    name: str
    columns: tuple[str, ...]
    key: str = ""


# The fields that a row's values fill, in order.
Shape = tuple[str | Embedded, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """A model's field; `alias` is the column's own name where Python does not allow it."""

    name: str
    annotation: str
    alias: str = ""
    description: str = ""
    default_none: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """A pydantic model; an input model refuses fields it does not know."""

    name: str
    doc: tuple[str, ...]
    fields: tuple[Field, ...]
    is_input: bool = False
    is_composite: bool = False


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum; one that the database does not enforce is also emitted as Open<name>."""

    name: str
    doc: tuple[str, ...]
    members: tuple[tuple[str, str], ...]
    enforced: bool = True


@dataclass(frozen=True, slots=True)
class Argument:
    """A function's argument, or the field of its Params model."""

    name: str
    annotation: str
    field: Field
    aware: bool = False


@dataclass(frozen=True, slots=True)
class Bind:
    """What `$n` is bound to: an argument, or one field of each row of a batch.

    `encode` is what `PyType.encode` is, and `dims` how deep in arrays its values are. Where it is
    not `nullable`, None is a value as others are: JSON's null.
    """

    argument: str
    column: str = ""
    encode: str = ""
    dims: int = 0
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Scalar:
    """One column: what it is validated against, and what a reader sees."""

    row: str
    hint: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A model, and how a row's values fill it."""

    model: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class Copy:
    """Where :copyfrom copies to: columns, and the field that fills each."""

    schema: str
    table: str
    columns: tuple[str, ...]
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Function:
    """One query."""

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

    @property
    def of_many(self) -> bool:
        """Whether it takes rows, and is written by render_batch."""
        return self.command == ":copyfrom" or self.command.startswith(":batch")


@dataclass(frozen=True, slots=True)
class Module:
    """The functions of one query file, in its order, and the models only they use."""

    name: str
    filename: str
    doc: tuple[str, ...]
    functions: tuple[Function, ...]
    models: tuple[Model, ...]


@dataclass(frozen=True, slots=True)
class Converter:
    """A type of the application, and its two functions, by their imported names."""

    hint: str
    row: str
    argument: str
    from_db: str
    to_db: str


@dataclass(frozen=True, slots=True)
class Package:
    """Everything."""

    name: str
    sqlc_version: str
    str_enum: bool
    enums: tuple[Enum, ...]
    models: tuple[Model, ...]
    modules: tuple[Module, ...]
    imports: Mapping[str, str]
    converters: tuple[Converter, ...] = ()
