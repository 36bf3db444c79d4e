"""The overload that a call means, chosen as PostgreSQL chooses it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.tables import implicit_casts
from sqlc_gen_asyncpg.infer.values import Candidate, ResolvedCall, ValueType
from sqlc_gen_asyncpg.pytypes import PG_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["choose", "common", "depth", "implicit", "reordered"]

_EXACT: Final = 2
_PREFERRED: Final = frozenset({
    "float8", "text", "timestamptz", "bool", "interval", "inet", "oid", "varbit",
})  # fmt: skip
_ARRAYS: Final = frozenset({"anyarray", "anycompatiblearray"})
_ELEMENTS: Final = frozenset({
    "anyelement", "anycompatible", "anynonarray", "anycompatiblenonarray", "anyenum",
})  # fmt: skip
_RANGES: Final = frozenset({"anyrange", "anycompatiblerange"})
_MULTIRANGES: Final = frozenset({"anymultirange", "anycompatiblemultirange"})
RANGE_ITEMS: Final = {
    "int4range": "int4",
    "int8range": "int8",
    "numrange": "numeric",
    "tsrange": "timestamp",
    "tstzrange": "timestamptz",
    "daterange": "date",
}


def implicit(source: str, target: str) -> bool:
    """Whether a value of one type is taken for another without a cast."""
    return (
        source == target
        or (source, target) in implicit_casts()
        or (source, target) == ("citext", "text")
    )


def common(infos: Sequence[ValueType]) -> tuple[str, int] | None:
    """Return the type that a UNION, CASE, COALESCE or IN of these has; None if it is not sure."""
    known = [each for each in infos if not each.open]
    if any(not each.type for each in known):
        return None
    if not known:
        return ("text", 0)
    chosen = known[0]
    for each in known[1:]:
        if (each.type, each.dims) == (chosen.type, chosen.dims):
            continue
        if each.dims or chosen.dims:
            return None
        if not implicit(each.type, chosen.type):
            if not implicit(chosen.type, each.type):
                return None
            chosen = each
        elif implicit(chosen.type, each.type) and each.type in _PREFERRED:
            chosen = each
    return chosen.type, chosen.dims


def _fits(info: ValueType, wanted: str) -> int:  # noqa: PLR0911  # one kind after another
    """Return 2 for the same type, 1 for one that is taken for it, 0 otherwise."""
    if info.open or wanted == "any":
        return 1
    if wanted in _ARRAYS:
        return 1 if info.dims else 0
    if wanted == "anyenum":
        return 0 if info.dims or info.type in PG_TYPES else 1
    if wanted in _ELEMENTS:
        return 0 if info.dims and "nonarray" in wanted else 1
    if wanted in _RANGES:
        return 1 if info.type in RANGE_ITEMS and not info.dims else 0
    if wanted in _MULTIRANGES:
        return 1 if info.type.endswith("multirange") and not info.dims else 0
    if wanted.startswith("_"):
        if not info.dims:
            return 0
        return 2 if info.type == wanted[1:] else int(implicit(info.type, wanted[1:]))
    if info.dims:
        return 0
    return 2 if info.type == wanted else int(implicit(info.type, wanted))


def _padded(candidate: Candidate, count: int) -> tuple[str, ...] | None:
    """Return as many argument types as there are arguments; None if they do not fit in number."""
    args = candidate.args
    if "v" in candidate.flags and args and count >= len(args) - 1:
        last = args[-1]
        item = {"anyarray": "anyelement", "anycompatiblearray": "anycompatible"}.get(
            last, last.removeprefix("_")
        )
        return (*args[:-1], *([item] * (count - len(args) + 1)))
    least = len(args) - defaults(candidate)
    return args[:count] if least <= count <= len(args) else None


def choose(candidates: list[Candidate], infos: Sequence[ValueType]) -> ResolvedCall | None:
    """Return what PostgreSQL would choose; None if there is none, or it is not sure."""
    fitting: list[tuple[Candidate, tuple[str, ...]]] = []
    for candidate in candidates:
        args = _padded(candidate, len(infos))
        if args is not None and all(map(_fits, infos, args)) and _consistent(args, infos):
            fitting.append((candidate, args))
    known = {(each.type, each.dims) for each in infos if not each.open}
    filled = list(infos)
    if len(known) == 1 and len(infos) > 1:
        kind, dims = next(iter(known))
        filled = [replace(each, type=kind, dims=dims) for each in infos]
        for candidate, args in fitting:
            if all(map(_exact, filled, args)):
                return _found(candidate, args, infos)
    fitting = _best(fitting, infos, _same)
    fitting = _best(fitting, infos, _same_or_preferred)
    if any(each.open for each in infos):
        fitting = _best(fitting, infos, _text_for_open)
    if len(fitting) == 1:
        return _found(*fitting[0], infos)
    alike = [
        each
        for each in fitting
        if all(map(_fits, filled, each[1])) and _consistent(each[1], filled)
    ]
    if len(alike) == 1:
        return _found(*alike[0], filled)
    results = {candidate.result for candidate, _ in fitting}
    if len(results) == 1 and not next(iter(results)).startswith("any"):
        candidate = fitting[0][0]
        return _found(Candidate(candidate.flags, (), candidate.result), (), infos)
    return None


def _exact(info: ValueType, arg: str) -> bool:
    return _fits(info, arg) == _EXACT


def _same(info: ValueType, arg: str) -> bool:
    return not info.open and _fits(info, arg) == _EXACT


def _same_or_preferred(info: ValueType, arg: str) -> bool:
    return not info.open and (_fits(info, arg) == _EXACT or arg in _PREFERRED)


def _text_for_open(info: ValueType, arg: str) -> bool:
    return info.open and arg == "text"


def _best(
    fitting: list[tuple[Candidate, tuple[str, ...]]],
    infos: Sequence[ValueType],
    test: Callable[[ValueType, str], bool],
) -> list[tuple[Candidate, tuple[str, ...]]]:
    """Return those with the most arguments that pass the test."""
    scores = [sum(map(test, infos, args)) for _, args in fitting]
    most = max(scores, default=0)
    return [each for each, score in zip(fitting, scores, strict=True) if score == most]


def _found(
    candidate: Candidate, args: tuple[str, ...], infos: Sequence[ValueType]
) -> ResolvedCall | None:
    element = _element(args, infos)
    result = _concrete(candidate.result, element)
    if result is None:
        return None
    concrete: list[tuple[str, int]] = []
    for arg in args:
        each = _concrete(arg, element)
        concrete.append(each or ("", 0))
    return ResolvedCall(*result, tuple(concrete), candidate.flags)


def _consistent(args: tuple[str, ...], infos: Sequence[ValueType]) -> bool:
    """Whether `anyelement` and its like can stand for one type in all of these."""
    of = _ARRAYS | _ELEMENTS | _RANGES
    some = [info for info, arg in zip(infos, args, strict=False) if arg in of]
    return _element(args, infos) is not None or all(each.open for each in some)


def _element(args: tuple[str, ...], infos: Sequence[ValueType]) -> tuple[str, int] | None:
    """Return what `anyelement` stands for."""
    found: list[ValueType] = []
    for info, arg in zip(infos, args, strict=False):
        if info.open or not info.type:
            continue
        if arg in _ARRAYS:
            found.append(replace(info, dims=0))
        elif arg in _ELEMENTS:
            found.append(info)
        elif arg in _RANGES:
            found.append(ValueType(RANGE_ITEMS.get(info.type, "")))
        elif arg in _MULTIRANGES:
            found.append(ValueType(RANGE_ITEMS.get(info.type.replace("multi", ""), "")))
    return common(found) if found else None


def _concrete(name: str, element: tuple[str, int] | None) -> tuple[str, int] | None:
    if name in {"any", "anyelement"} and element is None:
        return None
    if name in _ELEMENTS:
        return element
    if name in _ARRAYS:
        return (element[0], 1) if element else None
    if name in _RANGES | _MULTIRANGES:
        names = [key for key, item in RANGE_ITEMS.items() if element and item == element[0]]
        many = names and name in _MULTIRANGES
        return (names[0].replace("range", "multirange") if many else names[0], 0) if names else None
    if name == "any":
        return None
    return (name[1:], 1) if name.startswith("_") else (name, 0)


def depth(kind: str, dims: int, infos: Sequence[ValueType]) -> int:
    """Return the dimensions of a result: an array made of arrays like it has those of the most."""
    return max([dims, *(each.dims for each in infos if dims and each.type == kind)])


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
