"""Operations of one batch, checked and grouped by their users."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langgraph.store.base import GetOp, ListNamespacesOp, PutOp, SearchOp

from agentrows.errors import InvalidValue
from agentrows.langgraph.items import encode_put, path_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langgraph.store.base import Op

    from agentrows import NewStoreItem

__all__ = ["NewPut", "OperationPlan", "plan_operations"]


class NewPut(NamedTuple):
    """A put and its user; `item` is None for a deletion."""

    user: str
    key: tuple[str, str]
    item: NewStoreItem | None
    op: PutOp


class OperationPlan(NamedTuple):
    """The operations of a batch; the reads have their places in the results."""

    gets: dict[str, list[tuple[int, GetOp]]]
    searches: list[tuple[int, str, SearchOp]]
    listings: list[tuple[int, str, ListNamespacesOp]]
    puts: list[NewPut]


def plan_operations(ops: Sequence[Op], resolve: Callable[[Sequence[str]], str]) -> OperationPlan:
    """Return the plan of a batch; of two puts of one key it contains the last.

    Raises:
        InvalidNamespaceError: a namespace is wrong.
        InvalidValue: an operation is wrong, or has no user.

    """
    plan = OperationPlan({}, [], [], [])
    puts: dict[tuple[str, tuple[str, str]], NewPut] = {}
    for place, op in enumerate(ops):
        if isinstance(op, GetOp):
            path_of(op.namespace)
            plan.gets.setdefault(resolve(op.namespace), []).append((place, op))
        elif isinstance(op, PutOp):
            key = path_of(op.namespace), op.key
            put = NewPut(resolve(op.namespace), key, encode_put(op), op)
            puts[put.user, key] = put
        elif isinstance(op, SearchOp):
            path_of(op.namespace_prefix)
            plan.searches.append((place, resolve(op.namespace_prefix), op))
        elif isinstance(op, ListNamespacesOp):  # pyright: ignore[reportUnnecessaryIsInstance]
            plan.listings.append((place, resolve(_prefix_of(op)), op))
        else:
            raise InvalidValue(f"ops must contain operations, not {type(op).__name__}")
    plan.puts.extend(puts.values())
    return plan


def _prefix_of(op: ListNamespacesOp) -> tuple[str, ...]:
    """Return the first prefix of a list of namespaces, which determines its user."""
    for condition in op.match_conditions or ():
        path_of(condition.path)
        if condition.match_type == "prefix":
            return tuple(condition.path)
    return ()
