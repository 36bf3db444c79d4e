"""The type and nullability of every result and parameter, by PostgreSQL's rules.

Nothing is guessed: an uncertain type is left empty, and an uncertain value may be NULL.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.infer import calls, overloads, relations, type_errors
from sqlc_gen_asyncpg.infer.functions import operator
from sqlc_gen_asyncpg.infer.overloads import common
from sqlc_gen_asyncpg.infer.table_functions import call_columns
from sqlc_gen_asyncpg.infer.values import JSON, UNKNOWN, ResolvedCall, ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from sqlc_gen_asyncpg.infer.scope import Schema, Scope

__all__ = ["NOTHING", "Inference"]

NOTHING: Final = ValueType("")
EMPTY_LIST: Final = "'[]'"
_COMPARISONS: Final = frozenset({"=", "<>", "<", ">", "<=", ">=", "~~", "~", "~*", "!~", "!~*"})
# Operators that return NULL for some operands that are not NULL.
_MAY_BE_NULL: Final = frozenset({"->", "->>", "#>", "#>>", "@?", "@@"})


@dataclass(slots=True)
class Inference:
    """The inference of one statement; `nullable` are the parameters that may be None.

    PostgreSQL refuses parameters of three kinds: those in `untyped` have no type in their first
    use, and those in `ambiguous_params` would need two types. `type_errors` are messages about
    types that do not match, by parameter number (0 without a parameter).
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
        """Record the type of a parameter; a second, different type makes it ambiguous."""
        if not info.type or info.open:
            return
        known = self.params.get(number)
        if known is None or not known.type:
            nullable = number in self.nullable and not self.schema.requires(info)
            self.params[number] = replace(info, param=number, nullable=nullable)
            return
        if (known.type, known.dims) != (info.type, info.dims):
            self.ambiguous_params.setdefault(number, (known.spelled, info.spelled))

    def assign_type(self, info: ValueType, to: ValueType) -> ValueType:
        """Assign a type to a value whose type depends on its context; return the value with it."""
        if not info.open:
            type_errors.no_assignment(self, info, to)
            return info
        if info.param and to.type:
            self.param(info.param, to)
        type_errors.no_value(self, info, to)
        return replace(to, nullable=info.nullable, param=info.param)

    def expr(self, expr: nodes.Expr, scope: Scope) -> ValueType:  # noqa: C901, PLR0911, PLR0912
        """Return the type of an expression, and assign types to the parameters in it."""
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
                return self._subquery(kind, query, scope)
            case nodes.FixedType(kind, exprs, nullable):
                for inner in exprs:
                    self.expr(inner, scope)
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
        """Return the common type of several values, and assign it to those without a type."""
        bases = [self.to_base_type(each) for each in infos]
        alike = len({(each.type, each.dims) for each in infos}) == 1
        common_type = common(infos if alike else bases)
        if common_type is None:
            type_errors.no_common_type(self, infos)
            return NOTHING
        pairs = zip(infos, bases, strict=True)
        typed = next((each for each, base in pairs if (base.type, base.dims) == common_type), None)
        origin = typed.origin if typed else None
        items = any(each.null_items for each in infos)
        nullable = any(each.nullable for each in infos)
        result = ValueType(*common_type, nullable=nullable, null_items=items, origin=origin)
        rows = {(each.row, each.is_list) for each in infos if each.literal != EMPTY_LIST}
        if len(rows) == 1 and common_type[0] in JSON:
            row, is_list = rows.pop()
            result = replace(result, row=row if is_list else None, is_list=is_list)
        for info in infos:
            self.assign_type(info, result)
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
        # An infinite timestamp has no time.
        no_time = target.type in {"time", "timetz"} and inner.type.startswith("timestamp")
        nullable = inner.nullable or (from_json and not inner.dims) or (no_time and not inner.dims)
        if inner.type != target.type and self.schema.requires(target):
            # The domain checks a value only if it is cast from another type; a value that has the
            # domain's type already may be NULL after an outer join.
            nullable = False
        is_json = target.type in JSON and not target.dims
        return replace(
            target,
            nullable=nullable,
            null_items=inner.null_items or _reads_null_items(inner, target),
            literal=inner.literal if is_json else None,
            row=inner.row if is_json and inner.type in JSON else None,
            is_list=inner.is_list,
        )

    def _operator(self, expr: nodes.Op, scope: Scope) -> ValueType:
        if expr.op in {"and", "or", "not"}:
            sides = [expr.right] if expr.left is None else [expr.left, expr.right]
            conditions = [self.condition(each, scope) for each in sides]
            return ValueType("bool", nullable=any(each.nullable for each in conditions))
        operands = [expr.right] if expr.left is None else [expr.left, expr.right]
        if all(isinstance(each, nodes.Row) for each in operands) and len(operands) > 1:
            return self._rows(operands, scope)
        infos = [self.expr(each, scope) for each in operands]
        return self.operation(expr.op, infos)

    def operation(self, op: str, infos: list[ValueType]) -> ValueType:
        """Return the type of an operator's result, and assign types to its operands."""
        type_errors.no_row(self, infos)
        nullable = any(each.nullable for each in infos) or op in _MAY_BE_NULL
        known = [self.to_base_type(each) for each in infos]
        resolved = operator(op, known) if all(each.type for each in known) else None
        if resolved is None and all(each.type for each in known):
            type_errors.no_operator(self, op, infos)
        if resolved is None:
            return ValueType("bool") if op in _COMPARISONS else NOTHING
        self._assign_operand_types(infos, resolved)
        dims = overloads.depth(resolved.type, resolved.dims, infos)
        # `array || item` appends the item, also NULL; an operand of an open type is an array.
        items = any(
            each.null_items or (each.nullable and not each.open and each.dims < dims)
            for each in infos
        )
        return ValueType(resolved.type, dims, nullable=nullable, null_items=dims > 0 and items)

    def _assign_operand_types(self, infos: list[ValueType], resolved: ResolvedCall) -> None:
        for info, (kind, dims) in zip(infos, resolved.args, strict=False):
            bases = ((each, self.to_base_type(each)) for each in infos)
            same = (each for each, base in bases if (base.type, base.dims) == (kind, dims))
            origin = next((each.origin for each in same), None)
            self.assign_type(info, ValueType(kind, dims, origin=origin))

    def to_base_type(self, info: ValueType) -> ValueType:
        """Return the value with the base type of its domain, or unchanged without a domain."""
        base = self.schema.domains.get(info.type)
        return replace(info, type=base) if base else info

    def _test(self, expr: nodes.Test, scope: Scope) -> ValueType:
        infos = [self.expr(each, scope) for each in expr.exprs]
        if expr.kind in {"true", "false", "unknown"}:
            infos = [self.assign_type(each, ValueType("bool")) for each in infos]
        if expr.kind == "distinct":
            self.operation("=", infos)
        if expr.kind == "null":
            self.untyped.update(each.param for each in infos if each.open and each.param)
        if expr.kind not in {"json", "document", "normalized"}:
            return ValueType("bool", nullable=False)
        for info in infos:
            self.assign_type(info, ValueType("xml" if expr.kind == "document" else "text"))
        return ValueType("bool", nullable=any(each.nullable for each in infos))

    def _rows(self, operands: list[nodes.Expr], scope: Scope) -> ValueType:
        left, right = [each.items for each in operands if isinstance(each, nodes.Row)]
        # As in PostgreSQL, all fields are read before the first pair is compared.
        lefts = [self.expr(each, scope) for each in left]
        rights = [self.expr(each, scope) for each in right]
        pairs = [[*each] for each in zip(lefts, rights, strict=False)]
        results = [self.operation("=", each) for each in pairs]
        return ValueType("bool", nullable=any(each.nullable for each in results))

    def condition(self, expr: nodes.Expr, scope: Scope) -> ValueType:
        """Return the type of a condition; an open type becomes bool."""
        return self.assign_type(self.expr(expr, scope), ValueType("bool"))

    def _quantified(self, expr: nodes.Quantified, scope: Scope) -> ValueType:
        left, right = self.expr(expr.left, scope), self.expr(expr.right, scope)
        item = replace(right, dims=max(right.dims - 1, 0), param=0)
        type_errors.no_row(self, [left, right], "[]")
        resolved = (
            operator(expr.op, [self.to_base_type(left), self.to_base_type(item)])
            if left.type
            else None
        )
        if resolved and resolved.args and (right.open or right.dims):
            element = ValueType(*resolved.args[1], origin=left.origin)
            self.assign_type(left, ValueType(*resolved.args[0], origin=right.origin))
            self.assign_type(right, replace(element, dims=element.dims + 1))
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
            columns = self.query(query, scope)
            lefts = left.items if isinstance(left, nodes.Row) else (left,)
            infos = [self.expr(each, scope) for each in lefts]
            for info, column in zip(infos, columns, strict=False):
                self.operation("=", [info, column])
            return ValueType("bool", nullable=any(each.nullable for each in [*infos, *columns]))
        if isinstance(left, nodes.Row):
            rows = [each for each in items if isinstance(each, nodes.Row)]
            results = [self._rows([left, each], scope) for each in rows]
            nullable = any(each.nullable for each in results) or not results
            return ValueType("bool", nullable=nullable)
        return self._in_list(self.expr(left, scope), items, scope)

    def _in_list(self, left: ValueType, items: Sequence[nodes.Expr], scope: Scope) -> ValueType:
        infos = [self.expr(each, scope) for each in items]
        # PostgreSQL makes one array of two or more items without a column.
        constant = [
            not any(isinstance(part, nodes.Ref) for part in nodes.walk(each)) for each in items
        ]
        array = [info for info, is_constant in zip(infos, constant, strict=True) if is_constant]
        has_array = len(array) > 1
        if has_array:
            self.unify([left, *array])
        for info, is_constant in zip(infos, constant, strict=True):
            if not (is_constant and has_array):
                self.operation("=", [left, info])
        return ValueType("bool", nullable=any(each.nullable for each in [left, *infos]))

    def _case(self, expr: nodes.Case, scope: Scope) -> ValueType:
        subject = self.expr(expr.subject, scope) if expr.subject else None
        subject = self.assign_type(subject, ValueType("text")) if subject else None
        infos: list[ValueType] = []
        for condition, value in zip(expr.conditions, expr.results, strict=True):
            if subject:
                self.operation("=", [replace(subject, param=0), self.expr(condition, scope)])
            else:
                self.condition(condition, scope)
            infos.append(self.expr(value, scope))
        if expr.otherwise:
            # PostgreSQL considers the type of ELSE first.
            infos.insert(0, self.expr(expr.otherwise, scope))
        result = self.unify(infos)
        return result.with_nullable(nullable=result.nullable or expr.otherwise is None)

    def _subquery(self, kind: str, query: nodes.Query, scope: Scope) -> ValueType:
        columns = self.query(query, scope)
        if kind == "exists":
            return ValueType("bool", nullable=False)
        if len(columns) != 1:
            return NOTHING
        column = columns[0]
        if kind == "array":
            return ValueType(
                column.type,
                column.dims + 1,
                nullable=False,
                null_items=column.nullable or column.null_items,
            )
        return column.with_nullable(nullable=column.nullable or not relations.one_row(self, query))

    def _array(self, items: Sequence[nodes.Expr], scope: Scope) -> ValueType:
        infos = [self.expr(each, scope) for each in items]
        item = self.unify(infos)
        if not item.type:
            return NOTHING
        null_items = any(each.nullable or each.null_items for each in infos)
        return ValueType(item.type, item.dims + 1, nullable=False, null_items=null_items)

    def _member(self, inner: nodes.Expr, name: str, scope: Scope) -> ValueType:
        info = self.expr(inner, scope)
        if info.type == "record" and info.row and not info.dims:
            value = dict(info.row.columns).get(name, NOTHING)
            return value.with_nullable(nullable=info.nullable or value.nullable)
        function = isinstance(inner, nodes.Call) and call_columns(self, inner, info)
        columns = function or self.schema.composites.get(info.type, {})
        member = columns.get(name)
        return member.with_nullable(nullable=True) if member else NOTHING

    def _index(
        self, inner: nodes.Expr, subscripts: Sequence[nodes.Expr], scope: Scope, *, is_slice: bool
    ) -> ValueType:
        info = self.expr(inner, scope)
        subscript_type = ValueType("text" if info.type == "jsonb" else "int4")
        for subscript in subscripts:
            self.assign_type(self.expr(subscript, scope), subscript_type)
        if is_slice:
            return replace(info, param=0)
        if info.type == "jsonb" and not info.dims:
            return info.with_nullable(nullable=True)
        if not info.dims:
            return NOTHING
        return ValueType(info.type, max(info.dims - len(subscripts), 0), origin=info.origin)

    def query(self, query: nodes.Query, outer: Scope | None = None) -> list[ValueType]:
        """Return the types of a statement's columns, in order; several may have one name."""
        return [info for _, info in relations.columns(self, query, outer)]


def _reads_null_items(text: ValueType, array: ValueType) -> bool:
    """Whether a cast of text to an array may return items that are NULL."""
    if not array.dims or text.dims or text.param:
        return False
    return text.literal is None or "null" in text.literal.lower()
