"""Python names for the names of SQL; the callers check for collisions."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.name_rules import check_name, normalized, usable_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from sqlc_gen_asyncpg.name_rules import Position

__all__ = [
    "argument_name",
    "camel",
    "class_name",
    "constant_name",
    "enum_member",
    "field_name",
    "function_name",
    "module_name",
    "renamed",
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
    words = [word for word in re.split(r"[^0-9A-Za-z\u0080-\U0010ffff]+", normalized(name)) if word]
    joined = "".join(upper.get(word.lower(), word[:1].upper() + word[1:]) for word in words)
    return _identifier(joined, "T") or "T"


def snake(name: str, initialisms: Iterable[str] = ()) -> str:
    """Return `GetHTTPURL` as `get_http_url`, `SearchCrewAIMemory` as `search_crewai_memory`."""
    words = _word_pattern(frozenset(initialisms)).findall(normalized(name))
    return "_".join(words).lower()


@lru_cache
def _word_pattern(initialisms: frozenset[str]) -> re.Pattern[str]:
    """Return the pattern of a word of a name in capitals and small letters."""
    single_words = sorted(INITIALISMS | initialisms, key=lambda word: (-len(word), word))
    pattern = "|".join(
        [
            *(re.escape(word) + r"s?(?![a-z])" for word in single_words),
            r"[A-Z]+(?![a-z])[0-9]*",
            r"[A-Z]?[^A-Z_\W]+",
            r"[A-Z]",
        ]
    )
    return re.compile(pattern)


def renamed(rename: Mapping[str, str], keys: Iterable[str], position: Position) -> str:
    """Return the name that the option `rename` has for the first of these keys, or `""`.

    Raises:
        Refused: the name cannot be used in this position.

    """
    for key in keys:
        if key in rename:
            try:
                return check_name(rename[key], position)
            except Refused as error:
                raise Refused(f"rename: {key}: {error}") from None
    return ""


def class_name(name: str, initialisms: Collection[str] = ()) -> str:
    """Return the class of a table or a type: `lg_checkpoint_write` is `LgCheckpointWrite`."""
    return usable_name(camel(name, initialisms), "class")


def argument_name(name: str, constant: str) -> str:
    """Return a parameter's name as an argument of the function with this constant for its SQL.

    It hides no name that the function's body refers to: its constant, the module's private
    constants (readers, adapters, encoders), imports and built-in functions.
    """
    return usable_name(_identifier(name, "p"), "argument", {constant})


def function_name(query: str, initialisms: Iterable[str] = ()) -> str:
    """Return the name of a query's function, which hides no name that its module uses."""
    words = snake(query, initialisms) or "query"
    return usable_name(_identifier(words, "p"), "function")


def field_name(name: str) -> str:
    """Return a column's name as a field: no keyword, no method of BaseModel, no leading `_`."""
    field = _identifier(_allowed(name).lstrip("_"), "column_") or "column"
    if name.startswith("_") and not field.endswith("_"):
        field += "_"
    return usable_name(field, "field")


def enum_member(value: str) -> str:
    """Return the name of the enum member for a value."""
    member = re.sub("_+", "_", _allowed(value)).strip("_").upper()
    if not member:
        member = "_".join(_character_name(char) for char in value) or "EMPTY"
    return usable_name(_identifier(member, "VALUE_"), "enum member")


def _character_name(char: str) -> str:
    """Return the name of a character in Unicode 3.2, which every Python has: `#` is NUMBER_SIGN."""
    name = unicodedata.ucd_3_2_0.name(char, "") or f"U{ord(char):04X}"
    return re.sub(r"\W", "_", name)


def constant_name(function: str) -> str:
    """Return the name of the constant with a function's SQL, as Python normalizes it."""
    return usable_name(function.rstrip("_").upper(), "constant")


def module_name(filename: str) -> str:
    """Return `user-events.sql` as `user_events`."""
    stem = filename.rpartition(".")[0] or filename
    return usable_name(_identifier(stem, "m_").lower(), "module")


def _identifier(name: str, prefix: str) -> str:
    """Return a name as an identifier; `prefix` goes before one that would begin with a digit."""
    allowed = _allowed(name)
    return prefix + allowed if allowed and not allowed.isidentifier() else allowed


def _allowed(name: str) -> str:
    """Replace every character that Python does not allow in an identifier."""
    text = normalized(name)
    if f"a{text}".isidentifier():
        return text
    return "".join(char if ("a" + char).isidentifier() else "_" for char in text)
