"""The result of a query: a scalar, or a model and how a row fills it."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.context import plain
from sqlc_gen_asyncpg.build.inference import check_expression
from sqlc_gen_asyncpg.build.query_types import result_type
from sqlc_gen_asyncpg.build.slices import has_outer_join, result_items
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.schema.catalog import make_field
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.context import Builder
    from sqlc_gen_asyncpg.infer.values import ValueType
    from sqlc_gen_asyncpg.pytypes import Type, TypeText

__all__ = ["result"]


def result(self: Builder) -> ir.Scalar | ir.Record:
    """Return the result of a query that has one; all its problems are reported."""
    columns = self.query.columns
    if not columns:
        raise Refused(f"{self.query.cmd} needs a result; list the columns, or use :exec")
    fields: dict[str, ir.Field] = {}
    shape: list[str | ir.Embedded] = []
    types: list[Type] = []
    names = _embeds(self)
    for number, (column, item, infos) in enumerate(_with_types(self), start=1):
        with self.report.catch(self.where):
            if column.embed:
                made, inner = _embedded(self, column, infos, names[number - 1])
                shape.append(inner)
            else:
                made, of = _column(self, column, item, infos, number)
                shape.append(made.name)
                types.append(of)
            if made.name in fields:
                raise Refused(f"two columns would be called {made.name}; name one with AS")
            fields[made.name] = made
    for name in self.says.columns:
        if name not in {_marked(each)[0] for each in columns if not each.embed}:
            self.report.add(self.where, f"-- py: column {name}: there is no column of that name")
    if len(columns) == 1 and not any(_outer(each) for each in shape):
        if self.says.row:
            raise Refused(
                f"-- py: row {self.says.row}: one column is returned as it is, not as a row"
            )
        return _single(fields, shape, types)
    return _record(self, tuple(fields.values()), tuple(shape))


def _outer(part: str | ir.Embedded) -> bool:
    return isinstance(part, ir.Embedded) and bool(part.key)


def _single(
    fields: dict[str, ir.Field], shape: list[str | ir.Embedded], types: list[Type]
) -> ir.Scalar | ir.Record:
    if types:
        return ir.Scalar(types[0].row, types[0].hint, types[0].nullable)
    found = next((each for each in shape if isinstance(each, ir.Embedded)), None)
    annotation = next((each.annotation for each in fields.values()), "")
    return ir.Record(annotation, found.columns if found else ())


def _with_types(self: Builder) -> list[tuple[protocol.Column, str, tuple[ValueType, ...] | None]]:
    """Each column with its SQL and its own types, where they can be matched."""
    query, analysis = self.query, self.analysis
    widths = [_width(self, each) for each in query.columns]
    if analysis and sum(widths) == len(analysis.results):
        starts = list(accumulate(widths, initial=0))
        parts = [analysis.results[i : i + n] for i, n in zip(starts, widths, strict=False)]
        return [(column, "", part) for column, part in zip(query.columns, parts, strict=True)]
    if analysis and all(each.type for each in analysis.results):
        raise Refused(
            f"sqlc sees {len(query.columns)} columns where PostgreSQL returns "
            f"{len(analysis.results)}; list them by name, each with its cast"
        )
    doubtful = [each for each in query.columns if not each.table]
    items = result_items(query.text) if doubtful else []
    if len(items) != len(query.columns) or any(each.embed for each in query.columns):
        items = [""] * len(query.columns)
    return [(column, item, None) for column, item in zip(query.columns, items, strict=True)]


def _embeds(self: Builder) -> list[str]:
    """Return the names of embedded models: their tables', or the aliases if one is there twice."""
    columns = self.query.columns
    tables = [self.catalog.key(each.embed) for each in columns if each.embed]
    if len(set(tables)) == len(tables):
        return [each.name for each in columns]
    aliases = _aliases(self)
    return [
        aliases[index]
        if each.embed and tables.count(self.catalog.key(each.embed)) > 1
        else each.name
        for index, each in enumerate(columns)
    ]


def _aliases(self: Builder) -> list[str]:
    """Return what stands before the dot in the first of each column's expressions."""
    body = self.analysis.query.body if self.analysis else None
    items = body.items if isinstance(body, nodes.Select) else ()
    exprs = [each.expr for each in items]
    starts = accumulate((_width(self, each) for each in self.query.columns), initial=0)
    found: list[str] = []
    for column, start in zip(self.query.columns, starts, strict=False):
        expr = exprs[start] if start < len(exprs) else None
        parts = expr.parts if isinstance(expr, nodes.Ref) else ()
        qualifier = parts[-2:-1] if parts[-1:] != ("*",) else ()
        found.append(qualifier[0] if qualifier else column.name)
    return found


def _marked(column: protocol.Column) -> tuple[str, str]:
    """Return a column's name without its mark, and the mark."""
    mark = column.name[-1:] if column.name.endswith(("!", "?")) else ""
    return column.name.removesuffix(mark), mark


def _width(self: Builder, column: protocol.Column) -> int:
    table = self.catalog.tables.get(self.catalog.key(column.embed)) if column.embed else None
    return len(table.model.fields) if table else 1


def _column(
    self: Builder,
    column: protocol.Column,
    item: str,
    infos: tuple[ValueType, ...] | None,
    number: int,
) -> tuple[ir.Field, Type]:
    name, mark = _marked(column)
    name = name or f"column_{number}"
    said = self.says.columns.get(name)
    try:
        if said:
            of = _said(self, said, column, infos)
        elif infos is not None:
            of = result_type(self.catalog, column, infos[0])
        else:
            of = self.catalog.column_type(column)
            if not column.table:
                check_expression(column, item, marked=bool(mark))
                of = of.with_null(nullable=True)  # sqlc's word is not enough
    except AlreadyReported:
        raise
    except Refused as error:
        says = str(error)
        if self.analysis and name in _called(self.analysis.query.body):
            says = (
                "sqlc does not know the columns of a function in FROM; name them there, as in "
                f"FROM f(…) AS {name}(a, b), and list them: {name}.a"
            )
        raise Refused(f"column {name}: {says}") from None
    if mark:
        of = of.with_null(nullable=mark == "?")
    if mark == "!" and of.nullable_element:
        of = replace(of, nullable_element=False)  # of an array it speaks of the elements too
    return make_field(self.catalog, column, name, of), of


def _called(part: nodes.Body | nodes.Source) -> set[str]:
    """Return the names of the functions in FROM."""
    match part:
        case nodes.Select():
            return {name for each in part.sources for name in _called(each)}
        case nodes.Join():
            return _called(part.left) | _called(part.right)
        case nodes.Functions(calls, alias):
            return {alias, *(each.name for each in calls if isinstance(each, nodes.Call))}
        case _:
            return set()


def _said(
    self: Builder, said: TypeText, column: protocol.Column, infos: tuple[ValueType, ...] | None
) -> Type:
    """Return the type that a comment gives to a column; it need not be known otherwise."""
    normal = infos[0].type if infos and infos[0].type else column.type.name
    try:
        known = result_type(self.catalog, column, infos[0]) if infos else None
    except Refused:
        known = None
    return self.catalog.text_type(said, known, normal)


def _embedded(
    self: Builder, column: protocol.Column, infos: tuple[ValueType, ...] | None, sql_name: str
) -> tuple[ir.Field, ir.Embedded]:
    key = self.catalog.key(column.embed) if column.embed else ("", "")
    table = self.catalog.tables.get(key)
    if table is None:
        raise Refused(f"sqlc.embed({column.name}): there is no model of that table")
    name = naming.field_name(sql_name)
    inner = tuple(each.name for each in table.model.fields)
    alias = sql_name if name != sql_name else ""
    sure = _not_null(self, key)
    outer = any(infos[each].nullable for each in sure) if infos else False
    if has_outer_join(self.query.text) and (infos is None or not sure):
        raise Refused(
            f"sqlc.embed({column.name}) beside an outer join: no column of the table is NOT NULL, "
            "so that a row of NULLs looks like no row; list the table's columns"
        )
    none = " | None" if outer else ""
    found = ir.Embedded(name, inner, inner[sure[0]] if outer else "")
    return ir.Field(name, f"models.{table.model.name}{none}", alias), found


def _not_null(self: Builder, key: tuple[str, str]) -> list[int]:
    """Return which columns of a table are never NULL."""
    columns = [each for each in self.catalog.columns if each[:2] == key]
    infos = self.catalog.schema.tables.get(key, {})
    return [index for index, each in enumerate(columns) if not infos[each[2]].nullable]


def _record(self: Builder, fields: tuple[ir.Field, ...], shape: ir.Shape) -> ir.Record:
    model = ir.Model(self.says.row, (f"A row of {self.query.name}.",), fields)
    if self.says.row:
        self.names.share(model)
        return ir.Record(f"models.{model.name}", shape)
    tables = {self.catalog.key(each.table) for each in self.query.columns if each.table}
    for key in tables:
        table = self.catalog.tables.get(key)
        if len(tables) == 1 and table and plain(table.model) == plain(model):
            return ir.Record(f"models.{table.model.name}", shape)
    model = ir.Model(f"{self.title}Row", model.doc, fields)
    self.models.append(model)
    return ir.Record(model.name, shape)
