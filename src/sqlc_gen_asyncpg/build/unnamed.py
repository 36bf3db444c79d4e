"""Names for the parameters that have none of their own, with `unnamed_parameters: number`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol

__all__ = ["named_by_number"]


def named_by_number(query: protocol.Query) -> protocol.Query:
    """Return the query with `dollar_1` for `$1` without a name, and `at_2` for a second `at`."""
    taken: set[str] = set()
    found: list[protocol.Parameter] = []
    for each in query.parameters:
        column = each.column
        name = column.name or f"dollar_{each.number}"
        if name in taken:
            name = f"{name}_{each.number}"
        taken.add(name)
        if name != column.name:
            column = replace(column, name=name, original_name=column.original_name or column.name)
        found.append(replace(each, column=column))
    return replace(query, parameters=tuple(found))
