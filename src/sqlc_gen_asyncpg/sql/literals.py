"""Types and literals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.sql.stream import Stream

__all__ = ["number", "string", "type_name"]

_TYPE_TAILS: Final = {
    "double": ("precision",),
    "character": ("varying",),
    "char": ("varying",),
    "bit": ("varying",),
    "national": ("character", "varying"),
    "time": (),
    "timestamp": (),
}


def type_name(stream: Stream) -> tuple[str, int]:  # noqa: C901  # one rule after another
    """Read a type: its name and array dimensions."""
    unquoted = stream.here.kind == "word"
    parts = list(stream.dotted())
    name = ".".join(parts)
    if len(parts) == 1:
        for tail in _TYPE_TAILS.get(name, ()):
            if stream.take(tail):
                name = f"{name} {tail}"
    name = "bpchar" if unquoted and name == "char" else name  # the type "char" is another one
    if name == "interval":
        while stream.at_any("year", "month", "day", "hour", "minute", "second", "to"):
            stream.next()
    if stream.at("("):
        stream.skip_parentheses()
    if name in {"time", "timestamp"}:
        if stream.take("with", "time", "zone"):
            name += "tz"
        else:
            stream.take("without", "time", "zone")
    dims = 0
    while stream.take("["):
        dims += 1
        if not stream.at("]"):
            stream.next()
        stream.expect("]")
    if stream.take("array"):
        dims = 1
    return name, dims


def string(text: str) -> nodes.Const:
    """Return a text in quotes, which may be anything, or a string of bits."""
    if text[:1] in {"b", "B", "x", "X"}:
        return nodes.Const("bit")
    return nodes.Const("unknown", text)


def number(text: str) -> nodes.Const:
    """Return a number with the type that PostgreSQL gives it."""
    if any(each in text for each in ".eE") and text[:2].lower() != "0x":
        return nodes.Const("numeric", text)
    value = int(text.replace("_", ""), 0) if text[:2].isalnum() and not text.isdigit() else None
    value = int(text.replace("_", "")) if value is None else value
    if value < 2**31:
        return nodes.Const("int4", text)
    return nodes.Const("int8" if value < 2**63 else "numeric", text)
