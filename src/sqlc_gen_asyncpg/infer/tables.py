"""PostgreSQL's functions, operators and implicit casts, read from the files in `data`."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sqlc_gen_asyncpg.infer.values import Candidate

__all__ = ["functions_by_name", "implicit_casts", "operators_by_name"]


def _rows(*names: str) -> list[list[str]]:
    folder = files("sqlc_gen_asyncpg.infer").joinpath("data")
    text = "".join(folder.joinpath(name).read_text("ascii") for name in names)
    return [line.split(" ") for line in text.splitlines()]


@cache
def functions_by_name() -> dict[str, list[Candidate]]:
    """Return PostgreSQL's functions by name."""
    names = {(name, args): arguments for name, args, arguments in _rows("arguments.txt")}
    functions: dict[str, list[Candidate]] = {}
    for name, flags, args, result in _rows("functions.txt", "contrib_functions.txt"):
        types = () if args == "-" else tuple(args.split(","))
        argument_names = tuple(names.get((name, args), "").split(","))
        candidate = Candidate(flags, types, result, names=argument_names)
        functions.setdefault(name, []).append(candidate)
    return functions


@cache
def operators_by_name() -> dict[str, list[Candidate]]:
    """Return PostgreSQL's operators by name."""
    operators: dict[str, list[Candidate]] = {}
    for name, left, right, result in _rows("operators.txt", "contrib_operators.txt"):
        args = (right,) if left == "-" else (left, right)
        operators.setdefault(name, []).append(Candidate("f", args, result))
    return operators


@cache
def implicit_casts() -> frozenset[tuple[str, str]]:
    """Return pairs of types; PostgreSQL casts the first to the second implicitly."""
    return frozenset((source, target) for source, target in _rows("casts.txt"))
