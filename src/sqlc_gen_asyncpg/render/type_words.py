"""The name of a type in words, for the constants of generated code."""

from __future__ import annotations

import re
from typing import Final

from sqlc_gen_asyncpg.naming import snake
from sqlc_gen_asyncpg.render.source import split_outside_brackets

__all__ = ["type_words"]

_GENERIC: Final = re.compile(r"([\w.]+)\[(.*)\]", re.DOTALL)


def type_words(annotation: str) -> str:
    """Return `list[int | None] | None` as `optional_list_of_optional_int`."""
    parts = split_outside_brackets(annotation, "|")
    types = [part for part in parts if part != "None"]
    if not types:
        return "none"
    if len(types) > 1 and all(part.startswith("IPv") for part in types):
        words = "ip_network" if types[0].endswith("Network") else "ip_address"
    else:
        words = "_or_".join(_single(part) for part in types)
    return f"optional_{words}" if len(types) < len(parts) else words


def _single(annotation: str) -> str:
    generic = _GENERIC.fullmatch(annotation)
    if generic is None:
        name = annotation.rpartition(".")[2]
        return snake(re.sub(r"^(Pg|Open)(?=[A-Z])", "", name)) or "value"
    name, inner = generic[1], generic[2]
    items = "_and_".join(type_words(part) for part in split_outside_brackets(inner, ","))
    if name == "PgJson":
        return f"{items}_from_json"
    if name == "PgJsonText":
        return f"{items}_from_text"
    return f"{_single(name)}_of_{items}"
