"""One query of sqlc's as one function of ours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast, get_args

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.comments import parse_comments
from sqlc_gen_asyncpg.build.context import Builder
from sqlc_gen_asyncpg.build.query_types import analyse, parameter_column
from sqlc_gen_asyncpg.build.results import result
from sqlc_gen_asyncpg.build.slices import always_one_row, mask, rewrite_slices, scalars_in_any
from sqlc_gen_asyncpg.build.unnamed import named_by_number
from sqlc_gen_asyncpg.errors import AlreadyReported, InternalError, Refused
from sqlc_gen_asyncpg.infer.type_errors import STRINGS
from sqlc_gen_asyncpg.pytypes import Type
from sqlc_gen_asyncpg.schema.overrides import JSON_TYPES, VECTOR_TYPES
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.context import Names
    from sqlc_gen_asyncpg.build.queryfiles import Layout
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["Built", "build_query"]

MOST_PARAMETERS: Final = 32_767
_CURES: Final = {
    ":execlastid": "does not exist on PostgreSQL; use :one with RETURNING",
}
_NAME_THEM: Final = (
    "write sqlc.arg(name), or @name, for each parameter of the query, or see the option "
    "unnamed_parameters"
)
_WITH_RESULT: Final = frozenset({":one", ":many", ":batchone", ":batchmany"})


@dataclass(frozen=True, slots=True)
class Built:
    """A function, and the models that only it uses."""

    function: ir.Function
    models: tuple[ir.Model, ...]
    file_doc: tuple[str, ...]


def build_query(
    query: protocol.Query, catalog: Catalog, names: Names, report: Report, layout: Layout | None
) -> Built | None:
    """Return the function of a query; None, with a line in the report, if there cannot be one."""
    where = f"{query.filename}: {query.name}"
    try:
        return _built(query, catalog, names, report, layout)
    except Exception as error:
        raise InternalError(f"{where}: internal error: {error!r}") from error


def _built(
    query: protocol.Query, catalog: Catalog, names: Names, report: Report, layout: Layout | None
) -> Built | None:
    before = len(report.problems)
    where = f"{query.filename}: {query.name}"
    built = None
    with report.catch(where):
        if catalog.options.unnamed_parameters == "number":
            query = named_by_number(query)
        says = parse_comments(query.comments, layout)
        title = naming.camel(query.name)
        builder = Builder(catalog, names, report, query, says, title, [])
        _check(builder)
        builder.analysis = analyse(query, catalog, _nullable(builder))
        if builder.analysis and 0 in builder.analysis.type_errors:
            raise Refused(f"PostgreSQL refuses it: {builder.analysis.type_errors[0]}")
        built = Built(_function(builder), tuple(builder.models), says.file_doc)
    return built if len(report.problems) == before else None


def _check(self: Builder) -> None:
    cmd, says = self.query.cmd, self.says
    if cmd in _CURES:
        raise Refused(f"{cmd} {_CURES[cmd]}")
    if cmd not in get_args(ir.Command):
        raise Refused(f"{cmd} is not known; there are {', '.join(get_args(ir.Command))}")
    if says.one and cmd != ":one":
        raise Refused(f"-- py: one! goes with :one, not with {cmd}")
    if says.iterator and cmd != ":many":
        raise Refused(f"-- py: iterator goes with :many, not with {cmd}")
    if says.row and cmd not in _WITH_RESULT:
        raise Refused(f"-- py: row goes with :one and :many, not with {cmd}")
    text = mask(self.query.text)
    if re.search(r"\bMERGE\s+INTO\b", text, re.IGNORECASE) and (
        cmd in _WITH_RESULT or re.search(r"[$@]\w", text)
    ):
        raise Refused(
            "sqlc reads neither parameters nor results of MERGE; write INSERT … ON CONFLICT, or "
            "UPDATE … FROM and INSERT … SELECT"
        )
    _check_kept(text)
    if len(self.query.parameters) > MOST_PARAMETERS:
        raise Refused(f"more than {MOST_PARAMETERS:,} parameters; pass arrays and unnest them")


def _check_kept(text: str) -> None:
    """Refuse a name that sqlc has left in the statement: it is no parameter to it."""
    if kept := re.search(r"([^\s\w(,]?)(@[A-Za-z_]\w*)|\bsqlc\s*\.\s*n?arg\s*\([^)]*\)", text):
        if kept[1] and kept[1] not in ":[":  # PostgreSQL reads `=@` as one operator
            raise Refused(
                f"{kept[2]} is no parameter here; put a blank before it, or write sqlc.arg"
            )
        raise Refused(
            f"sqlc does not look for {kept[2] or kept[0]} there, as in SQL/JSON; name the value in "
            "a subquery: FROM (SELECT @x::text AS x) AS given"
        )


def _nullable(self: Builder) -> set[int]:
    """Return the numbers of the parameters that may be None."""
    found: set[int] = set()
    for each in self.query.parameters:
        said = self.says.params.get(each.column.name)
        if said.nullable if said else not each.column.not_null:
            found.add(each.number)
    return found


def _function(self: Builder) -> ir.Function:
    query, options = self.query, self.catalog.options
    name = options.rename.get(query.name)
    name = name or naming.function_name(query.name, options.initialisms)
    constant = naming.constant_name(name)
    arguments, binds = _arguments(self, constant)
    params = _params(self, arguments)
    found = result(self) if query.cmd in _WITH_RESULT else None
    slices = {each.number for each in query.parameters if each.column.is_slice}
    text = rewrite_slices(query.text, slices)
    fields = [each.field for each in arguments]
    numbers = [each.number for each in query.parameters]
    copy = None
    if query.cmd == ":copyfrom" and len(fields) == len(numbers):  # or some were refused
        copy = _copy(self, dict(zip(numbers, fields, strict=True)))
    return ir.Function(
        copy=copy,
        query=query.name,
        command=cast("ir.Command", query.cmd),
        name=name,
        constant=constant,
        sql=f"-- name: {query.name} {query.cmd}\n{text.lstrip()}",
        doc=self.says.doc or _default_doc(query),
        arguments=tuple(arguments),
        binds=tuple(binds),
        params=params,
        result=found,
        always_row=query.cmd == ":one" and (self.says.one or _surely_one(self)),
        iterator=query.cmd == ":many" and (options.emit_iterators or self.says.iterator),
    )


def _default_doc(query: protocol.Query) -> tuple[str, ...]:
    does = {
        ":one": "and return its row",
        ":many": "and return its rows",
        ":execrows": "and return the number of rows it touched",
        ":execresult": "and return the command's status",
        ":copyfrom": "with the COPY protocol and return the number of rows",
        ":batchexec": "for each of the rows, all or none",
        ":batchone": "for each of the rows, one after another, and return a row of each",
        ":batchmany": "for each of the rows, one after another, and return the rows of each",
    }
    return (" ".join(("Run", query.name, does.get(query.cmd, ""))).strip() + ".",)


def _surely_one(self: Builder) -> bool:
    """Whether a query that is no INSERT without doubts surely has a row."""
    if self.query.insert_into is None:
        return bool(self.analysis and self.analysis.one_row)
    return always_one_row(self.query.text)


def _arguments(self: Builder, constant: str) -> tuple[list[ir.Argument], list[ir.Bind]]:
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
                arguments[batch.argument] = _batch_argument(batch.argument, batch.model, constant)
            _refuse_twice(made.name, columns)
            columns[made.name] = made
            binds.append(_bind(batch.argument, of, made.name))
        else:
            argument = _argument(name, of, constant)
            _refuse_twice(argument.name, arguments)
            arguments[argument.name] = argument
            binds.append(_bind(argument.name, of))
    if batch:
        if not columns:
            raise Refused(f"-- py: batch {batch.argument}: the query has no array parameters")
        doc = (f"One of the `{batch.argument}` of {self.query.name}.",)
        self.names.share(ir.Model(batch.model, doc, tuple(columns.values()), is_input=True))
    return list(arguments.values()), binds


def _bind(name: str, of: Type, column: str = "") -> ir.Bind:
    encode = of.base.encode
    nullable = of.nullable or bool(of.dims) or encode != "json_text:JsonValue"
    return ir.Bind(name, column, encode, of.dims, nullable)


def _refuse_twice(name: str, there: Container[str]) -> None:
    if name in there:
        raise Refused(f"two parameters would be called {name}; name one of them with sqlc.arg(…)")


def _batch_argument(name: str, model: str, constant: str) -> ir.Argument:
    if naming.argument_name(name, constant) != name:
        raise Refused(f"-- py: batch {name}: an argument cannot be called that")
    annotation = f"Sequence[models.{model}]"
    return ir.Argument(name, annotation, ir.Field(naming.field_name(name), f"list[models.{model}]"))


def _argument(name: str, of: Type, constant: str) -> ir.Argument:
    return ir.Argument(
        name=naming.argument_name(name, constant),
        annotation=of.argument,
        field=_input_field(name, of),
        aware=of.base.aware,
    )


def _input_field(name: str, of: Type) -> ir.Field:
    python = naming.field_name(name)
    alias = name if python != name else ""
    return ir.Field(python, of.field, alias, default_none=of.nullable)


def _parameter_types(self: Builder) -> dict[str, Type]:
    """Return the types of the parameters by name, in order; all problems are reported."""
    types: dict[str, Type] = {}
    arrays: set[int] = set()
    for parameter in self.query.parameters:
        with self.report.catch(self.where):
            name, of = _parameter(self, parameter)
            if name in types:
                raise Refused(f"two parameters would be called {name}; {_NAME_THEM}")
            types[name] = of
            if of.dims:
                arrays.add(parameter.number)
    for number in scalars_in_any(self.query.text, arrays) if types else ():
        self.report.add(
            self.where,
            f"${number} in ANY(…) is not known as an array; cast it: ANY(${number}::text[])",
        )
    for name in self.says.params:
        if name not in {each.column.name for each in self.query.parameters}:
            self.report.add(self.where, f"-- py: param {name}: there is no parameter of that name")
    return types


def _parameter(self: Builder, parameter: protocol.Parameter) -> tuple[str, Type]:
    column = parameter.column
    if not column.name:
        raise Refused(f"parameter ${parameter.number} has no name; {_NAME_THEM}")
    if not re.match(r"\w", column.name):
        raise Refused(
            f"sqlc reads the name of ${parameter.number} as {column.name!r}; write sqlc.arg(name) "
            "in place of @name"
        )
    try:
        of = _said_type(self, column, parameter.number)
    except AlreadyReported:
        raise
    except Refused as error:
        raise Refused(f"parameter {column.name}: {error}") from None
    return column.name, Type(of.base, dims=1) if column.is_slice else of


def _said_type(self: Builder, column: protocol.Column, number: int) -> Type:
    """Return the type of a parameter; one that a directive gives need not be known to sqlc."""
    said = self.says.params.get(column.name)
    if self.analysis is None and not column.is_slice:
        _must_be_cast(self, number)
    elif self.analysis and number in self.analysis.untyped:
        later = self.analysis.params.get(number)
        kind = later.spelled if later and later.type else "text"
        raise Refused(
            "it has no type where it first stands, so that PostgreSQL refuses the query; cast it "
            f"there, as in @{column.name}::{kind}"
        )
    elif self.analysis and number in self.analysis.ambiguous_params:
        one, other = self.analysis.ambiguous_params[number]
        kind = one if other in STRINGS else other  # a text is less, where it is not cast
        raise Refused(
            f"PostgreSQL refuses the query, as it would be both {one} and {other}; cast it "
            f"everywhere to one of them, as in @{column.name}::{kind}"
        )
    elif self.analysis and number in self.analysis.type_errors:
        says = self.analysis.type_errors[number].format(name=column.name)
        raise Refused(f"PostgreSQL refuses the query: {says}")
    if self.analysis and not column.is_slice and (said is None or number in self.analysis.params):
        column = parameter_column(self.catalog, column, self.analysis.params.get(number))
    if said is None:
        return self.catalog.column_type(column)
    try:
        known = self.catalog.column_type(column)
    except Refused:
        known = None
    return self.catalog.text_type(said, known, column.type.name)


def _must_be_cast(self: Builder, number: int) -> None:
    """Refuse a parameter whose type only sqlc would know, which it does not always."""
    if not re.search(rf"\${number}\s*::|CAST\(\s*\${number}\s", self.query.text, re.IGNORECASE):
        raise Refused(
            "the statement is not understood; cast each of its parameters, as in @x::text"
        )


def _copy(self: Builder, parameters: Mapping[int, ir.Field]) -> ir.Copy:
    """Return the columns that an INSERT of parameters fills; these are known by number."""
    body = self.analysis.query.body if self.analysis else None
    if not isinstance(body, nodes.Dml) or body.kind != "insert" or body.source is None:
        raise Refused(":copyfrom goes with INSERT INTO … (…) VALUES (…)")
    values = body.source.body
    rows = values.rows if isinstance(values, nodes.Values) else ()
    plain = [each for row in rows for each in row if isinstance(each, nodes.Param)]
    if len(rows) != 1 or len(plain) != len(rows[0]) or body.returning or body.conflict:
        raise Refused(
            ":copyfrom inserts one row of parameters, without RETURNING and ON CONFLICT; use "
            ":batchexec, or unnest(…) with -- py: batch"
        )
    if unknown := [each.number for each in plain if each.number not in parameters]:
        raise Refused(f"sqlc has no type of parameter ${unknown[0]}; write sqlc.arg(name)")
    fields = [parameters[each.number] for each in plain]
    table = self.catalog.schema.table(body.target.parts)
    names = tuple(each.name for each in fields)
    columns = (body.columns or tuple(table[1] if table else ()))[: len(names)]
    for each in columns:
        kind = table[1].get(each) if table else None
        _check_copied(self, each, kind.type if kind else "")
    *schemas, target = body.target.parts
    return ir.Copy(schemas[-1] if schemas else "", target, columns, names)


def _check_copied(self: Builder, column: str, kind: str) -> None:
    """Refuse to copy what the driver has no binary codec for."""
    options = self.catalog.options
    bare = self.catalog.domain_base(kind).rpartition(".")[2]
    if bare in JSON_TYPES and options.json == "codec":
        raise Refused(
            f"column {column}: a codec for json in the text format cannot be copied with; use "
            ":batchexec, or unnest(…) with -- py: batch, or see the option json"
        )
    if bare in VECTOR_TYPES and options.vector == "list":
        raise Refused(
            f"column {column}: without pgvector's codec a vector cannot be copied; use :batchexec, "
            "or the option vector: pgvector"
        )


def _params(self: Builder, arguments: list[ir.Argument]) -> ir.Model | None:
    limit = self.catalog.options.query_parameter_limit
    many = self.query.cmd == ":copyfrom" or self.query.cmd.startswith(":batch")
    if many and (not self.query.parameters or self.says.batch):
        raise Refused(f"{self.query.cmd} needs parameters, and no -- py: batch")
    if not many and (limit is None or len(arguments) <= limit):
        return None
    doc = (f"The parameters of {self.query.name}.",)
    model = ir.Model(
        f"{self.title}Params", doc, tuple(each.field for each in arguments), is_input=True
    )
    self.models.append(model)
    return model
