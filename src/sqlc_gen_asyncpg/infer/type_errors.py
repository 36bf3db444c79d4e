"""What PostgreSQL refuses although each part of it is understood.

A parameter has one type, that of the place where it is read first; beside it, another type may have
no operator, no function and no common type. Only types of PostgreSQL's own, and enums, are judged.
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
_JUDGED: Final = STRINGS | frozenset({
    "bool", "bytea", "cidr", "date", "float4", "float8", "inet", "int2", "int4", "int8", "interval",
    "json", "jsonb", "money", "numeric", "time", "timestamp", "timestamptz", "timetz", "uuid",
})  # fmt: skip
_COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "~", "~*", "!~", "!~*"})


def no_operator(infer: Infer, op: str, infos: Sequence[ValueType]) -> None:
    """Note that there is no operator between these operands, if that is sure."""
    known = [each for each in infos if not each.open]
    if not known:
        infer.untyped.update(each.param for each in infos if each.param)
    sure = op in _COMPARISONS or any(each.type in {"json", "jsonb"} for each in known)
    if not known or not sure or not all(_judged(infer, each) for each in known):
        return
    says = f" {op} ".join(each.type for each in infos)
    _note(infer, infos, f"PostgreSQL has no operator {says}")


def no_row(infer: Infer, infos: Sequence[ValueType], dims: str = "") -> None:
    """Note what is compared with a composite value: to PostgreSQL it is any row, none can pass."""
    for info in infos:
        kind = next((each.type for each in infos if each.type in infer.schema.composites), "")
        if kind and info.open and info.param:
            says = f"beside a value of type {kind} it is a row of no type; cast it, as in "
            infer.type_errors.setdefault(info.param, f"{says}@{{name}}::{kind}{dims}")


def no_function(infer: Infer, name: str, infos: Sequence[ValueType]) -> None:
    """Note that there is no function for a parameter of the type that it already has."""
    if functions.by_any_name(name) and _one_is_given(infer, infos):
        types = ", ".join(each.spelled for each in infos)
        given = [each for each in infos if each.param and not each.open]
        _note(infer, given[:1], f"PostgreSQL has no function {name}({types})")


def no_common_type(infer: Infer, infos: Sequence[ValueType]) -> None:
    """Note that COALESCE, CASE, IN and the like have no type for all of these."""
    if _one_is_given(infer, infos):
        types = sorted({each.type for each in infos if not each.open})
        _note(infer, infos, f"nothing can be both {' and '.join(types)}")


def no_assignment(infer: Infer, info: ValueType, target: ValueType) -> None:
    """Note that a text is assigned to what takes none, or something else to a bool."""
    base, to = infer.based(info), infer.based(target)
    wrong = base.type in STRINGS and not base.dims and to.type not in STRINGS
    wrong = wrong or (to.type == "bool" and _judged(infer, base) and base.type != "bool")
    if wrong and _judged(infer, to):
        kind = "text" if base.type in STRINGS else base.type
        _note(infer, [info, target], f"{kind} is no {to.type} without a cast")


def no_value(infer: Infer, info: ValueType, to: ValueType) -> None:
    """Note that a text in quotes is no value of the type that it must be of."""
    if info.literal is None or to.dims or not info.literal.startswith("'"):
        return
    base, text = infer.based(to).type, info.literal[1:-1].replace("''", "'")
    empty = not text and base in _JUDGED - STRINGS - {"bytea"}
    if empty or (base in infer.schema.enums and text not in infer.schema.enums[base]):
        cure = "say with NULL that there is none (sqlc.narg), or compare as text: (…)::text"
        _note(infer, [], f"{info.literal} is no value of type {base}; {cure}")


def _judged(infer: Infer, info: ValueType) -> bool:
    kind = infer.based(info).type
    return not info.dims and (kind in _JUDGED or kind in infer.schema.enums)


def _one_is_given(infer: Infer, infos: Sequence[ValueType]) -> bool:
    given = any(each.param and not each.open for each in infos)
    return given and all(each.open or _judged(infer, each) for each in infos)


def _note(infer: Infer, infos: Sequence[ValueType], says: str) -> None:
    if infer.schema.own_casts:
        return
    param = next((each for each in infos if each.param and not each.open), None)
    other = next((each for each in infos if each is not param and not each.open), None)
    if param is None:
        cure = "; cast the parameters in it, or one side, to the type that you mean"
        infer.type_errors.setdefault(0, says + cure * (";" not in says))
        return
    if other is None:
        cure = "cast it there"
    elif param.type in STRINGS and "operator" in says:
        cure = f"cast what stands beside it, as in (…)::{param.type}"
    else:
        cure = f"cast it there, as in @{{name}}::{other.type}"
    infer.type_errors.setdefault(
        param.param, f"it is {param.type} where it first stands, {says}; {cure}"
    )
