"""PostgreSQL's functions, operators and implicit casts, and which of them a call means.

The tables were read from a server: functions.txt has name, kind and flags (`a` aggregate, `w`
window, `s` strict, `r` a set, `v` variadic, the number of defaults), arguments, result;
arguments.txt has name, arguments and the arguments' names.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer.arguments import defaults, reordered
from sqlc_gen_asyncpg.pytypes import PG_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "UNKNOWN",
    "Candidate",
    "Found",
    "Info",
    "by_any_name",
    "common",
    "depth",
    "function",
    "implicit",
    "is_aggregate",
    "is_set",
    "operator",
]

UNKNOWN: Final = "unknown"
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


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of a value: `type` is empty if nothing is, `unknown` for text in quotes.

    `literal` is that text.
    """

    type: str
    dims: int = 0
    nullable: bool = True
    null_items: bool = False
    origin: tuple[str, str, str] | None = None
    param: int = 0
    literal: str | None = None

    @property
    def open(self) -> bool:
        """Whether the type is still to be decided by what stands beside it."""
        return self.type == UNKNOWN

    @property
    def spelled(self) -> str:
        """The type as SQL writes it."""
        return self.type + "[]" * self.dims

    def null(self, *, nullable: bool) -> Info:
        """Return the same, nullable or not."""
        return self if self.nullable == nullable else replace(self, nullable=nullable)


@dataclass(frozen=True, slots=True)
class Found:
    """A function or an operator with its arguments' types decided; `args` may be empty."""

    type: str
    dims: int
    args: tuple[tuple[str, int], ...]
    flags: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the functions of a name; flag `u` is for the user's own, `columns` for its rows.

    `names` are those of its arguments, empty where they have none.
    """

    flags: str
    args: tuple[str, ...]
    result: str
    columns: tuple[tuple[str, str, int], ...] = ()
    names: tuple[str, ...] = field(default=(), compare=False)


def _lines(name: str) -> list[list[str]]:
    text = files("sqlc_gen_asyncpg.infer").joinpath("data", name).read_text("ascii")
    return [line.split(" ") for line in text.splitlines()]


@cache
def _functions() -> dict[str, list[Candidate]]:
    names = {(name, args): of for name, args, of in _lines("arguments.txt")}
    found: dict[str, list[Candidate]] = {}
    for name, flags, args, result in _lines("functions.txt"):
        types = () if args == "-" else tuple(args.split(","))
        called = names.get((name, args), "").split(",")
        found.setdefault(name, []).append(Candidate(flags, types, result, names=tuple(called)))
    return found


@cache
def _operators() -> dict[str, list[Candidate]]:
    found: dict[str, list[Candidate]] = {}
    for name, left, right, result in _lines("operators.txt"):
        args = (right,) if left == "-" else (left, right)
        found.setdefault(name, []).append(Candidate("f", args, result))
    return found


@cache
def _casts() -> frozenset[tuple[str, str]]:
    return frozenset((source, target) for source, target in _lines("casts.txt"))


def implicit(source: str, target: str) -> bool:
    """Whether a value of one type is taken for another without a cast."""
    return (
        source == target or (source, target) in _casts() or (source, target) == ("citext", "text")
    )


def common(infos: Sequence[Info]) -> tuple[str, int] | None:
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


def _fits(info: Info, wanted: str) -> int:  # noqa: PLR0911  # one kind after another
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


def _choose(candidates: list[Candidate], infos: Sequence[Info]) -> Found | None:
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


def _exact(info: Info, arg: str) -> bool:
    return _fits(info, arg) == _EXACT


def _same(info: Info, arg: str) -> bool:
    return not info.open and _fits(info, arg) == _EXACT


def _same_or_preferred(info: Info, arg: str) -> bool:
    return not info.open and (_fits(info, arg) == _EXACT or arg in _PREFERRED)


def _text_for_open(info: Info, arg: str) -> bool:
    return info.open and arg == "text"


def _best(
    fitting: list[tuple[Candidate, tuple[str, ...]]],
    infos: Sequence[Info],
    test: Callable[[Info, str], bool],
) -> list[tuple[Candidate, tuple[str, ...]]]:
    """Return those with the most arguments that pass the test."""
    scores = [sum(map(test, infos, args)) for _, args in fitting]
    most = max(scores, default=0)
    return [each for each, score in zip(fitting, scores, strict=True) if score == most]


def _found(candidate: Candidate, args: tuple[str, ...], infos: Sequence[Info]) -> Found | None:
    element = _element(args, infos)
    result = _concrete(candidate.result, element)
    if result is None:
        return None
    concrete: list[tuple[str, int]] = []
    for arg in args:
        each = _concrete(arg, element)
        concrete.append(each or ("", 0))
    return Found(*result, tuple(concrete), candidate.flags)


def _consistent(args: tuple[str, ...], infos: Sequence[Info]) -> bool:
    """Whether `anyelement` and its like can stand for one type in all of these."""
    of = _ARRAYS | _ELEMENTS | _RANGES
    some = [info for info, arg in zip(infos, args, strict=False) if arg in of]
    return _element(args, infos) is not None or all(each.open for each in some)


def _element(args: tuple[str, ...], infos: Sequence[Info]) -> tuple[str, int] | None:
    """Return what `anyelement` stands for."""
    found: list[Info] = []
    for info, arg in zip(infos, args, strict=False):
        if info.open or not info.type:
            continue
        if arg in _ARRAYS:
            found.append(replace(info, dims=0))
        elif arg in _ELEMENTS:
            found.append(info)
        elif arg in _RANGES:
            found.append(Info(RANGE_ITEMS.get(info.type, "")))
        elif arg in _MULTIRANGES:
            found.append(Info(RANGE_ITEMS.get(info.type.replace("multi", ""), "")))
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


def depth(kind: str, dims: int, infos: Sequence[Info]) -> int:
    """Return the dimensions of a result: an array made of arrays like it has those of the most."""
    return max([dims, *(each.dims for each in infos if dims and each.type == kind)])


def is_set(name: str, own: Sequence[Candidate] = ()) -> bool:
    """Whether a function of this name returns rows."""
    return any("r" in each.flags for each in (*own, *_functions().get(name, [])))


def is_aggregate(name: str) -> bool:
    """Whether all of PostgreSQL's functions of this name are aggregates."""
    found = _functions().get(name, [])
    return bool(found) and all(each.flags.startswith("a") for each in found)


def function(name: str, infos: Sequence[Info], own: Sequence[Candidate] = ()) -> Found | None:
    """Return the function that is called with these arguments; PostgreSQL's own come first."""
    there = _functions().get(name, [])
    taken = {each.args for each in there}
    return _choose([*there, *(each for each in own if each.args not in taken)], infos)


def named_function(
    name: str, infos: Sequence[Info], names: Sequence[str], own: Sequence[Candidate] = ()
) -> Found | None:
    """Return the function that is called with arguments of these names, empty for those without."""
    there = [reordered(each, names) for each in (*_functions().get(name, []), *own)]
    return _choose([each for each in there if each], infos)


def by_name(name: str, own: Sequence[Candidate] = ()) -> Found | None:
    """Return a function whose overloads all have one result."""
    candidates = [*own, *_functions().get(name, [])]
    results = {each.result for each in candidates}
    if len(results) != 1 or next(iter(results)).startswith("any"):
        return None
    result = next(iter(results))
    dims = int(result.startswith("_"))
    return Found(result[dims:], dims, (), candidates[0].flags)


def by_any_name(name: str) -> bool:
    """Whether PostgreSQL has a function of this name."""
    return name in _functions()


@cache
def _operator(name: str, types: tuple[tuple[str, int], ...]) -> Found | None:
    """Return the operator between operands of these types; the same few come again and again."""
    return _choose(_operators().get(name, []), [Info(*each) for each in types])


def operator(name: str, infos: Sequence[Info]) -> Found | None:
    """Return the operator between these operands."""
    first = _operator(name, tuple((each.type, each.dims) for each in infos))
    if len(infos) > 1 and all(each.open for each in infos) and len(_operators().get(name, ())) > 1:
        texts = first and first.args == (("text", 0), ("text", 0))
        return first if texts else None  # PostgreSQL does not choose among others
    if first is None and len(infos) == 2:  # noqa: PLR2004
        left, right = infos
        known = right if left.open else left
        json = known.type == "json" and not known.dims  # it has no comparisons
        if left.open != right.open and name in {"=", "<>", "<", ">", "<=", ">="} and not json:
            return Found("bool", 0, ((known.type, known.dims), (known.type, known.dims)), "f")
        same = (left.type, left.dims) == (right.type, right.dims)
        if same and left.type and not json and name in {"=", "<>", "<", ">", "<=", ">="}:
            return Found("bool", 0, (), "f")
    return first
