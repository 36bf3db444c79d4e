"""Filters of a LangGraph store as conditions of the store of items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from agentrows import StoreCondition
from agentrows.errors import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal, TypeAlias

    Operator: TypeAlias = Literal["$eq", "$ne", "$gt", "$gte", "$lt", "$lte"]

__all__ = ["conditions_of"]

OPERATORS: Final[Mapping[str, Operator]] = {
    "$eq": "$eq",
    "$ne": "$ne",
    "$gt": "$gt",
    "$gte": "$gte",
    "$lt": "$lt",
    "$lte": "$lte",
}


def conditions_of(filter_: Mapping[str, Any] | None) -> list[StoreCondition]:
    """Return the conditions of a filter, which are all required.

    A value is compared for equality, an object by its keys, and an object of operators by these.

    Raises:
        InvalidValue: an operator is not supported, or is mixed with other keys.

    """
    if filter_ is None:
        return []
    _check_object("filter", filter_)
    return list(_conditions(filter_, ()))


def _conditions(filter_: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[StoreCondition]:
    for key, value in filter_.items():
        inner = (*path, key)
        if not isinstance(value, dict):
            yield StoreCondition(inner, "$eq", _as_json(value))
            continue
        keys = cast("dict[str, Any]", value)
        _check_object("filter", keys)
        if any(each.startswith("$") for each in keys):
            yield from _operators(keys, inner)
        else:
            yield StoreCondition(inner, "$object")
            yield from _conditions(keys, inner)


def _operators(operands: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[StoreCondition]:
    for operator, operand in operands.items():
        if operator not in OPERATORS:
            raise InvalidValue(
                f"Unsupported operator: {operator} in the filter on {'.'.join(path)!r}; the "
                f"operators are {', '.join(OPERATORS)}"
            )
        yield StoreCondition(path, OPERATORS[operator], _as_json(operand))


def _check_object(name: str, value: Mapping[str, Any]) -> None:
    keys = cast("Mapping[object, object]", value)
    if not hasattr(keys, "items") or not all(isinstance(key, str) for key in keys):
        raise InvalidValue(f"{name} must be an object with text as keys")


def _as_json(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Return a value with lists in place of tuples, as it is stored."""
    if isinstance(value, list | tuple):
        return [_as_json(each) for each in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: _as_json(each) for key, each in cast("dict[str, Any]", value).items()}
    return value
