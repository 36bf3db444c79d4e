"""One query of sqlc's request as one function."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, cast, get_args

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.comments import parse_comments
from sqlc_gen_asyncpg.build.context import QueryContext
from sqlc_gen_asyncpg.build.copy import copy_target
from sqlc_gen_asyncpg.build.docstrings import default_docstring
from sqlc_gen_asyncpg.build.function_rows import expand_function_rows
from sqlc_gen_asyncpg.build.lookups import lookup_batch
from sqlc_gen_asyncpg.build.orders import order_of
from sqlc_gen_asyncpg.build.parameters import arguments_and_binds, params_model
from sqlc_gen_asyncpg.build.parsed_json import add_parsed_json
from sqlc_gen_asyncpg.build.places import QueryPlace
from sqlc_gen_asyncpg.build.query_types import analyse
from sqlc_gen_asyncpg.build.results import query_result
from sqlc_gen_asyncpg.build.slices import mask, rewrite_slices
from sqlc_gen_asyncpg.errors import InternalError, Refused
from sqlc_gen_asyncpg.sql.line_breaks import break_long_lines

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.comments import FileComments
    from sqlc_gen_asyncpg.build.context import NamedModels
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["BuiltQuery", "build_query"]

# The protocol counts the parameters of a statement in 16 bits, the driver in 15.
MAX_PARAMETERS: Final = 32_767
_UNSUPPORTED: Final = {
    ":execlastid": "does not exist on PostgreSQL; use :one with RETURNING",
}
_WITH_RESULT: Final = frozenset({":one", ":many", ":batchone", ":batchmany"})
_MERGE: Final = re.compile(r"\bMERGE\s+INTO\b", re.IGNORECASE)
# A name that sqlc has not replaced by a number.
_LEFT_NAME: Final = re.compile(r"([^\s\w(,]?)(@[A-Za-z_]\w*)|\bsqlc\s*\.\s*n?arg\s*\([^)]*\)")


@dataclass(frozen=True, slots=True)
class BuiltQuery:
    """A function, and the models that only it uses."""

    function: ir.Function
    models: tuple[ir.Model, ...]
    file_doc: tuple[str, ...]
    place: QueryPlace


def build_query(
    query: protocol.Query,
    catalog: Catalog,
    named_models: NamedModels,
    report: Report,
    comments: FileComments | None,
) -> BuiltQuery | None:
    """Return the function of a query; None, with lines in the report, if it is refused.

    Raises:
        InternalError: the generator has a fault.

    """
    where = QueryPlace(query, comments.source if comments else None)
    reported = len(report.problems)
    built = None
    try:
        with report.catch(where):
            built = _build(where, catalog, named_models, report, comments)
    except Exception as error:
        raise InternalError(f"{where}: internal error: {error!r}") from error
    return built if len(report.problems) == reported else None


def _build(
    where: QueryPlace,
    catalog: Catalog,
    named_models: NamedModels,
    report: Report,
    comments: FileComments | None,
) -> BuiltQuery:
    query = where.query
    if catalog.options.unnamed_parameters == "number":
        query = _name_by_number(query)
    query = expand_function_rows(query, catalog.schema)
    directives = parse_comments(query.comments, comments)
    title = naming.camel(query.name)
    context = QueryContext(catalog, named_models, report, query, where, directives, title, [])
    _check_command(context)
    _check_text(context)
    if comments:
        context.optional = comments.optional
    context.analysis = analyse(query, catalog, _declared_nulls(context, has_file=bool(comments)))
    if context.analysis and 0 in context.analysis.type_errors:
        raise Refused(f"PostgreSQL refuses it: {context.analysis.type_errors[0]}")
    function = _function(context)
    _document_models(context)
    add_parsed_json(context, function.result)
    return BuiltQuery(function, tuple(context.models), directives.file_doc, where)


def _document_models(context: QueryContext) -> None:
    """Add the texts of the directives `doc` to the models of `row` and `batch`."""
    directives, catalog = context.directives, context.catalog
    if not directives.model_docs:
        return
    named = {directives.row, directives.batch.model if directives.batch else ""}
    tables = {table.model.name for table in catalog.tables.values()}
    schema_models = tables | catalog.composite_models.keys()
    for target, lines in directives.model_docs.items():
        name = target.partition(".")[0]
        if name not in named or name in schema_models:
            raise Refused(
                f"-- py: doc {target}: {name} must be a model of -- py: row or -- py: batch in "
                "this query; COMMENT ON documents the model of a table",
                directive=f"doc {target}",
            )
        context.named_models.document(target, lines)


def _name_by_number(query: protocol.Query) -> protocol.Query:
    """Name `$1` without a name `dollar_1`, and a second `at` `at_2`."""
    taken: set[str] = set()
    parameters: list[protocol.Parameter] = []
    for parameter in query.parameters:
        column = parameter.column
        name = column.name or f"dollar_{parameter.number}"
        if name in taken:
            name = f"{name}_{parameter.number}"
        taken.add(name)
        if name != column.name:
            column = replace(column, name=name, original_name=column.original_name or column.name)
        parameters.append(replace(parameter, column=column))
    return replace(query, parameters=tuple(parameters))


def _check_command(context: QueryContext) -> None:
    command, directives = context.query.cmd, context.directives
    if command in _UNSUPPORTED:
        raise Refused(f"{command} {_UNSUPPORTED[command]}")
    if command not in get_args(ir.Command):
        raise Refused(f"{command} is not known; there are {', '.join(get_args(ir.Command))}")
    if directives.one and command not in {":one", ":batchone"}:
        message = f"-- py: one! goes with :one and :batchone, not with {command}"
        raise Refused(message, directive="one!")
    if directives.iterator and command != ":many":
        message = f"-- py: iterator goes with :many, not with {command}"
        raise Refused(message, directive="iterator")
    if directives.lookup and command != ":one":
        raise Refused(f"-- py: lookup goes with :one, not with {command}", directive="lookup")
    if directives.order and command not in {":one", ":many"}:
        message = f"-- py: order by goes with :one and :many, not with {command}"
        raise Refused(message, directive="order by")
    if directives.json and command not in _WITH_RESULT:
        message = f"-- py: json goes with :one and :many, not with {command}"
        raise Refused(message, directive="json")
    if directives.row and command not in _WITH_RESULT:
        message = f"-- py: row goes with :one and :many, not with {command}"
        raise Refused(message, directive="row")


def _check_text(context: QueryContext) -> None:
    """Refuse SQL that sqlc reads wrongly, without an error of its own."""
    text = mask(context.query.text)
    if _MERGE.search(text) and (context.query.cmd in _WITH_RESULT or re.search(r"[$@]\w", text)):
        raise Refused(
            "sqlc reads neither parameters nor results of MERGE; write INSERT … ON CONFLICT, or "
            "UPDATE … FROM and INSERT … SELECT"
        )
    if name := _LEFT_NAME.search(text):
        if name[1] and name[1] not in ":[":  # PostgreSQL reads `=@` as one operator
            raise Refused(
                f"{name[2]} is not a parameter here; put a blank before it, or write sqlc.arg",
                offset=name.start(),
            )
        raise Refused(
            f"sqlc does not replace {name[2] or name[0]} there, as in SQL/JSON; name the value in "
            "a subquery: FROM (SELECT @x::text AS x) AS given",
            offset=name.start(2) if name[2] else name.start(),
        )
    if len(context.query.parameters) > MAX_PARAMETERS:
        raise Refused(f"more than {MAX_PARAMETERS:,} parameters; pass arrays and unnest them")


def _declared_nulls(context: QueryContext, *, has_file: bool) -> dict[int, bool]:
    """Return whether a parameter may be None, where a directive or sqlc.narg states it.

    Without the file of the query this is not known, and sqlc's own answer is taken.
    """
    declared: dict[int, bool] = {}
    for parameter in context.query.parameters:
        directive = context.directives.params.get(parameter.column.name)
        if directive:
            declared[parameter.number] = directive.nullable
        elif not has_file or parameter.column.name in context.optional:
            declared[parameter.number] = not parameter.column.not_null
    return declared


def _function(context: QueryContext) -> ir.Function:
    query, options = context.query, context.catalog.options
    name = naming.renamed(options.rename, (query.name,), "function")
    name = name or naming.function_name(query.name, options.initialisms)
    constant = naming.constant_name(name)
    arguments, binds = arguments_and_binds(context, constant)
    params = params_model(context, arguments)
    result = query_result(context) if query.cmd in _WITH_RESULT else None
    slices = {parameter.number for parameter in query.parameters if parameter.column.is_slice}
    text = rewrite_slices(query.text, slices)
    always_row = bool(context.analysis and context.analysis.always_one_row)
    fields = [argument.field for argument in arguments]
    numbers = [parameter.number for parameter in query.parameters]
    copy = None
    if query.cmd == ":copyfrom" and len(fields) == len(numbers):  # some may have been refused
        copy = copy_target(context, dict(zip(numbers, fields, strict=True)))
    sql = f"-- name: {query.name} {query.cmd}\n{text.lstrip()}"
    order = None
    if context.directives.order:
        order = order_of(context, name, sql, {argument.name for argument in arguments})
        choices = (replace(each, sql=break_long_lines(each.sql)) for each in order.choices)
        order = replace(order, choices=tuple(choices))
    lookup = None
    if context.directives.lookup and len(fields) == len(numbers):
        lookup = lookup_batch(context, constant, text.lstrip())
    function = ir.Function(
        copy=copy,
        order=order,
        lookup=lookup,
        query=query.name,
        command=cast("ir.Command", query.cmd),
        name=name,
        constant=constant,
        sql=break_long_lines(sql),
        doc=context.directives.doc,
        arguments=tuple(arguments),
        binds=tuple(binds),
        params=params,
        result=result,
        always_row=query.cmd in {":one", ":batchone"} and (context.directives.one or always_row),
        iterator=query.cmd == ":many" and (options.emit_iterators or context.directives.iterator),
        place=str(context.where),
    )
    return function if function.doc else replace(function, doc=(default_docstring(function),))
