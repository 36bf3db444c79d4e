"""The table of a module's look-ups: the statement over arrays, by the statement of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.render.source import call

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["render_lookups"]


def render_lookups(functions: Iterable[ir.Function]) -> list[str]:
    """Return the lines of the table, none for a module without look-ups."""
    items = [
        f"{function.constant}: {function.lookup.constant}"
        for function in functions
        if function.lookup
    ]
    return ["", *call(f"{ir.LOOKUP_BATCHES}: Final = {{", items, "}"), ""] if items else []
