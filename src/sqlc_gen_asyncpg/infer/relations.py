"""The columns of a statement: FROM clauses, SELECT lists and RETURNING."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer import functions
from sqlc_gen_asyncpg.infer.scope import Relation, Scope
from sqlc_gen_asyncpg.infer.table_functions import function_relation
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer

__all__ = ["columns", "one_row"]


def columns(
    infer: Infer, query: nodes.Query, outer: Scope | None, *, open_as_text: bool = True
) -> list[tuple[str, ValueType]]:
    """Return the columns of a statement in order, with their names.

    A column of an open type becomes text. With `open_as_text=False` it stays open, and the caller
    assigns the type of its context.
    """
    scope = Scope(outer)
    for cte in query.ctes:
        scope.ctes[cte.name] = _cte(infer, cte, scope)
    body = query.body
    inner = Scope(scope)
    match body:
        case nodes.Select():
            result = _select(infer, body, inner)
        case nodes.Values():
            result = _values(infer, body, inner)
        case nodes.SetOp():
            result = _set_operation(infer, body, scope)
        case nodes.Dml():
            result = _dml(infer, body, inner)
        case nodes.CallStatement(call):
            infer.expr(call, inner)
            result = []
    # ORDER BY and GROUP BY may name a column of the result.
    inner.merged.update({name: info for name, info in result if name not in inner.merged})
    _assign_types_after_where(infer, query, inner)
    return _with_text_columns(infer, result) if open_as_text else result


def _assign_types_after_where(infer: Infer, query: nodes.Query, scope: Scope) -> None:
    """Assign types in the expressions after WHERE: ORDER BY, GROUP BY and LIMIT."""
    others = query.body.others if isinstance(query.body, nodes.Select) else ()
    for expr in (*query.order, *others):
        infer.assign_type(infer.expr(expr, scope), ValueType("text"))
    for limit in query.limits:
        infer.assign_type(infer.expr(limit, scope), ValueType("int8"))


def _with_text_columns(
    infer: Infer, result: Sequence[tuple[str, ValueType]]
) -> list[tuple[str, ValueType]]:
    text = ValueType("text")
    return [(name, infer.assign_type(info, text) if info.open else info) for name, info in result]


def _by_name(
    result: Sequence[tuple[str, ValueType]], aliases: Sequence[str] = ()
) -> dict[str, ValueType]:
    """Return columns by name, or by the alias of their position; the first of a name wins."""
    named: dict[str, ValueType] = {}
    for index, (name, info) in enumerate(result):
        alias = aliases[index] if index < len(aliases) else name
        named.setdefault(alias, replace(info, param=0))
    return named


def _cte(infer: Infer, cte: nodes.Cte, scope: Scope) -> dict[str, ValueType]:
    body = cte.query.body
    if not (cte.recursive and isinstance(body, nodes.SetOp) and _reads(body.right, cte.name)):
        return _by_name(columns(infer, cte.query, scope), cte.columns)
    known = _by_name(columns(infer, body.left, scope, open_as_text=False), cte.columns)
    # Each pass may find that NULL reaches a further column of the recursive part.
    while True:
        scope.ctes[cte.name] = known
        whole = _by_name(columns(infer, cte.query, scope), cte.columns)
        merged = {
            name: replace(
                info,
                nullable=info.nullable or other.nullable,
                null_items=info.null_items or other.null_items,
            )
            for (name, info), other in zip(known.items(), whole.values(), strict=False)
        }
        if merged == known:
            return known
        known = merged


def _select(infer: Infer, select: nodes.Select, scope: Scope) -> list[tuple[str, ValueType]]:
    for source in select.sources:
        scope.relations += _source(infer, source, scope)
    outer = infer.groups, infer.frame_may_exclude_row
    infer.groups, infer.frame_may_exclude_row = (
        select.groups and not select.sets,
        select.frame_may_exclude_row,
    )
    scope.all_null = select.sets
    # PostgreSQL reads the SELECT list before WHERE.
    result = _items(infer, select.items, scope)
    for condition in select.conditions:
        infer.condition(condition, scope)
    infer.groups, infer.frame_may_exclude_row = outer
    sets = [any(_is_set(infer, each) for each in _calls(item.expr)) for item in select.items]
    if sum(sets) > 1 and len(sets) == len(result):
        # PostgreSQL pads the shorter sets with NULL.
        pairs = zip(result, sets, strict=True)
        return [
            (name, info.with_nullable(nullable=info.nullable or is_set))
            for (name, info), is_set in pairs
        ]
    return result


def _items(infer: Infer, items: Sequence[nodes.Item], scope: Scope) -> list[tuple[str, ValueType]]:
    result: list[tuple[str, ValueType]] = []
    for item in items:
        expr = item.expr
        if isinstance(expr, nodes.Ref) and expr.parts[-1] == "*":
            alias = expr.parts[-2] if len(expr.parts) > 1 else ""
            result += (scope.star(alias) or {"*": ValueType("")}).items()
        else:
            result.append((item.alias or _column_name(expr), infer.expr(expr, scope)))
    return result


def _column_name(expr: nodes.Expr) -> str:
    """Return the name that PostgreSQL gives a column without an alias."""
    match expr:
        case nodes.Ref(parts):
            return parts[-1]
        case nodes.Call(name) | nodes.Member(_, name):
            return name
        case nodes.Cast(inner):
            return _column_name(inner)
        case _:
            return "?column?"


def _values(infer: Infer, values: nodes.Values, scope: Scope) -> list[tuple[str, ValueType]]:
    rows = [[infer.expr(each, scope) for each in row] for row in values.rows]
    result: list[tuple[str, ValueType]] = []
    for index, infos in enumerate(zip(*rows, strict=False), start=1):
        is_single = len(infos) == 1 and not infos[0].open
        result.append((f"column{index}", infos[0] if is_single else infer.unify(infos)))
    return result


def _set_operation(infer: Infer, body: nodes.SetOp, scope: Scope) -> list[tuple[str, ValueType]]:
    left = columns(infer, body.left, scope, open_as_text=False)
    right = columns(infer, body.right, scope, open_as_text=False)
    result: list[tuple[str, ValueType]] = []
    for (name, first), (_, second) in zip(left, right, strict=False):
        info = unified = infer.unify([first, second])
        if body.op == "except":
            # Every row comes from the left side.
            info = first if (first.type, first.dims) == (unified.type, unified.dims) else unified
        else:
            if body.op == "intersect":
                info = unified.with_nullable(nullable=first.nullable and second.nullable)
            items = first.null_items or second.null_items
            origin = first.origin if first.origin == second.origin else None
            info = replace(info, null_items=items, origin=origin)
        result.append((name, info))
    return result


def _dml(infer: Infer, body: nodes.Dml, scope: Scope) -> list[tuple[str, ValueType]]:
    named = infer.schema.table(body.target.parts)
    table = dict(named[1]) if named else {}
    alias = body.target.alias or body.target.parts[-1]
    scope.relations.append(Relation(alias, table, named[0] if named else None))
    if body.kind == "insert":
        _insert(infer, body, table, scope)
        scope.relations.append(Relation("excluded", {}, None))
        excluded = Scope(scope, [Relation("excluded", table)])
        _assign(infer, body.sets, excluded)
        for condition in body.conditions:
            infer.condition(condition, excluded)
        return _items(infer, body.returning, scope)
    for source in body.sources:
        scope.relations += _source(infer, source, scope)
    for condition in body.conditions:
        infer.condition(condition, scope)
    result = _with_text_columns(infer, _items(infer, body.returning, scope))
    _assign(infer, body.sets, scope)  # PostgreSQL reads SET after WHERE and RETURNING
    return result


def _assign(
    infer: Infer,
    sets: Sequence[tuple[nodes.Expr, nodes.Expr]],
    scope: Scope,
) -> None:
    # PostgreSQL reads all values before it assigns the first one.
    assignments = [(target, infer.expr(value, scope)) for target, value in sets]
    for target, info in assignments:
        infer.assign_type(info, infer.expr(target, scope))


def _insert(infer: Infer, body: nodes.Dml, table: dict[str, ValueType], scope: Scope) -> None:
    if body.source is None:
        return
    names = body.columns or tuple(table)
    targets = [table.get(name, ValueType("")) for name in names]
    inner = body.source.body
    if isinstance(inner, nodes.Values):
        for cells in inner.rows:
            infos = [infer.expr(cell, Scope(scope.parent)) for cell in cells]
            for info, target in zip(infos, targets, strict=False):
                infer.assign_type(info, target)
        return
    parent = scope.parent
    result = columns(infer, body.source, parent, open_as_text=False)
    for (_, info), target in zip(result, targets, strict=False):
        infer.assign_type(info, target)


def _source(infer: Infer, source: nodes.Source, scope: Scope) -> list[Relation]:
    match source:
        case nodes.Table():
            return [_table(infer, source, scope)]
        case nodes.Derived(query, alias, names):
            return [Relation(alias, _by_name(columns(infer, query, scope), names))]
        case nodes.Functions():
            return [function_relation(infer, source, scope)]
        case nodes.Join():
            return _join(infer, source, scope)


def _table(infer: Infer, source: nodes.Table, scope: Scope) -> Relation:
    alias = source.alias or source.parts[-1]
    for number, kind in source.sample:
        infer.assign_type(infer.expr(number, scope), ValueType(kind))
    cte = scope.cte(source.parts[0]) if len(source.parts) == 1 else None
    key = None
    if cte is None:
        named = infer.schema.table(source.parts)
        key = named[0] if named else None
        if key in infer.schema.renamed:
            raise Refused(
                f"sqlc does not read the names in CREATE VIEW {key[1]} (…); give them to the "
                "columns of its query with AS"
            )
        cte = dict(named[1]) if named else {}
    renamed = [*source.columns, *list(cte)[len(source.columns) :]]
    return Relation(alias, dict(zip(renamed, cte.values(), strict=False)), key)


def _join(infer: Infer, join: nodes.Join, scope: Scope) -> list[Relation]:
    left = _source(infer, join.left, scope)
    lateral = Scope(scope.parent, [*scope.relations, *left])
    lateral.merged.update(scope.merged)
    right = _source(infer, join.right, lateral)
    shared = list(join.using)
    if join.natural:
        names = {name for each in right for name in each.columns}
        shared = [name for each in left for name in each.columns if name in names]
    if join.on:
        infer.condition(join.on, Scope(scope.parent, [*scope.relations, *left, *right]))
    for name in shared:
        left_info, right_info = _find_column(left, name), _find_column(right, name)
        if left_info and right_info:
            nullable = {
                "left": left_info.nullable,
                "right": right_info.nullable,
                "full": left_info.nullable or right_info.nullable,
            }.get(join.kind, left_info.nullable and right_info.nullable)
            base = right_info if join.kind == "right" else left_info
            scope.merged[name] = base.with_nullable(nullable=nullable)
    for relation in right if join.kind in {"left", "full"} else ():
        relation.nulled = True
    for relation in left if join.kind in {"right", "full"} else ():
        relation.nulled = True
    return [*left, *right]


def _find_column(relations: list[Relation], name: str) -> ValueType | None:
    return next((each.column(name) for each in relations if name in each.columns), None)


def one_row(infer: Infer, query: nodes.Query) -> bool:
    """Whether a statement always returns a row.

    That is an aggregate over all rows, a SELECT without FROM, or an INSERT of VALUES.
    """
    body = query.body
    if isinstance(body, nodes.Dml):
        return _always_inserts(body)
    if query.limits or not isinstance(body, nodes.Select) or body.groups or body.having:
        return False
    calls = [each for item in body.items for each in _calls(item.expr)]
    if any(_is_set(infer, each) for each in calls):
        return False
    if any(each.over is None and functions.is_aggregate(each.name) for each in calls):
        return True
    return not body.sources and not body.conditions


def _always_inserts(body: nodes.Dml) -> bool:
    source = body.source.body if body.source else None
    return (
        body.kind == "insert" and isinstance(source, nodes.Values | None) and not body.may_skip_row
    )


def _is_set(infer: Infer, call: nodes.Call) -> bool:
    return functions.is_set(*infer.schema.functions_for(call))


def _reads(part: nodes.Query, name: str) -> bool:
    """Whether a query reads a table of this name, in a subquery too."""
    parts = nodes.walk(part, queries=True)
    return any(isinstance(each, nodes.Table) and each.parts == (name,) for each in parts)


def _calls(part: nodes.Expr) -> list[nodes.Call]:
    """Return the calls in an expression, without those in subqueries."""
    return [each for each in nodes.walk(part) if isinstance(each, nodes.Call)]
