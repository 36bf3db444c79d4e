"""The text of the directive `order by`: an argument and the columns that it selects from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sqlc_gen_asyncpg.errors import Refused

__all__ = ["OrderBy", "OrderKey", "parse_order"]

_KEY: Final = re.compile(
    r"\s*(?:\"(?P<quoted>[^\"]+)\"|(?P<name>[^\W\d]\w*))"
    r"(?:\s+(?P<direction>asc|desc))?(?:\s+nulls\s+(?P<nulls>first|last))?\s*",
    re.IGNORECASE,
)
_FORM: Final = "order by ARGUMENT over (COLUMN [asc|desc] [nulls first|nulls last], …)"


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A column of the result; without a `direction` both can be selected."""

    name: str
    direction: str = ""
    nulls: str = ""


@dataclass(frozen=True, slots=True)
class OrderBy:
    """The argument that selects an order, and its keys."""

    argument: str
    keys: tuple[OrderKey, ...]


def parse_order(argument: str, text: str) -> OrderBy:
    """Read the list of a directive, with its parentheses.

    Raises:
        Refused: it is no list of columns.

    """
    inner = re.fullmatch(r"\((.*)\)", text.strip())
    keys: list[OrderKey] = []
    for part in inner[1].split(",") if inner else ():
        match = _KEY.fullmatch(part)
        if match is None:
            raise Refused(
                f"-- py: order by {argument}: {part.strip()!r} is no column; write {_FORM}"
            )
        direction, nulls = (match["direction"] or "").lower(), (match["nulls"] or "").lower()
        keys.append(OrderKey(match["quoted"] or match["name"], direction, nulls))
    if not keys:
        raise Refused(f"-- py: order by {argument}: there is no list of columns; write {_FORM}")
    return OrderBy(argument, tuple(keys))
