"""One query of sqlc's as one function of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast, get_args

from sqlc_gen_asyncpg import ir, naming, sqltext
from sqlc_gen_asyncpg.catalog import make_field
from sqlc_gen_asyncpg.directives import parse_comments
from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.inference import check_expression
from sqlc_gen_asyncpg.pgtypes import Type

if TYPE_CHECKING:
    from collections.abc import Container

    from sqlc_gen_asyncpg import wire
    from sqlc_gen_asyncpg.catalog import Catalog
    from sqlc_gen_asyncpg.directives import Directives
    from sqlc_gen_asyncpg.errors import Report

__all__ = ["Built", "Names", "build_query"]

MOST_PARAMETERS: Final = 32_767
_CURES: Final = {
    ":copyfrom": "is not supported yet; insert from unnest(…) with -- py: batch",
    ":batchexec": "is not supported yet; use one statement over unnest(…) with -- py: batch",
    ":batchmany": "is not supported yet; use one statement over unnest(…) with -- py: batch",
    ":batchone": "is not supported yet; use one statement over unnest(…) with -- py: batch",
    ":execlastid": "does not exist on PostgreSQL; use :one with RETURNING",
}


@dataclass(slots=True)
class Names:
    """Models that queries name themselves; equal ones are shared by the whole package."""

    models: dict[str, ir.Model]

    def share(self, model: ir.Model) -> None:
        """Add a model, or find that the one of this name has the same fields."""
        there = self.models.setdefault(model.name, model)
        if (_plain(there), there.is_input) != (_plain(model), model.is_input):
            raise Refused(f"there is another {model.name} with other fields; give this one a name")


def _plain(model: ir.Model) -> list[tuple[str, str, str]]:
    """Return a model's fields without their documentation and order."""
    return sorted((each.name, each.annotation, each.alias) for each in model.fields)


@dataclass(frozen=True, slots=True)
class Built:
    """A function, and the models that only it uses."""

    function: ir.Function
    models: tuple[ir.Model, ...]
    file_doc: tuple[str, ...]


@dataclass(slots=True)
class _Builder:
    catalog: Catalog
    names: Names
    report: Report
    query: wire.Query
    says: Directives
    title: str
    models: list[ir.Model]

    @property
    def where(self) -> str:
        return f"{self.query.filename}: {self.query.name}"


def build_query(query: wire.Query, catalog: Catalog, names: Names, report: Report) -> Built | None:
    """Return the function of a query; None, with a line in the report, if there cannot be one."""
    before = len(report.problems)
    where = f"{query.filename}: {query.name}"
    built = None
    with report.catch(where):
        says = parse_comments(query.comments)
        title = naming.camel(query.name)
        builder = _Builder(catalog, names, report, query, says, title, [])
        _check(builder)
        built = Built(_function(builder), tuple(builder.models), says.file_doc)
    return built if len(report.problems) == before else None


def _check(self: _Builder) -> None:
    cmd, says = self.query.cmd, self.says
    if cmd in _CURES:
        raise Refused(f"{cmd} {_CURES[cmd]}")
    if cmd not in get_args(ir.Command):
        raise Refused(f"{cmd} is not known; there are {', '.join(get_args(ir.Command))}")
    if says.one and cmd != ":one":
        raise Refused(f"-- py: one! goes with :one, not with {cmd}")
    if says.iterator and cmd != ":many":
        raise Refused(f"-- py: iterator goes with :many, not with {cmd}")
    if says.row and cmd not in {":one", ":many"}:
        raise Refused(f"-- py: row goes with :one and :many, not with {cmd}")
    if self.query.text[:1] in {"\n", "\r"} and says.doc and not says.file_doc:
        raise Refused(
            "a blank line stands above or in its comment; end a comment on the whole file with the "
            "line -- py: file, and leave no blank line between the query's comment and its SQL"
        )
    if len(self.query.parameters) > MOST_PARAMETERS:
        raise Refused(f"more than {MOST_PARAMETERS:,} parameters; pass arrays and unnest them")


def _function(self: _Builder) -> ir.Function:
    query, options = self.query, self.catalog.options
    name = options.rename.get(query.name)
    name = name or naming.function_name(query.name, options.initialisms)
    arguments, binds = _arguments(self)
    params = _params(self, arguments)
    result = _result(self) if query.cmd in {":one", ":many"} else None
    slices = {each.number for each in query.parameters if each.column.is_slice}
    text = sqltext.rewrite_slices(query.text, slices)
    return ir.Function(
        query=query.name,
        command=cast("ir.Command", query.cmd),
        name=name,
        constant=naming.constant_name(name),
        sql=f"-- name: {query.name} {query.cmd}\n{text.lstrip()}",
        doc=self.says.doc or _default_doc(query),
        arguments=tuple(arguments),
        binds=tuple(binds),
        params=params,
        result=result,
        always_row=query.cmd == ":one" and (self.says.one or _surely_one(query)),
        iterator=query.cmd == ":many" and (options.emit_iterators or self.says.iterator),
    )


def _default_doc(query: wire.Query) -> tuple[str, ...]:
    does = {
        ":one": "and return its row",
        ":many": "and return its rows",
        ":execrows": "and return the number of rows it touched",
        ":execresult": "and return the command's status",
    }
    return (" ".join(("Run", query.name, does.get(query.cmd, ""))).strip() + ".",)


def _surely_one(query: wire.Query) -> bool:
    """Without aggregates a SELECT of a table's own columns may find no row: do not look closer."""
    selects = query.insert_into is None
    if selects and any(each.table for each in query.columns):
        return False
    return sqltext.always_one_row(query.text)


def _arguments(self: _Builder) -> tuple[list[ir.Argument], list[ir.Bind]]:
    arguments: dict[str, ir.Argument] = {}
    binds: list[ir.Bind] = []
    columns: dict[str, ir.Field] = {}
    batch = self.says.batch
    types = _parameter_types(self)
    for name, of in types.items():
        if batch and of.dims == 1:
            made = _input_field(name, of.element())
            if not columns:
                _refuse_twice(batch.argument, arguments)
                arguments[batch.argument] = _batch_argument(batch.argument, batch.model)
            _refuse_twice(made.name, columns)
            columns[made.name] = made
            binds.append(ir.Bind(batch.argument, made.name))
        else:
            argument = _argument(name, of)
            _refuse_twice(argument.name, arguments)
            arguments[argument.name] = argument
            binds.append(ir.Bind(argument.name))
    if batch:
        if not columns:
            raise Refused(f"-- py: batch {batch.argument}: the query has no array parameters")
        doc = (f"One of the `{batch.argument}` of {self.query.name}.",)
        self.names.share(ir.Model(batch.model, doc, tuple(columns.values()), is_input=True))
    return list(arguments.values()), binds


def _refuse_twice(name: str, there: Container[str]) -> None:
    if name in there:
        raise Refused(f"two parameters would be called {name}; name one of them with sqlc.arg(…)")


def _batch_argument(name: str, model: str) -> ir.Argument:
    if naming.argument_name(name) != name:
        raise Refused(f"-- py: batch {name}: an argument cannot be called that")
    annotation = f"Sequence[models.{model}]"
    return ir.Argument(name, annotation, ir.Field(naming.field_name(name), f"list[models.{model}]"))


def _argument(name: str, of: Type) -> ir.Argument:
    if of.base.aware and of.dims > 1:
        raise Refused(f"parameter {name}: arrays of arrays of timestamptz are not supported yet")
    aware: Literal["", "one", "many"] = ""
    if of.base.aware:
        aware = "many" if of.dims else "one"
    return ir.Argument(
        name=naming.argument_name(name),
        annotation=of.argument,
        field=_input_field(name, of),
        aware=aware,
        nullable=of.nullable,
    )


def _input_field(name: str, of: Type) -> ir.Field:
    python = naming.field_name(name)
    alias = name if python != name else ""
    return ir.Field(python, of.field, alias, default_none=of.nullable)


def _parameter_types(self: _Builder) -> dict[str, Type]:
    """Return the types of the parameters by name, in order; all problems are reported."""
    types: dict[str, Type] = {}
    arrays: set[int] = set()
    for parameter in self.query.parameters:
        with self.report.catch(self.where):
            name, of = _parameter(self, parameter)
            if name in types:
                raise Refused(
                    f"two parameters would be called {name}; name ${parameter.number} "
                    "with sqlc.arg(…)"
                )
            types[name] = of
            if of.dims:
                arrays.add(parameter.number)
    for number in sqltext.scalars_in_any(self.query.text, arrays):
        self.report.add(
            self.where,
            f"${number} in ANY(…) is not known as an array; cast it: ANY(${number}::text[])",
        )
    for name in self.says.params:
        if name not in {each.column.name for each in self.query.parameters}:
            self.report.add(self.where, f"-- py: param {name}: there is no parameter of that name")
    return types


def _parameter(self: _Builder, parameter: wire.Parameter) -> tuple[str, Type]:
    column = parameter.column
    if not column.name:
        raise Refused(f"parameter ${parameter.number} has no name; write sqlc.arg(name) for it")
    if not re.match(r"\w", column.name):
        raise Refused(
            f"sqlc reads the name of ${parameter.number} as {column.name!r}; write sqlc.arg(name) "
            "in place of @name"
        )
    try:
        of = _said_type(self, column)
    except Refused as error:
        raise Refused(f"parameter {column.name}: {error}") from None
    return column.name, Type(of.base, dims=1) if column.is_slice else of


def _said_type(self: _Builder, column: wire.Column) -> Type:
    """Return the type of a parameter; one that a directive gives need not be known to sqlc."""
    said = self.says.params.get(column.name)
    if said is None:
        return self.catalog.column_type(column)
    try:
        known = self.catalog.column_type(column)
    except Refused:
        known = None
    return self.catalog.text_type(said, known)


def _params(self: _Builder, arguments: list[ir.Argument]) -> ir.Model | None:
    limit = self.catalog.options.query_parameter_limit
    if limit is None or len(arguments) <= limit:
        return None
    doc = (f"The parameters of {self.query.name}.",)
    model = ir.Model(
        f"{self.title}Params", doc, tuple(each.field for each in arguments), is_input=True
    )
    self.models.append(model)
    return model


def _result(self: _Builder) -> ir.Scalar | ir.Record:
    columns = self.query.columns
    if not columns:
        raise Refused(f"{self.query.cmd} needs a result; list the columns, or use :exec")
    fields: dict[str, ir.Field] = {}
    shape: list[str | tuple[str, tuple[str, ...]]] = []
    types: list[Type] = []
    for number, (column, item) in enumerate(_with_items(self.query), start=1):
        with self.report.catch(self.where):
            if column.embed:
                made, inner = _embedded(self, column)
                shape.append((made.name, inner))
            else:
                made, of = _column(self, column, item, number)
                shape.append(made.name)
                types.append(of)
            if made.name in fields:
                raise Refused(f"two columns would be called {made.name}; name one with AS")
            fields[made.name] = made
    if len(columns) == 1:
        if self.says.row:
            raise Refused(
                f"-- py: row {self.says.row}: one column is returned as it is, not as a row"
            )
        return _single(fields, shape, types)
    return _record(self, tuple(fields.values()), tuple(shape))


def _single(
    fields: dict[str, ir.Field], shape: list[str | tuple[str, tuple[str, ...]]], types: list[Type]
) -> ir.Scalar | ir.Record:
    if types:
        return ir.Scalar(types[0].row, types[0].hint, types[0].nullable)
    ((_, inner),) = [each for each in shape if isinstance(each, tuple)] or [("", ())]
    annotation = next((each.annotation for each in fields.values()), "")
    return ir.Record(annotation, inner)


def _with_items(query: wire.Query) -> list[tuple[wire.Column, str]]:
    """Each column with its SQL, where the two can be matched."""
    doubtful = [each for each in query.columns if not each.table]
    items = sqltext.result_items(query.text) if doubtful else []
    if len(items) != len(query.columns) or any(each.embed for each in query.columns):
        items = [""] * len(query.columns)
    return list(zip(query.columns, items, strict=True))


def _column(self: _Builder, column: wire.Column, item: str, number: int) -> tuple[ir.Field, Type]:
    mark = column.name[-1:] if column.name.endswith(("!", "?")) else ""
    name = column.name.removesuffix(mark) or f"column_{number}"
    try:
        of = self.catalog.column_type(column)
        if item and not column.table:
            check_expression(column, item, marked=bool(mark))
    except Refused as error:
        raise Refused(f"column {name}: {error}") from None
    if mark:
        of = of.with_null(nullable=mark == "?")
    return make_field(self.catalog, column, name, of), of


def _embedded(self: _Builder, column: wire.Column) -> tuple[ir.Field, tuple[str, ...]]:
    if sqltext.has_outer_join(self.query.text):
        raise Refused(
            "sqlc.embed beside an outer join is not supported yet; list the table's columns"
        )
    table = self.catalog.tables.get(self.catalog.key(column.embed)) if column.embed else None
    if table is None:
        raise Refused(f"sqlc.embed({column.name}): there is no model of that table")
    name = naming.field_name(column.name)
    inner = tuple(each.name for each in table.model.fields)
    alias = column.name if name != column.name else ""
    return ir.Field(name, f"models.{table.model.name}", alias), inner


def _record(self: _Builder, fields: tuple[ir.Field, ...], shape: ir.Shape) -> ir.Record:
    model = ir.Model(self.says.row, (f"A row of {self.query.name}.",), fields)
    if self.says.row:
        self.names.share(model)
        return ir.Record(f"models.{model.name}", shape)
    tables = {self.catalog.key(each.table) for each in self.query.columns if each.table}
    for key in tables:
        table = self.catalog.tables.get(key)
        if len(tables) == 1 and table and _plain(table.model) == _plain(model):
            return ir.Record(f"models.{table.model.name}", shape)
    model = ir.Model(f"{self.title}Row", model.doc, fields)
    self.models.append(model)
    return ir.Record(model.name, shape)
