"""The Python types of PostgreSQL types, as asyncpg converts them, and the normal names of types.

Each type has up to four annotations, one for each place of use:

- `hint`: the result of a function,
- `row`: the type against which pydantic validates a value from the driver,
- `argument`: the argument of a function,
- `field`: the field of an input model (`New…`, `…Params`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from sqlc_gen_asyncpg.errors import Refused

__all__ = ["PG_TYPES", "PYTHON_NAMES", "PyType", "Type", "TypeText", "normal_name", "parse_type"]


@dataclass(frozen=True, slots=True)
class PyType:
    """One type with its four annotations.

    `aware` refuses a datetime without time zone. `encode` is the function that converts a value
    for the driver; with a type after a colon its argument is the TypeAdapter of that type.
    """

    hint: str
    row: str
    argument: str
    field: str
    aware: bool = False
    encode: str = ""

    @classmethod
    def same(cls, annotation: str) -> PyType:
        """Return a type with one annotation for all places."""
        return cls(annotation, annotation, annotation, annotation)


@dataclass(frozen=True, slots=True)
class Type:
    """A type with its nullability and its array dimensions."""

    base: PyType
    nullable: bool = False
    dims: int = 0
    nullable_element: bool = False

    @property
    def hint(self) -> str:
        """The annotation of a result."""
        return self._wrap(self.base.hint, "list")

    @property
    def row(self) -> str:
        """The annotation against which a value from the driver is validated."""
        return self._wrap(self.base.row, "list")

    @property
    def argument(self) -> str:
        """The annotation of a function's argument; an array may be any sequence."""
        # Of arrays only JSON is converted item by item by the driver's codec.
        scalar = self.base.hint if self.dims and self.base != _JSON else self.base.argument
        return self._wrap(scalar, "Sequence")

    @property
    def field(self) -> str:
        """The annotation in an input model."""
        return self._wrap(self.base.field, "list")

    def element(self) -> Type:
        """Return the type of an array's elements."""
        if self.dims == 1:
            return Type(self.base, nullable=self.nullable_element)
        return replace(self, dims=self.dims - 1, nullable=False)

    def with_null(self, *, nullable: bool) -> Type:
        """Return the same type, nullable or not."""
        return replace(self, nullable=nullable)

    def _wrap(self, annotation: str, sequence: str) -> str:
        if self.dims and self.nullable_element:
            annotation += " | None"
        for _ in range(self.dims):
            annotation = f"{sequence}[{annotation}]"
        return annotation + " | None" if self.nullable else annotation


_INT = PyType.same("int")
_FLOAT = PyType.same("float")
_STR = PyType.same("str")
_BYTES = PyType.same("bytes")
_INET = "IPv4Interface | IPv6Interface | IPv4Address | IPv6Address"

_JSON = PyType("JsonValue", "JsonValue", "JsonLike", "JsonLike")
_BITS = PyType("BitString", "PgBits", "BitString", "PgBits")


def _range(item: str, *, aware: bool = False) -> PyType:
    """Return a range of this type as the driver's Range; its bounds are validated too."""
    bound = "AwareDatetime" if aware else item
    hint = f"Range[{item}]"
    return PyType(hint, f"PgRange[{item}]", hint, f"PgRange[{bound}]", aware=aware)


def _multirange(item: str, *, aware: bool = False) -> PyType:
    element = _range(item, aware=aware)
    return PyType(
        hint=f"list[{element.hint}]",
        row=f"list[{element.row}]",
        argument=f"Sequence[{element.hint}]",
        field=f"list[{element.field}]",
        aware=aware,
    )


_RANGES: Final = {
    "int4": "int",
    "int8": "int",
    "num": "Decimal",
    "ts": "dt.datetime",
    "tstz": "dt.datetime",
    "date": "dt.date",
}

PG_TYPES: Final[dict[str, PyType]] = {
    "bool": PyType.same("bool"),
    "bit": _BITS,
    "bpchar": _STR,
    "bytea": _BYTES,
    "cid": _INT,
    "char": _BYTES,  # "char", the one-byte type; char(n) arrives as bpchar
    "cidr": PyType.same("IPv4Network | IPv6Network"),
    "citext": _STR,
    "date": PyType.same("dt.date"),
    "float4": _FLOAT,
    "float8": _FLOAT,
    "halfvec": PyType("HalfVector", "PgHalfVector", "HalfVector | list[float]", "PgHalfVector"),
    "hstore": PyType.same("dict[str, str | None]"),
    "inet": PyType.same(_INET),
    "int2": _INT,
    "int4": _INT,
    "int8": _INT,
    "interval": PyType.same("dt.timedelta"),
    "json": _JSON,
    "jsonb": _JSON,
    "jsonpath": _STR,
    "lquery": _STR,
    "ltree": _STR,
    "ltxtquery": _STR,
    "macaddr": _STR,
    "macaddr8": _STR,
    "money": _STR,
    "name": _STR,
    "numeric": PyType.same("Decimal"),
    "oid": _INT,
    "pg_lsn": _INT,
    "regclass": _STR,
    "regconfig": _STR,
    "regtype": _STR,
    "sparsevec": PyType("SparseVector", "PgSparseVector", "SparseVector", "PgSparseVector"),
    "text": _STR,
    "tid": PyType.same("tuple[int, int]"),
    "time": PyType.same("dt.time"),
    "timestamp": PyType("dt.datetime", "dt.datetime", "dt.datetime", "NaiveDatetime"),
    "timestamptz": PyType("dt.datetime", "dt.datetime", "dt.datetime", "AwareDatetime", aware=True),
    "timetz": PyType.same("dt.time"),
    "tsquery": _STR,
    "tsvector": _STR,
    "uuid": PyType.same("UUID"),
    "varbit": _BITS,
    "varchar": _STR,
    "vector": PyType("Vector", "PgVector", "Vector | list[float]", "VectorLike"),
    "xid": _INT,
    "xid8": _INT,
    "xml": _STR,
    **{f"{name}range": _range(item, aware=name == "tstz") for name, item in _RANGES.items()},
    **{
        f"{name}multirange": _multirange(item, aware=name == "tstz")
        for name, item in _RANGES.items()
    },
}

_ALIASES: Final = {
    "cardinal_number": "int4",  # this and the next four are information_schema's
    "character_data": "varchar",
    "sql_identifier": "name",
    "time_stamp": "timestamptz",
    "yes_or_no": "varchar",
    "bigint": "int8",
    "bit varying": "varbit",
    "bigserial": "int8",
    "boolean": "bool",
    "char varying": "varchar",
    "character": "bpchar",
    "character varying": "varchar",
    "decimal": "numeric",
    "double precision": "float8",
    "float": "float8",
    "int": "int4",
    "integer": "int4",
    "real": "float4",
    "serial": "int4",
    "serial2": "int2",
    "serial4": "int4",
    "serial8": "int8",
    "smallint": "int2",
    "smallserial": "int2",
    "string": "text",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
}

# Columns of these types are NOT NULL, although sqlc does not report it.
_SERIALS: Final = frozenset({"bigserial", "serial", "serial2", "serial4", "serial8", "smallserial"})

# Types without a Python type; the cure is a cast to text.
_CAST_TO_TEXT: Final = frozenset({
    "box", "circle", "line", "lseg", "path", "point", "polygon", "txid_snapshot", "pg_snapshot",
})  # fmt: skip

# Types of extensions, which may be installed in any schema.
_EXTENSIONS: Final = frozenset({
    "citext", "halfvec", "hstore", "lquery", "ltree", "ltxtquery", "sparsevec", "vector",
})  # fmt: skip

# Names of Python in a directive or an override, with their PostgreSQL types.
PYTHON_NAMES: Final = {
    "Decimal": "numeric",
    "JsonValue": "jsonb",
    "UUID": "uuid",
    "Vector": "vector",
    "bytes": "bytea",
    "datetime": "timestamptz",
    "float": "float8",
    "int": "int8",
    "str": "text",
    "timedelta": "interval",
}


def normal_name(name: str, schema: str = "") -> str:
    """Return the one spelling of a type: `pg_catalog.int4`, `integer` and `serial` are all `int4`.

    Types of extensions and of the application have their schema, unless that is `public`.
    """
    prefix, _, bare = name.rpartition(".")
    schema = (prefix or schema).strip('"').lower()
    bare = " ".join(bare.strip('"').split())
    if schema in {"", "information_schema", "pg_catalog", "public"}:
        lowered = bare.lower()
        return _ALIASES.get(lowered, lowered if lowered in PG_TYPES else bare)
    return f"{schema}.{bare}"


def is_serial(name: str) -> bool:
    """Whether this is one of the serial types, which are NOT NULL."""
    return name.rpartition(".")[2].lower() in _SERIALS


def builtin(name: str) -> PyType:
    """Return the Python type of a normal name.

    Raises:
        Refused: there is none.

    """
    if name in PG_TYPES:
        return PG_TYPES[name]
    bare = name.rpartition(".")[2]
    if bare in PG_TYPES and bare in _EXTENSIONS:
        return PG_TYPES[bare]  # an extension, installed in a schema of its own
    if name == "":
        raise Refused("the type is not known; cast it, as in $1::text")
    if name.startswith("any") or name in {"record", "void", "unknown"}:
        raise Refused(f"the type is {name}; cast it to a type, as in (…)::text")
    if bare in _CAST_TO_TEXT or bare.endswith("range"):
        raise Refused(
            f"there is no Python type for {name}; select it as …::text, pass it as "
            f"(@name::text)::{name}, and leave out its table's model: omit_unused_models: true"
        )
    raise Refused(f"type {name} is not known; declare it: overrides, db_type: {name}, py_type: str")


def check_not_shadowed(name: str) -> None:
    """Raise Refused for a type of the application that has the name of one of PostgreSQL."""
    bare = name.removeprefix("_")  # an array's type has the name of its elements' after a `_`
    own = bare in _CAST_TO_TEXT or (bare in PG_TYPES and bare not in _EXTENSIONS)
    if name in _ALIASES:
        raise Refused(f"sqlc reports {name} for PostgreSQL's {_ALIASES[name]} too; rename it")
    if own:
        raise Refused(f"PostgreSQL reads {name} as its own type of that name; rename it")


@dataclass(frozen=True, slots=True)
class TypeText:
    """A type as written in a directive: `timestamptz?`, `text?[]`, `text[]?`."""

    name: str
    dims: int
    nullable: bool
    nullable_element: bool


def parse_type(text: str) -> TypeText:
    """Read a type in the notation of directives.

    Raises:
        Refused: the text is not a type.

    """
    match = re.fullmatch(r"([\w. \"]*[\w\"])(\?)?((?:\[\])*)(\?)?", text.strip())
    if match is None or (match[2] and match[4] and not match[3]):
        raise Refused(f"{text!r} is not a type; write it like text, text?, text[]? or text?[]")
    name, first, brackets, last = match.groups()
    dims = len(brackets) // 2
    return TypeText(
        name=name,
        dims=dims,
        nullable=bool(last or (first and not dims)),
        nullable_element=bool(first and dims),
    )
