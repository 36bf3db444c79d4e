"""Python names for the names of SQL; the callers check for collisions."""

from __future__ import annotations

import keyword
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = [
    "OWN_IMPORTS",
    "RESERVED",
    "STANDARD_IMPORTS",
    "THIRD_PARTY_IMPORTS",
    "argument_name",
    "camel",
    "constant_name",
    "enum_member",
    "field_name",
    "function_name",
    "is_private",
    "module_name",
    "singular",
    "snake",
]

# Words in capitals in the name of a query; a word with capitals inside is a single word.
INITIALISMS: Final = frozenset({
    "ACL", "API", "ASCII", "CPU", "CSS", "CSV", "DB", "DNS", "EOF", "GUID", "HTML", "HTTP", "HTTPS",
    "ID", "IP", "JSON", "JWT", "LLM", "MCP", "QPS", "RAM", "RPC", "SLA", "SMTP", "SQL", "SSH",
    "TCP", "TLS", "TTL", "UDP", "UI", "UID", "URI", "URL", "UTF8", "UUID", "VM", "XML", "XMPP",
    "XSRF", "XSS", "YAML", "CrewAI", "GitHub", "GitLab", "GraphQL", "LangGraph", "OAuth", "OpenAI",
    "PostgreSQL",
})  # fmt: skip

# Attributes of pydantic's BaseModel; a field of that name would hide the method.
MODEL_ATTRIBUTES: Final = frozenset({
    "construct", "copy", "dict", "from_orm", "json", "model_computed_fields", "model_config",
    "model_construct", "model_copy", "model_dump", "model_dump_json", "model_extra", "model_fields",
    "model_fields_set", "model_json_schema", "model_parametrized_name", "model_post_init",
    "model_rebuild", "model_validate", "model_validate_json", "model_validate_strings",
    "parse_file", "parse_obj", "parse_raw", "schema", "schema_json", "update_forward_refs",
    "validate",
})  # fmt: skip

# Imports of generated modules; nothing in them may have the same name.
RESERVED: Final = frozenset({
    "Annotated", "AsyncIterable", "AsyncIterator", "AwareDatetime", "BaseModel", "BitString",
    "Composite", "ConfigDict", "Converted", "CopyDBTX", "CursorDBTX", "DBTX", "Decimal", "Encoder",
    "Field", "Final", "Given", "HalfVector", "IPv4Address", "IPv4Interface", "IPv4Network",
    "IPv6Address", "IPv6Interface", "IPv6Network", "Iterable", "JsonLike", "JsonValue",
    "NaiveDatetime",
    "PgAware", "PgBits", "PgHalfVector", "PgJson", "PgJsonText", "PgRange", "PgSparseVector",
    "PgVector", "PgVectorList", "Range", "Row", "Sequence", "SparseVector", "TypeAdapter",
    "TypeAlias", "UUID", "Vector", "VectorLike", "affected", "copied", "dt", "enum",
    "enums", "json_object", "json_text", "models", "nested_reader", "reader", "require_aware",
    "required", "tuples", "vector_text",
})  # fmt: skip

# Names that generated modules import, by module.
STANDARD_IMPORTS: Final = {
    "collections.abc": "AsyncIterable AsyncIterator Iterable Sequence",
    "decimal": "Decimal",
    "ipaddress": ("IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network"),
    "typing": "Annotated Final TypeAlias",
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

# Names that an annotation of the same class body may need.
ANNOTATION_NAMES: Final = frozenset({
    "bool", "bytes", "dict", "dt", "enums", "float", "int", "list", "models", "self", "str",
})  # fmt: skip

# Names that the body of a generated function uses.
BODY_NAMES: Final = frozenset({
    "affected", "cls", "copied", "db", "dict", "dt", "enums", "list", "models", "nested_reader",
    "next", "reader", "require_aware", "required", "self", "tuple", "zip",
})  # fmt: skip

# The private constants of a generated module have no small letters in their names.
_PRIVATE: Final = re.compile(r"_[^a-z]*")

_UNINFLECTED: Final = frozenset({
    "analytics", "statistics", "physics", "ethics", "bias", "canvas", "chaos", "corps", "data",
    "feedback", "gas", "information", "kubernetes", "lens", "media", "metadata", "mathematics",
    "news", "redis", "series", "species", "status", "sms", "atlas", "address", "access", "process",
    "progress",
})  # fmt: skip
_IRREGULAR: Final = {
    "aliases": "alias",
    "analyses": "analysis",
    "biases": "bias",
    "bonuses": "bonus",
    "buses": "bus",
    "campuses": "campus",
    "children": "child",
    "cookies": "cookie",
    "indices": "index",
    "men": "man",
    "movies": "movie",
    "people": "person",
    "statuses": "status",
    "vertices": "vertex",
    "viruses": "virus",
    "women": "woman",
}
_ES_ENDINGS: Final = ("sses", "shes", "tches", "nches", "rches", "xes", "zzes")
_KEPT_ENDINGS: Final = ("ss", "us", "is")


def singular(table: str, exclude: Collection[str] = ()) -> str:
    """Return a table's name with its last word in the singular; a doubtful plural stays."""
    if table in exclude:
        return table
    head, separator, word = table.rpartition("_")
    lowered = word.lower()
    if lowered in _IRREGULAR:
        word = _IRREGULAR[lowered]
    elif lowered in _UNINFLECTED or lowered.endswith(_KEPT_ENDINGS):
        pass
    elif lowered.endswith("ies") and len(lowered) > len("ties"):
        word = word[:-3] + "y"
    elif lowered.endswith(_ES_ENDINGS):
        word = word[:-2]
    elif lowered.endswith("s") and len(lowered) > len("os"):
        word = word[:-1]
    return head + separator + word


def camel(name: str, initialisms: Collection[str] = ()) -> str:
    """Return `lg_checkpoint_write` as `LgCheckpointWrite`; existing capitals stay."""
    upper = {word.lower(): word for word in initialisms}
    words = [word for word in re.split(r"[^0-9A-Za-z\u0080-\U0010ffff]+", _nfkc(name)) if word]
    joined = "".join(upper.get(word.lower(), word[:1].upper() + word[1:]) for word in words)
    return _identifier(joined, "T") or "T"


def snake(name: str, initialisms: Iterable[str] = ()) -> str:
    """Return `GetHTTPURL` as `get_http_url`, `SearchCrewAIMemory` as `search_crewai_memory`."""
    single_words = sorted({*INITIALISMS, *initialisms}, key=lambda word: (-len(word), word))
    pattern = "|".join(
        [
            *(re.escape(word) + r"s?(?![a-z])" for word in single_words),
            r"[A-Z]+(?![a-z])[0-9]*",
            r"[A-Z]?[^A-Z_\W]+",
            r"[A-Z]",
        ]
    )
    words = re.findall(pattern, _nfkc(name))
    return "_".join(words).lower()


def argument_name(name: str, constant: str) -> str:
    """Return a parameter's name as an argument of the function with this constant for its SQL.

    It hides no name that the function's body refers to: its constant, the module's private
    constants (readers, adapters, encoders), imports and built-in functions.
    """
    argument = _identifier(name, "p")
    hides = argument == constant or is_private(argument)
    return argument + "_" if hides else _without_body_name(argument)


def is_private(name: str) -> bool:
    """Whether a private constant of a generated module may have this name."""
    return bool(_PRIVATE.fullmatch(name))


def function_name(query: str, initialisms: Iterable[str] = ()) -> str:
    """Return the name of a query's function, which hides no built-in type."""
    function = _without_body_name(_identifier(snake(query, initialisms), "p"))
    return function + "_" if function in ANNOTATION_NAMES else function


def field_name(name: str) -> str:
    """Return a column's name as a field: no keyword, no method of BaseModel, no leading `_`."""
    field = _identifier(_allowed(name).lstrip("_"), "column_") or "column"
    taken = (
        name.startswith("_")
        or keyword.iskeyword(field)
        or field in MODEL_ATTRIBUTES
        or field in ANNOTATION_NAMES
        or (field in RESERVED and field[:1].isupper())
    )
    return field + "_" if taken and not field.endswith("_") else field


def enum_member(value: str) -> str:
    """Return the name of the enum member for a value."""
    member = re.sub("_+", "_", _allowed(value)).strip("_").upper()
    if not member:
        return "EMPTY" if not value else "VALUE"
    return _identifier(member, "VALUE_")


def constant_name(function: str) -> str:
    """Return the name of the constant with a function's SQL, as Python normalizes it."""
    return _nfkc(function.rstrip("_").upper())


def module_name(filename: str) -> str:
    """Return `user-events.sql` as `user_events`."""
    stem = filename.rpartition(".")[0] or filename
    module = _identifier(stem, "m_").lower()
    return module + "_" if keyword.iskeyword(module) else module


def _without_body_name(name: str) -> str:
    taken = keyword.iskeyword(name) or name in BODY_NAMES or name == "__debug__"
    return name + "_" if taken else name


def _identifier(name: str, prefix: str) -> str:
    """Return a name as an identifier; `prefix` goes before one that would begin with a digit."""
    allowed = _allowed(name)
    return prefix + allowed if allowed and not allowed.isidentifier() else allowed


def _allowed(name: str) -> str:
    """Replace every character that Python does not allow in an identifier."""
    normalized = _nfkc(name)
    if f"a{normalized}".isidentifier():
        return normalized
    return "".join(char if ("a" + char).isidentifier() else "_" for char in normalized)


def _nfkc(name: str) -> str:
    return unicodedata.normalize("NFKC", name)
