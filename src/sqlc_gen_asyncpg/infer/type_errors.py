"""Statements that PostgreSQL refuses because types in them do not match.

A parameter has the type of its first use in the statement. A later use beside another type may have
no operator, function or common type. Only PostgreSQL's built-in types and enums are checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer import functions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer
    from sqlc_gen_asyncpg.infer.values import ValueType

__all__ = [
    "STRINGS",
    "no_assignment",
    "no_common_type",
    "no_function",
    "no_operator",
    "no_row",
    "no_value",
]

STRINGS: Final = frozenset({"bpchar", "text", "varchar"})
_CHECKED: Final = STRINGS | frozenset({
    "bool", "bytea", "cidr", "date", "float4", "float8", "inet", "int2", "int4", "int8", "interval",
    "json", "jsonb", "money", "numeric", "time", "timestamp", "timestamptz", "timetz", "uuid",
})  # fmt: skip
_COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "~", "~*", "!~", "!~*"})


def no_operator(infer: Infer, op: str, infos: Sequence[ValueType]) -> None:
    """Record that no operator exists for these operands, if that is certain."""
    known = [each for each in infos if not each.open]
    if not known:
        infer.untyped.update(each.param for each in infos if each.param)
    certain = op in _COMPARISONS or any(each.type in {"json", "jsonb"} for each in known)
    if not known or not certain or not all(_is_checked(infer, each) for each in known):
        return
    operation = f" {op} ".join(each.type for each in infos)
    _record(infer, infos, f"PostgreSQL has no operator {operation}")


def no_row(infer: Infer, infos: Sequence[ValueType], dims: str = "") -> None:
    """Record a parameter compared with a composite value, which PostgreSQL reads as any row."""
    for info in infos:
        kind = next((each.type for each in infos if each.type in infer.schema.composites), "")
        if kind and info.open and info.param:
            message = f"compared with a value of type {kind} it has no type; cast it, as in "
            infer.type_errors.setdefault(info.param, f"{message}@{{name}}::{kind}{dims}")


def no_function(infer: Infer, name: str, infos: Sequence[ValueType]) -> None:
    """Record that no function exists for a parameter of the type of its first use."""
    if functions.by_any_name(name) and _has_typed_param(infer, infos):
        types = ", ".join(each.spelled for each in infos)
        params = [each for each in infos if each.param and not each.open]
        _record(infer, params[:1], f"PostgreSQL has no function {name}({types})")


def no_common_type(infer: Infer, infos: Sequence[ValueType]) -> None:
    """Record that the values of a COALESCE, CASE or IN have no common type."""
    if _has_typed_param(infer, infos):
        types = sorted({each.type for each in infos if not each.open})
        _record(infer, infos, f"{' and '.join(types)} have no common type")


def no_assignment(infer: Infer, info: ValueType, target: ValueType) -> None:
    """Record a text assigned to another type, or a value of another type assigned to a bool."""
    base, to = infer.to_base_type(info), infer.to_base_type(target)
    wrong = base.type in STRINGS and not base.dims and to.type not in STRINGS
    wrong = wrong or (to.type == "bool" and _is_checked(infer, base) and base.type != "bool")
    if wrong and _is_checked(infer, to):
        kind = "text" if base.type in STRINGS else base.type
        _record(infer, [info, target], f"{kind} cannot become {to.type} without a cast")


def no_value(infer: Infer, info: ValueType, to: ValueType) -> None:
    """Record a quoted literal that is not a valid value of its type."""
    if info.literal is None or to.dims or not info.literal.startswith("'"):
        return
    base, text = infer.to_base_type(to).type, info.literal[1:-1].replace("''", "'")
    empty = not text and base in _CHECKED - STRINGS - {"bytea"}
    if empty or (base in infer.schema.enums and text not in infer.schema.enums[base]):
        cure = "use NULL for a missing value (sqlc.narg), or compare as text: (…)::text"
        _record(infer, [], f"{info.literal} is not a value of type {base}; {cure}")


def _is_checked(infer: Infer, info: ValueType) -> bool:
    kind = infer.to_base_type(info).type
    return not info.dims and (kind in _CHECKED or kind in infer.schema.enums)


def _has_typed_param(infer: Infer, infos: Sequence[ValueType]) -> bool:
    """Whether a parameter has a type already, and every type is one of those checked."""
    typed = any(each.param and not each.open for each in infos)
    return typed and all(each.open or _is_checked(infer, each) for each in infos)


def _record(infer: Infer, infos: Sequence[ValueType], problem: str) -> None:
    """Record a type error with its cure, under the number of the parameter that causes it."""
    if infer.schema.own_casts:
        return
    param = next((each for each in infos if each.param and not each.open), None)
    other = next((each for each in infos if each is not param and not each.open), None)
    if param is None:
        cure = "; cast its parameters, or one side, to the intended type"
        infer.type_errors.setdefault(0, problem + cure * (";" not in problem))
        return
    if other is None:
        cure = "cast it there"
    elif param.type in STRINGS and "operator" in problem:
        cure = f"cast the other operand, as in (…)::{param.type}"
    else:
        cure = f"cast it there, as in @{{name}}::{other.type}"
    infer.type_errors.setdefault(
        param.param, f"it is {param.type} in its first use, {problem}; {cure}"
    )
