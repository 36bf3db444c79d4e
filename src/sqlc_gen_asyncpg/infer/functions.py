"""Lookups of PostgreSQL's functions and operators by name and operand types."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.infer.overloads import choose, reordered
from sqlc_gen_asyncpg.infer.tables import functions_by_name, operators_by_name
from sqlc_gen_asyncpg.infer.values import ResolvedCall, ValueType

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.values import Candidate

__all__ = [
    "by_any_name",
    "by_name",
    "function",
    "is_aggregate",
    "is_set",
    "named_function",
    "operator",
]


def is_set(name: str, schema_functions: Sequence[Candidate] = ()) -> bool:
    """Whether a function of this name returns rows."""
    return any(
        "r" in each.flags for each in (*schema_functions, *functions_by_name().get(name, []))
    )


def is_aggregate(name: str) -> bool:
    """Whether all of PostgreSQL's functions of this name are aggregates."""
    candidates = functions_by_name().get(name, [])
    return bool(candidates) and all(each.flags.startswith("a") for each in candidates)


def function(
    name: str, infos: Sequence[ValueType], schema_functions: Sequence[Candidate] = ()
) -> ResolvedCall | None:
    """Return the overload for these arguments; PostgreSQL's functions hide `schema_functions`."""
    builtin = functions_by_name().get(name, [])
    taken = {each.args for each in builtin}
    return choose([*builtin, *(each for each in schema_functions if each.args not in taken)], infos)


def named_function(
    name: str,
    infos: Sequence[ValueType],
    names: Sequence[str],
    schema_functions: Sequence[Candidate] = (),
) -> ResolvedCall | None:
    """Return the overload for named arguments; the name of a positional argument is empty."""
    candidates = [
        reordered(each, names) for each in (*functions_by_name().get(name, []), *schema_functions)
    ]
    return choose([each for each in candidates if each], infos)


def by_name(name: str, schema_functions: Sequence[Candidate] = ()) -> ResolvedCall | None:
    """Return the function if all of its overloads have the same result."""
    candidates = [*schema_functions, *functions_by_name().get(name, [])]
    results = {each.result for each in candidates}
    if len(results) != 1 or next(iter(results)).startswith("any"):
        return None
    result = next(iter(results))
    dims = int(result.startswith("_"))
    return ResolvedCall(result[dims:], dims, (), candidates[0].flags)


def by_any_name(name: str) -> bool:
    """Whether PostgreSQL has a function of this name."""
    return name in functions_by_name()


@cache
def _operator(name: str, types: tuple[tuple[str, int], ...]) -> ResolvedCall | None:
    """Return the operator for operands of these types."""
    # Cached: a project uses the same few operators in all of its queries.
    return choose(operators_by_name().get(name, []), [ValueType(*each) for each in types])


def operator(name: str, infos: Sequence[ValueType]) -> ResolvedCall | None:
    """Return the operator for these operands."""
    first = _operator(name, tuple((each.type, each.dims) for each in infos))
    if (
        len(infos) > 1
        and all(each.open for each in infos)
        and len(operators_by_name().get(name, ())) > 1
    ):
        texts = first and first.args == (("text", 0), ("text", 0))
        return first if texts else None  # otherwise PostgreSQL reports an ambiguous operator
    if first is None and len(infos) == 2:  # noqa: PLR2004
        left, right = infos
        known = right if left.open else left
        json = known.type == "json" and not known.dims  # json has no comparison operators
        if left.open != right.open and name in {"=", "<>", "<", ">", "<=", ">="} and not json:
            return ResolvedCall(
                "bool", 0, ((known.type, known.dims), (known.type, known.dims)), "f"
            )
        same = (left.type, left.dims) == (right.type, right.dims)
        if same and left.type and not json and name in {"=", "<>", "<", ">", "<=", ">="}:
            return ResolvedCall("bool", 0, (), "f")
    return first
