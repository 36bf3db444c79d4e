"""The names that generated code may have in each position, and the names that it imports.

A name that a position does not accept gets a `_` at its end. `naming.py` makes the names of SQL
usable in this way; a name of an option or of a comment has to be usable as it is written.
"""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import TYPE_CHECKING, Final, Literal

from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = [
    "ANNOTATION_NAMES",
    "BODY_NAMES",
    "ENUM_ATTRIBUTES",
    "FIXED_MODULES",
    "MODEL_ATTRIBUTES",
    "OWN_IMPORTS",
    "RESERVED",
    "STANDARD_IMPORTS",
    "THIRD_PARTY_IMPORTS",
    "Position",
    "check_name",
    "is_private",
    "normalized",
    "usable_name",
]

Position = Literal["argument", "class", "constant", "enum member", "field", "function", "module"]

# Modules that every package may have.
FIXED_MODULES: Final = frozenset({
    "__init__", "dbtx", "enums", "models", "pgcomposites", "pgconverters", "pgcopy", "pgdriver",
    "pghalfvectors", "pgjson", "pgorders", "pgparsed", "pgrows", "pgvalues", "pgvectors",
})  # fmt: skip

# Names that generated modules import, by module.
STANDARD_IMPORTS: Final = {
    "collections.abc": "AsyncIterable AsyncIterator Iterable Sequence",
    "decimal": "Decimal",
    "ipaddress": ("IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network"),
    "typing": "Annotated Final Literal TypeAlias",
    "uuid": "UUID",
}
THIRD_PARTY_IMPORTS: Final = {
    "pgvector": "HalfVector SparseVector Vector",
    "pydantic": ("AwareDatetime BaseModel ConfigDict Field JsonValue NaiveDatetime TypeAdapter"),
}
# The same as paths.
OWN_IMPORTS: Final = frozenset(
    f"{module}.{name}"
    for module, names in {**STANDARD_IMPORTS, **THIRD_PARTY_IMPORTS}.items()
    for name in names.split()
)

# All imports of generated modules. An override imports none of these from elsewhere.
RESERVED: Final = frozenset({
    "Annotated", "AsyncIterable", "AsyncIterator", "AwareDatetime", "BaseModel", "BitString",
    "Composite", "ConfigDict", "Converted", "CopyDBTX", "CursorDBTX", "DBTX", "Decimal",
    "Encoder", "Field", "Final", "Given", "HalfVector", "IPv4Address",
    "IPv4Interface", "IPv4Network", "IPv6Address", "IPv6Interface", "IPv6Network", "Iterable",
    "JsonLike", "JsonValue", "Literal", "NaiveDatetime", "PgAware", "PgBits", "PgHalfVector",
    "PgJson", "PgJsonText", "PgRange", "PgSparseVector", "PgVector", "PgVectorList", "Range",
    "Row", "Sequence", "SparseVector", "TypeAdapter", "TypeAlias", "UUID", "Vector", "VectorLike",
    "affected", "choose", "copied", "decoded", "dt", "enum", "enums", "from_json", "json_address",
    "json_array", "json_bytes", "json_date", "json_float", "json_numeric", "json_object",
    "json_row", "json_text", "json_text_of", "json_time", "json_time_utc", "json_value", "models",
    "nested_reader", "parsed_json", "reader", "require_aware", "required", "tuples", "vector_text",
})  # fmt: skip

# Built-in types of annotations.
_BUILTIN_TYPES: Final = frozenset({
    "bool", "bytes", "dict", "float", "int", "list", "str", "tuple",
})  # fmt: skip

# Names that an annotation of the same class body may need.
ANNOTATION_NAMES: Final = _BUILTIN_TYPES | {"dt", "enums", "models", "self"}

# Names that the body of a generated function uses.
BODY_NAMES: Final = frozenset({
    "affected", "choose", "cls", "copied", "db", "dict", "dt", "enums", "list", "models",
    "nested_reader", "next", "reader", "require_aware", "required", "self", "tuple", "zip",
})  # fmt: skip

# Attributes of pydantic's BaseModel and of its metaclass; a field of that name would hide them.
MODEL_ATTRIBUTES: Final = frozenset({
    "construct", "copy", "dict", "from_orm", "json", "model_computed_fields", "model_config",
    "model_construct", "model_copy", "model_dump", "model_dump_json", "model_extra", "model_fields",
    "model_fields_set", "model_json_schema", "model_parametrized_name", "model_post_init",
    "model_rebuild", "model_validate", "model_validate_json", "model_validate_strings", "mro",
    "parse_file", "parse_obj", "parse_raw", "register", "schema", "schema_json",
    "update_forward_refs", "validate",
})  # fmt: skip

# Attributes of enum.StrEnum, of its members and of its metaclass.
ENUM_ATTRIBUTES: Final = frozenset({
    "capitalize", "casefold", "center", "count", "encode", "endswith", "expandtabs", "find",
    "format", "format_map", "index", "isalnum", "isalpha", "isascii", "isdecimal", "isdigit",
    "isidentifier", "islower", "isnumeric", "isprintable", "isspace", "istitle", "isupper", "join",
    "ljust", "lower", "lstrip", "maketrans", "mro", "name", "partition", "removeprefix",
    "removesuffix", "replace", "rfind", "rindex", "rjust", "rpartition", "rsplit", "rstrip",
    "split", "splitlines", "startswith", "strip", "swapcase", "title", "translate", "upper",
    "value", "zfill",
})  # fmt: skip

# The names that a position does not accept, besides keywords.
_TAKEN: Final[Mapping[Position, frozenset[str]]] = {
    "argument": BODY_NAMES | {"__debug__"},
    "class": _BUILTIN_TYPES | {"model_config"},
    "constant": RESERVED,
    "enum member": ENUM_ATTRIBUTES,
    "field": ANNOTATION_NAMES | MODEL_ATTRIBUTES | {name for name in RESERVED if name[0].isupper()},
    "function": ANNOTATION_NAMES | BODY_NAMES | RESERVED,
    "module": frozenset(),
}

# Positions in which a leading `_` is left to the names of generated code.
_PUBLIC: Final = {"class": "T", "enum member": "VALUE", "field": "column", "function": "p"}

# The private constants of a generated module have no small letters in their names, except for
# functions.
_PRIVATE: Final = re.compile(r"_[^a-z]*|_(?:decode|encode|read)_.*", re.DOTALL)

# Modules may have these names, but no others with two `_` on both sides.
_DUNDER: Final = re.compile(r"__.*[^_]__")
_DUNDER_MODULES: Final = frozenset({"__init__", "__main__"})


def usable_name(name: str, position: Position, taken: Collection[str] = ()) -> str:
    """Return an identifier as this position accepts it: the same, or with a `_` at its end.

    `taken` are further names that it must not have.
    """
    usable = normalized(name)
    if position in _PUBLIC and usable.startswith("_"):
        bare = usable.lstrip("_") or _PUBLIC[position]
        usable = bare if bare.endswith("_") else f"{bare}_"
    if position == "module" and usable not in _DUNDER_MODULES and _DUNDER.fullmatch(usable):
        usable = f"{usable.strip('_')}_"  # an import sets the attribute of the package
    while (
        keyword.iskeyword(usable)
        or usable in _TAKEN[position]
        or usable in taken
        or (position == "argument" and is_private(usable) and not usable.endswith("_"))
    ):
        usable += "_"
    return usable


def check_name(name: str, position: Position, taken: Collection[str] = ()) -> str:
    """Return a name that an option or a comment gives.

    Raises:
        Refused: the position does not accept it.

    """
    usable = usable_name(name, position, taken)
    if usable != name:
        article = "an" if position[0] in "ae" else "a"
        raise Refused(f"{name} cannot be the name of {article} {position}; write {usable}")
    return name


def is_private(name: str) -> bool:
    """Whether a private constant of a generated module may have this name."""
    return bool(_PRIVATE.fullmatch(name))


def normalized(name: str) -> str:
    """Return a name as Python compares identifiers."""
    return unicodedata.normalize("NFKC", name)
