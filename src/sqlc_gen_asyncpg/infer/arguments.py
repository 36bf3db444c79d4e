"""The arguments of functions: which have defaults, and which are called by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.functions import Candidate

__all__ = ["defaults", "reordered"]


def defaults(candidate: Candidate) -> int:
    """Return the number of arguments that may be left out."""
    return int("0" + "".join(each for each in candidate.flags if each.isdecimal()))


def reordered(candidate: Candidate, names: Sequence[str]) -> Candidate | None:
    """Return it with the arguments of these names, in their order; None if it has others."""
    order: list[int] = []
    for index, name in enumerate(names):
        place = candidate.names.index(name) if name and name in candidate.names else -1
        place = place if name else index
        if place in order or not 0 <= place < len(candidate.args):
            return None
        order.append(place)
    least = len(candidate.args) - defaults(candidate)
    if "v" in candidate.flags or not set(range(least)) <= set(order):
        return None
    flags = "".join(each for each in candidate.flags if not each.isdecimal())
    return replace(candidate, flags=flags, args=tuple(candidate.args[each] for each in order))
