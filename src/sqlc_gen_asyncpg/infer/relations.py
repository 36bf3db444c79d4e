"""FROM clauses, SELECT lists and statements: from a query to its columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.infer import functions
from sqlc_gen_asyncpg.infer.scope import Relation, Scope
from sqlc_gen_asyncpg.infer.values import ValueType
from sqlc_gen_asyncpg.pytypes import normal_name
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlc_gen_asyncpg.infer.protocol import Infer

__all__ = ["columns", "one_row"]

# Functions in FROM whose columns have names of their own.
_RECORDS: Final = {
    "jsonb_each": (("key", "text", False), ("value", "jsonb", False)),
    "json_each": (("key", "text", False), ("value", "json", False)),
    "jsonb_each_text": (("key", "text", False), ("value", "text", True)),
    "json_each_text": (("key", "text", False), ("value", "text", True)),
}
_VALUE_FUNCTIONS: Final = frozenset({
    "jsonb_array_elements", "json_array_elements", "jsonb_array_elements_text",
    "json_array_elements_text",
})  # fmt: skip


def columns(
    infer: Infer, query: nodes.Query, outer: Scope | None, *, settled: bool = True
) -> list[tuple[str, ValueType]]:
    """Return the columns of a statement in order, with their names.

    What has no type in the end is text, unless what is around decides it: then it is not `settled`.
    """
    scope = Scope(outer)
    for cte in query.ctes:
        scope.ctes[cte.name] = _cte(infer, cte, scope)
    body = query.body
    inner = Scope(scope)
    match body:
        case nodes.Select():
            found = _select(infer, body, inner)
        case nodes.Values():
            found = _values(infer, body, inner)
        case nodes.SetOp():
            found = _set_operation(infer, body, scope)
        case nodes.Dml():
            found = _change(infer, body, inner)
        case nodes.CallStatement(call):
            infer.expr(call, inner)
            found = []
    inner.merged.update({name: info for name, info in found if name not in inner.merged})
    _last(infer, query, inner)
    return _settled(infer, found) if settled else found


def _last(infer: Infer, query: nodes.Query, scope: Scope) -> None:
    """Read what PostgreSQL reads behind WHERE, which may be in the names of the result."""
    others = query.body.others if isinstance(query.body, nodes.Select) else ()
    for each in (*query.order, *others):
        infer.settle(infer.expr(each, scope), ValueType("text"))
    for each in query.limits:
        infer.settle(infer.expr(each, scope), ValueType("int8"))


def _settled(infer: Infer, found: Sequence[tuple[str, ValueType]]) -> list[tuple[str, ValueType]]:
    text = ValueType("text")
    return [(name, infer.settle(info, text) if info.open else info) for name, info in found]


def _unique(
    found: Sequence[tuple[str, ValueType]], names: Sequence[str] = ()
) -> dict[str, ValueType]:
    made: dict[str, ValueType] = {}
    for index, (name, info) in enumerate(found):
        called = names[index] if index < len(names) else name
        made.setdefault(called, replace(info, param=0))
    return made


def _cte(infer: Infer, cte: nodes.Cte, scope: Scope) -> dict[str, ValueType]:
    body = cte.query.body
    if not (cte.recursive and isinstance(body, nodes.SetOp) and _reads(body.right, cte.name)):
        return _unique(columns(infer, cte.query, scope), cte.columns)
    first = _unique(columns(infer, body.left, scope, settled=False), cte.columns)
    for _ in range(2):
        scope.ctes[cte.name] = first
        whole = _unique(columns(infer, cte.query, scope), cte.columns)
        merged = zip(first.items(), whole.values(), strict=False)
        first = {
            name: info.null(nullable=info.nullable or other.nullable)
            for (name, info), other in merged
        }
    return first


def _select(infer: Infer, select: nodes.Select, scope: Scope) -> list[tuple[str, ValueType]]:
    for source in select.sources:
        scope.relations += _source(infer, source, scope)
    before = infer.groups, infer.frame_may_exclude_row
    infer.groups, infer.frame_may_exclude_row = (
        select.groups and not select.sets,
        select.frame_may_exclude_row,
    )
    scope.all_null = select.sets
    found = _items(infer, select.items, scope)  # before WHERE, as PostgreSQL does
    for each in select.conditions:
        infer.condition(each, scope)
    infer.groups, infer.frame_may_exclude_row = before
    sets = [any(_is_set(infer, each) for each in _calls(i.expr)) for i in select.items]
    if sum(sets) > 1 and len(sets) == len(found):  # the shorter ones are filled up with NULL
        pairs = zip(found, sets, strict=True)
        return [(name, info.null(nullable=info.nullable or many)) for (name, info), many in pairs]
    return found


def _items(infer: Infer, items: Sequence[nodes.Item], scope: Scope) -> list[tuple[str, ValueType]]:
    found: list[tuple[str, ValueType]] = []
    for item in items:
        expr = item.expr
        if isinstance(expr, nodes.Ref) and expr.parts[-1] == "*":
            alias = expr.parts[-2] if len(expr.parts) > 1 else ""
            found += (scope.star(alias) or {"*": ValueType("")}).items()
        else:
            found.append((item.alias or _name(expr), infer.expr(expr, scope)))
    return found


def _name(expr: nodes.Expr) -> str:
    match expr:
        case nodes.Ref(parts):
            return parts[-1]
        case nodes.Call(name) | nodes.Member(_, name):
            return name
        case nodes.Cast(inner):
            return _name(inner)
        case _:
            return "?column?"


def _values(infer: Infer, values: nodes.Values, scope: Scope) -> list[tuple[str, ValueType]]:
    rows = [[infer.expr(each, scope) for each in row] for row in values.rows]
    found: list[tuple[str, ValueType]] = []
    for index, infos in enumerate(zip(*rows, strict=False), start=1):
        same = len(infos) == 1 and not infos[0].open
        found.append((f"column{index}", infos[0] if same else infer.unify(infos)))
    return found


def _set_operation(infer: Infer, body: nodes.SetOp, scope: Scope) -> list[tuple[str, ValueType]]:
    left = columns(infer, body.left, scope, settled=False)
    right = columns(infer, body.right, scope, settled=False)
    found: list[tuple[str, ValueType]] = []
    for (name, one), (_, other) in zip(left, right, strict=False):
        info = both = infer.unify([one, other])
        if body.op == "except":
            info = one if (one.type, one.dims) == (both.type, both.dims) else both
        else:
            if body.op == "intersect":
                info = both.null(nullable=one.nullable and other.nullable)
            items = one.null_items or other.null_items
            origin = one.origin if one.origin == other.origin else None
            info = replace(info, null_items=items, origin=origin)
        found.append((name, info))
    return found


def _change(infer: Infer, body: nodes.Dml, scope: Scope) -> list[tuple[str, ValueType]]:
    named = infer.schema.table(body.target.parts)
    table = dict(named[1]) if named else {}
    alias = body.target.alias or body.target.parts[-1]
    scope.relations.append(Relation(alias, table, named[0] if named else None))
    if body.kind == "insert":
        _insert(infer, body, table, scope)
        scope.relations.append(Relation("excluded", {}, None))
        excluded = Scope(scope, [Relation("excluded", table)])
        _assign(infer, body.sets, excluded)
        for each in body.conditions:
            infer.condition(each, excluded)
        return _items(infer, body.returning, scope)
    for source in body.sources:
        scope.relations += _source(infer, source, scope)
    for each in body.conditions:
        infer.condition(each, scope)
    found = _settled(infer, _items(infer, body.returning, scope))
    _assign(infer, body.sets, scope)  # behind WHERE and RETURNING, as PostgreSQL does
    return found


def _assign(
    infer: Infer,
    sets: Sequence[tuple[nodes.Expr, nodes.Expr]],
    scope: Scope,
) -> None:
    found = [(place, infer.expr(value, scope)) for place, value in sets]
    for place, info in found:  # behind all of the values, as PostgreSQL does
        infer.settle(info, infer.expr(place, scope))


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
                infer.settle(info, target)
        return
    parent = scope.parent
    found = columns(infer, body.source, parent, settled=False)
    for (_, info), target in zip(found, targets, strict=False):
        infer.settle(info, target)


def _source(infer: Infer, source: nodes.Source, scope: Scope) -> list[Relation]:
    match source:
        case nodes.Table():
            return [_table(infer, source, scope)]
        case nodes.Derived(query, alias, names):
            return [Relation(alias, _unique(columns(infer, query, scope), names))]
        case nodes.Functions():
            return [_functions(infer, source, scope)]
        case nodes.Join():
            return _join(infer, source, scope)


def _table(infer: Infer, source: nodes.Table, scope: Scope) -> Relation:
    alias = source.alias or source.parts[-1]
    for number, kind in source.sample:
        infer.settle(infer.expr(number, scope), ValueType(kind))
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


def _functions(infer: Infer, source: nodes.Functions, scope: Scope) -> Relation:
    several = len(source.calls) > 1
    made = [
        (name, info.null(nullable=True) if several else info)  # the shorter ones are filled up
        for call in source.calls
        for name, info in _function(infer, call, source, scope).items()
    ]
    if source.ordinality:
        made.append(("ordinality", ValueType("int8", nullable=False)))
    names = [*source.columns, *[name for name, _ in made][len(source.columns) :]]
    first = source.calls[0]
    alias = source.alias or (first.name if isinstance(first, nodes.Call) else "")
    return Relation(alias, dict(zip(names, [info for _, info in made], strict=False)))


def _function(
    infer: Infer, call: nodes.Expr, source: nodes.Functions, scope: Scope
) -> dict[str, ValueType]:
    name = call.name if isinstance(call, nodes.Call) else ""
    alias = name if len(source.calls) > 1 else source.alias or name
    info = infer.expr(call, scope)
    own = {each.columns for each in infer.schema.functions.get(name, ())}
    row = infer.schema.table(tuple(info.type.split("."))) if info.type else None
    defined = source.defined or (next(iter(own)) if len(own) == 1 else ())
    if defined:
        return {key: ValueType(normal_name(kind), dims) for key, kind, dims in defined}
    if row:
        return {key: each.null(nullable=True) for key, each in row[1].items()}
    if name in _RECORDS:
        return {key: ValueType(kind, nullable=null) for key, kind, null in _RECORDS[name]}
    if name == "unnest" and isinstance(call, nodes.Call) and len(call.args) > 1:
        infos = [infer.expr(each, scope) for each in call.args]
        return {
            f"unnest{i}": ValueType(each.type if each.dims else "") for i, each in enumerate(infos)
        }
    if info.type == "record":
        return {}
    return {"value" if name in _VALUE_FUNCTIONS else alias: info}


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
        one, other = _find(left, name), _find(right, name)
        if one and other:
            nullable = {
                "left": one.nullable,
                "right": other.nullable,
                "full": one.nullable or other.nullable,
            }.get(join.kind, one.nullable and other.nullable)
            base = other if join.kind == "right" else one
            scope.merged[name] = base.null(nullable=nullable)
    for each in right if join.kind in {"left", "full"} else ():
        each.nulled = True
    for each in left if join.kind in {"right", "full"} else ():
        each.nulled = True
    return [*left, *right]


def _find(relations: list[Relation], name: str) -> ValueType | None:
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
    return functions.is_set(call.name, infer.schema.functions.get(call.name, ()))


def _reads(part: nodes.Query, name: str) -> bool:
    """Whether a table of this name is anywhere in a query."""
    found = nodes.walk(part, queries=True)
    return any(isinstance(each, nodes.Table) and each.parts == (name,) for each in found)


def _calls(part: nodes.Expr) -> list[nodes.Call]:
    """Return the calls in an expression, subqueries left out."""
    return [each for each in nodes.walk(part) if isinstance(each, nodes.Call)]
