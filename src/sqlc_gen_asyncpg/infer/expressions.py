"""The type and nullability of every result and parameter, as PostgreSQL would decide them.

Nothing is guessed: what is not sure has no type, and what is not surely there may be NULL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer import calls, overloads, relations, type_errors
from sqlc_gen_asyncpg.infer.functions import operator
from sqlc_gen_asyncpg.infer.overloads import common
from sqlc_gen_asyncpg.infer.values import UNKNOWN, ResolvedCall, ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlc_gen_asyncpg.infer.scope import Schema, Scope

__all__ = ["NOTHING", "Inference"]

NOTHING: Final = ValueType("")
_COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "~", "~*", "!~", "!~*"})
# Operators that have no value for some values that are not NULL.
_MAY_BE_NULL: Final = frozenset({"->", "->>", "#>", "#>>", "@?", "@@"})


@dataclass(slots=True)
class Inference:
    """One statement; `nullable` are the numbers of parameters that may be None.

    The server refuses three kinds of parameter or type: `untyped` parameters have no type where
    they first occur, `ambiguous_params` would have two types at once, and `type_errors` are the
    messages for types that do not go together, by parameter number (0: by none).
    """

    schema: Schema
    nullable: Collection[int] = ()
    params: dict[int, ValueType] = field(default_factory=dict[int, ValueType])
    untyped: set[int] = field(default_factory=set[int])
    ambiguous_params: dict[int, tuple[str, str]] = field(default_factory=dict[int, tuple[str, str]])
    type_errors: dict[int, str] = field(default_factory=dict[int, str])
    groups: bool = False
    frame_may_exclude_row: tuple[str, ...] = ()

    def param(self, number: int, info: ValueType) -> None:
        """Note a parameter's type; if it has another, which came later, the server is torn."""
        if not info.type or info.open:
            return
        known = self.params.get(number)
        if known is None or not known.type:
            nullable = number in self.nullable and not self.schema.requires(info)
            self.params[number] = replace(info, param=number, nullable=nullable)
            return
        if (known.type, known.dims) != (info.type, info.dims):
            self.ambiguous_params.setdefault(number, (known.spelled, info.spelled))

    def settle(self, info: ValueType, to: ValueType) -> ValueType:
        """Give an open value the type that stands beside it."""
        if not info.open:
            type_errors.no_assignment(self, info, to)
            return info
        if info.param and to.type:
            self.param(info.param, to)
        type_errors.no_value(self, info, to)
        return replace(to, nullable=info.nullable, param=info.param)

    def expr(self, expr: nodes.Expr, scope: Scope) -> ValueType:  # noqa: C901, PLR0911, PLR0912
        """Return what is known of an expression."""
        match expr:
            case nodes.Ref(parts):
                return scope.column(parts) or NOTHING
            case nodes.Const(kind, text):
                literal = text if kind == UNKNOWN and text else None
                kind = UNKNOWN if kind == "null" else kind
                return ValueType(kind, nullable=expr.type == "null", literal=literal)
            case nodes.Param(number):
                known = self.params.get(number)
                empty = ValueType(UNKNOWN, nullable=number in self.nullable, param=number)
                return known or empty
            case nodes.Cast():
                return self._cast(expr, scope)
            case nodes.Call():
                return calls.call(self, expr, scope)
            case nodes.Op():
                return self._operator(expr, scope)
            case nodes.Quantified():
                return self._quantified(expr, scope)
            case nodes.In(left, items, query):
                return self._in(left, items, query, scope)
            case nodes.Case():
                return self._case(expr, scope)
            case nodes.Subquery(kind, query):
                return self._sub(kind, query, scope)
            case nodes.FixedType(kind, exprs, nullable):
                for each in exprs:
                    self.expr(each, scope)
                return ValueType(normal_name(kind), nullable=nullable)
            case nodes.Array(items):
                return self._array(items, scope)
            case nodes.Row(items):
                infos = [self.expr(each, scope) for each in items]
                self.untyped.update(each.param for each in infos if each.open and each.param)
                return ValueType("record", nullable=False)
            case nodes.Test():
                return self._test(expr, scope)
            case nodes.Member(inner, name):
                return self._member(inner, name, scope)
            case nodes.Index(inner, subscripts, is_slice):
                return self._index(inner, subscripts, scope, is_slice=is_slice)

    def unify(self, infos: Sequence[ValueType]) -> ValueType:
        """Give all of these one type, parameters among them too."""
        based = [self.based(each) for each in infos]
        alike = len({(each.type, each.dims) for each in infos}) == 1
        found = common(infos if alike else based)
        if found is None:
            type_errors.no_common_type(self, infos)
            return NOTHING
        pairs = zip(infos, based, strict=True)
        typed = next((each for each, base in pairs if (base.type, base.dims) == found), None)
        origin = typed.origin if typed else None
        items = any(each.null_items for each in infos)
        nullable = any(each.nullable for each in infos)
        result = ValueType(*found, nullable=nullable, null_items=items, origin=origin)
        for each in infos:
            self.settle(each, result)
        return result

    def _cast(self, expr: nodes.Cast, scope: Scope) -> ValueType:
        target = ValueType(normal_name(expr.type), expr.dims)
        inner = self.expr(expr.expr, scope)
        if inner.param and inner.open:
            self.param(inner.param, target)
        from_json = inner.type == "jsonb" and target.type not in {
            "json",
            "jsonb",
            "text",
            "varchar",
        }
        nullable = inner.nullable or (from_json and not inner.dims)
        if inner.type != target.type and self.schema.requires(target):
            nullable = False  # from the domain itself nothing is checked, and a join may leave NULL
        return replace(target, nullable=nullable, null_items=inner.null_items)

    def _operator(self, expr: nodes.Op, scope: Scope) -> ValueType:
        if expr.op in {"and", "or", "not"}:
            sides = [expr.right] if expr.left is None else [expr.left, expr.right]
            found = [self.condition(each, scope) for each in sides]
            return ValueType("bool", nullable=any(each.nullable for each in found))
        operands = [expr.right] if expr.left is None else [expr.left, expr.right]
        if all(isinstance(each, nodes.Row) for each in operands) and len(operands) > 1:
            return self._rows(operands, scope)
        infos = [self.expr(each, scope) for each in operands]
        return self.operation(expr.op, infos)

    def operation(self, op: str, infos: list[ValueType]) -> ValueType:
        """Return the result of an operator, and decide what its operands are."""
        type_errors.no_row(self, infos)
        nullable = any(each.nullable for each in infos) or op in _MAY_BE_NULL
        known = [self.based(each) for each in infos]
        found = operator(op, known) if all(each.type for each in known) else None
        if found is None and all(each.type for each in known):
            type_errors.no_operator(self, op, infos)
        if found is None:
            return ValueType("bool") if op in _COMPARISONS else NOTHING
        self._settle_all(infos, found)
        items = any(each.null_items for each in infos)
        dims = overloads.depth(found.type, found.dims, infos)
        return ValueType(found.type, dims, nullable=nullable, null_items=items)

    def _settle_all(self, infos: list[ValueType], found: ResolvedCall) -> None:
        for info, (kind, dims) in zip(infos, found.args, strict=False):
            based = ((each, self.based(each)) for each in infos)
            same = (each for each, base in based if (base.type, base.dims) == (kind, dims))
            origin = next((each.origin for each in same), None)
            self.settle(info, ValueType(kind, dims, origin=origin))

    def based(self, info: ValueType) -> ValueType:
        """Return a domain's values as those of its base."""
        base = self.schema.domains.get(info.type)
        return replace(info, type=base) if base else info

    def _test(self, expr: nodes.Test, scope: Scope) -> ValueType:
        infos = [self.expr(each, scope) for each in expr.exprs]
        if expr.kind in {"true", "false", "unknown"}:
            infos = [self.settle(each, ValueType("bool")) for each in infos]
        if expr.kind == "distinct":
            self.operation("=", infos)
        if expr.kind == "null":
            self.untyped.update(each.param for each in infos if each.open and each.param)
        if expr.kind not in {"json", "document", "normalized"}:
            return ValueType("bool", nullable=False)
        for each in infos:
            self.settle(each, ValueType("xml" if expr.kind == "document" else "text"))
        return ValueType("bool", nullable=any(each.nullable for each in infos))

    def _rows(self, operands: list[nodes.Expr], scope: Scope) -> ValueType:
        left, right = [each.items for each in operands if isinstance(each, nodes.Row)]
        ones = [self.expr(each, scope) for each in left]  # all are read before one is compared
        others = [self.expr(each, scope) for each in right]
        pairs = [[*each] for each in zip(ones, others, strict=False)]
        found = [self.operation("=", each) for each in pairs]
        return ValueType("bool", nullable=any(each.nullable for each in found))

    def condition(self, expr: nodes.Expr, scope: Scope) -> ValueType:
        """Return what is known of a condition, which is a bool."""
        return self.settle(self.expr(expr, scope), ValueType("bool"))

    def _quantified(self, expr: nodes.Quantified, scope: Scope) -> ValueType:
        left, right = self.expr(expr.left, scope), self.expr(expr.right, scope)
        item = replace(right, dims=max(right.dims - 1, 0), param=0)
        type_errors.no_row(self, [left, right], "[]")
        found = operator(expr.op, [self.based(left), self.based(item)]) if left.type else None
        if found and found.args and (right.open or right.dims):
            of = ValueType(*found.args[1], origin=left.origin)
            self.settle(left, ValueType(*found.args[0], origin=right.origin))
            self.settle(right, replace(of, dims=of.dims + 1))
        nullable = left.nullable or right.nullable or right.null_items
        return ValueType("bool", nullable=nullable)

    def _in(
        self,
        left: nodes.Expr,
        items: Sequence[nodes.Expr],
        query: nodes.Query | None,
        scope: Scope,
    ) -> ValueType:
        if query:
            found = list(self.query(query, scope).values())
            lefts = left.items if isinstance(left, nodes.Row) else (left,)
            infos = [self.expr(each, scope) for each in lefts]
            for one, other in zip(infos, found, strict=False):
                self.operation("=", [one, other])
            return ValueType("bool", nullable=any(each.nullable for each in [*infos, *found]))
        if isinstance(left, nodes.Row):
            many = [each for each in items if isinstance(each, nodes.Row)]
            parts = [self._rows([left, each], scope) for each in many]
            return ValueType("bool", nullable=any(each.nullable for each in parts) or not parts)
        one = self.expr(left, scope)
        infos = [self.expr(each, scope) for each in items]
        # PostgreSQL makes an array of those without a column, if they are several.
        plain = [
            not any(isinstance(part, nodes.Ref) for part in nodes.walk(each)) for each in items
        ]
        array = [info for info, each in zip(infos, plain, strict=True) if each]
        together = len(array) > 1
        if together:
            self.unify([one, *array])
        for info, each in zip(infos, plain, strict=True):
            if not (each and together):
                self.operation("=", [one, info])
        return ValueType("bool", nullable=any(each.nullable for each in [one, *infos]))

    def _case(self, expr: nodes.Case, scope: Scope) -> ValueType:
        subject = self.expr(expr.subject, scope) if expr.subject else None
        subject = self.settle(subject, ValueType("text")) if subject else None
        infos: list[ValueType] = []
        for condition, value in zip(expr.conditions, expr.results, strict=True):
            if subject:
                self.operation("=", [replace(subject, param=0), self.expr(condition, scope)])
            else:
                self.condition(condition, scope)
            infos.append(self.expr(value, scope))
        if expr.otherwise:
            infos.insert(0, self.expr(expr.otherwise, scope))  # its type comes before the others'
        found = self.unify(infos)
        return found.null(nullable=found.nullable or expr.otherwise is None)

    def _sub(self, kind: str, query: nodes.Query, scope: Scope) -> ValueType:
        columns = list(self.query(query, scope).values())
        if kind == "exists":
            return ValueType("bool", nullable=False)
        if len(columns) != 1:
            return NOTHING
        found = columns[0]
        if kind == "array":
            return ValueType(
                found.type,
                found.dims + 1,
                nullable=False,
                null_items=found.nullable or found.null_items,
            )
        return found.null(nullable=found.nullable or not relations.one_row(self, query))

    def _array(self, items: Sequence[nodes.Expr], scope: Scope) -> ValueType:
        infos = [self.expr(each, scope) for each in items]
        found = self.unify(infos)
        if not found.type:
            return NOTHING
        items_null = any(each.nullable or each.null_items for each in infos)
        return ValueType(found.type, found.dims + 1, nullable=False, null_items=items_null)

    def _member(self, inner: nodes.Expr, name: str, scope: Scope) -> ValueType:
        info = self.expr(inner, scope)
        found = self.schema.composites.get(info.type, {}).get(name)
        return found.null(nullable=True) if found else NOTHING

    def _index(
        self, inner: nodes.Expr, subscripts: Sequence[nodes.Expr], scope: Scope, *, is_slice: bool
    ) -> ValueType:
        info = self.expr(inner, scope)
        of = ValueType("text" if info.type == "jsonb" else "int4")
        for each in subscripts:
            self.settle(self.expr(each, scope), of)
        if is_slice:
            return replace(info, param=0)
        if info.type == "jsonb" and not info.dims:
            return info.null(nullable=True)
        if not info.dims:
            return NOTHING
        return ValueType(info.type, max(info.dims - len(subscripts), 0), origin=info.origin)

    def query(self, query: nodes.Query, outer: Scope | None = None) -> dict[str, ValueType]:
        """Return the columns of a statement, each with what is known of it."""
        return dict(relations.columns(self, query, outer))
