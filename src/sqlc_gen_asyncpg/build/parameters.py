"""The parameters of a query: the arguments of its function, and the value of each `$n`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import ir, naming
from sqlc_gen_asyncpg.build.query_types import assigned_type, parameter_column
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.infer.type_errors import STRINGS
from sqlc_gen_asyncpg.name_rules import check_name
from sqlc_gen_asyncpg.pytypes import Type
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from collections.abc import Container

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.context import QueryContext
    from sqlc_gen_asyncpg.build.query_types import Analysis

__all__ = ["arguments_and_binds", "params_model"]

_NAME_PARAMETERS: Final = (
    "write sqlc.arg(name), or @name, for each parameter of the query, or see the option "
    "unnamed_parameters"
)


def arguments_and_binds(
    context: QueryContext, constant: str
) -> tuple[list[ir.Argument], list[ir.Bind]]:
    """Return the arguments of a query's function, and the value of each of its parameters.

    `constant` is the name of the function's SQL. All problems with the types are reported.

    Raises:
        Refused: two arguments would have one name, or the directive `batch` does not fit.

    """
    arguments: dict[str, ir.Argument] = {}
    binds: list[ir.Bind] = []
    columns: dict[str, ir.Field] = {}
    batch = context.directives.batch
    for name, py_type in _parameter_types(context).items():
        if batch and py_type.dims == 1:
            field = _input_field(name, py_type.element())
            if not columns:
                _check_free(batch.argument, arguments)
                arguments[batch.argument] = _batch_argument(batch.argument, batch.model, constant)
            _check_free(field.name, columns)
            columns[field.name] = field
            binds.append(_bind(batch.argument, py_type, field.name))
        else:
            optional = py_type.nullable and name in context.optional
            argument = _argument(name, py_type, constant, optional=optional)
            _check_free(argument.name, arguments)
            arguments[argument.name] = argument
            binds.append(_bind(argument.name, py_type))
    if batch:
        if not columns:
            message = f"-- py: batch {batch.argument}: the query has no array parameters"
            raise Refused(message, directive="batch")
        doc = (f"One of the `{batch.argument}` of {context.query.name}.",)
        base = context.catalog.overrides.input_base_class
        model = ir.Model(batch.model, doc, tuple(columns.values()), is_input=True, base=base)
        context.named_models.share(model)
    return list(arguments.values()), binds


def params_model(context: QueryContext, arguments: list[ir.Argument]) -> ir.Model | None:
    """Return the Params model of a query with rows of parameters or with very many of them."""
    limit = context.catalog.options.query_parameter_limit
    command = context.query.cmd
    takes_rows = command == ":copyfrom" or command.startswith(":batch")
    if takes_rows and (not context.query.parameters or context.directives.batch):
        raise Refused(f"{command} needs parameters, and no -- py: batch")
    if not takes_rows and (limit is None or len(arguments) <= limit):
        return None
    doc = (f"The parameters of {context.query.name}.",)
    fields = tuple(argument.field for argument in arguments)
    base = context.catalog.overrides.input_base_class
    model = ir.Model(f"{context.title}Params", doc, fields, is_input=True, base=base)
    context.models.append(model)
    return model


def _bind(argument: str, py_type: Type, column: str = "") -> ir.Bind:
    encode = py_type.base.encode
    nullable = py_type.nullable or bool(py_type.dims) or encode != "json_text:JsonValue"
    return ir.Bind(argument, column, encode, py_type.dims, nullable)


def _check_free(name: str, existing: Container[str]) -> None:
    if name in existing:
        raise Refused(f"two parameters would be called {name}; name one of them with sqlc.arg(…)")


def _batch_argument(name: str, model: str, constant: str) -> ir.Argument:
    try:
        check_name(name, "argument", {constant})
    except Refused as error:
        message = f"-- py: batch {name} {model}: {error}"
        raise Refused(message, directive="batch") from None
    annotation = f"Sequence[models.{model}]"
    return ir.Argument(name, annotation, ir.Field(naming.field_name(name), f"list[models.{model}]"))


def _argument(name: str, py_type: Type, constant: str, *, optional: bool) -> ir.Argument:
    return ir.Argument(
        name=naming.argument_name(name, constant),
        annotation=py_type.argument,
        field=_input_field(name, py_type),
        aware=py_type.base.aware,
        optional=optional,
    )


def _input_field(name: str, py_type: Type) -> ir.Field:
    field_name = naming.field_name(name)
    alias = name if field_name != name else ""
    return ir.Field(field_name, py_type.field, alias, default_none=py_type.nullable)


def _parameter_types(context: QueryContext) -> dict[str, Type]:
    """Return the types of the parameters by name, in order; all problems are reported."""
    types: dict[str, Type] = {}
    arrays: set[int] = set()
    for parameter in context.query.parameters:
        with context.report.catch(context.place_of_parameter(parameter.number)):
            name, py_type = _parameter(context, parameter)
            if name in types:
                raise Refused(f"two parameters would be called {name}; {_NAME_PARAMETERS}")
            types[name] = py_type
            if py_type.dims:
                arrays.add(parameter.number)
    for number in sorted(_compared_with_any(context.analysis) - arrays) if types else ():
        context.report.add(
            context.place_of_parameter(number),
            f"${number} in ANY(…) must be an array; cast it: ANY(${number}::text[])",
        )
    names = {parameter.column.name for parameter in context.query.parameters}
    for name in context.directives.params:
        if name not in names:
            message = f"-- py: param {name}: there is no parameter of that name"
            context.report.add(context.where.of_directive(f"param {name}"), message)
    return types


def _compared_with_any(analysis: Analysis | None) -> set[int]:
    """Return the numbers of the parameters that are the operand of ANY or ALL."""
    parts = nodes.walk(analysis.query, queries=True) if analysis else ()
    return {
        part.right.number
        for part in parts
        if isinstance(part, nodes.Quantified) and isinstance(part.right, nodes.Param)
    }


def _parameter(context: QueryContext, parameter: protocol.Parameter) -> tuple[str, Type]:
    column = parameter.column
    if not column.name:
        raise Refused(f"parameter ${parameter.number} has no name; {_NAME_PARAMETERS}")
    if not re.match(r"\w", column.name):
        raise Refused(
            f"sqlc reads the name of ${parameter.number} as {column.name!r}; write sqlc.arg(name) "
            "in place of @name"
        )
    try:
        py_type = _parameter_type(context, column, parameter.number)
    except AlreadyReported:
        raise
    except Refused as error:
        cause = f"param {column.name}" if column.name in context.directives.params else ""
        raise Refused(f"parameter {column.name}: {error}", directive=cause) from None
    return column.name, Type(py_type.base, dims=1) if column.is_slice else py_type


def _parameter_type(context: QueryContext, column: protocol.Column, number: int) -> Type:
    """Return the type of a parameter; with a directive sqlc's type may be unknown."""
    directive = context.directives.params.get(column.name)
    analysis = context.analysis
    if analysis:
        _check_types(analysis, column.name, number)
        if not column.is_slice and (directive is None or number in analysis.params):
            column = parameter_column(context.catalog, column, analysis.params.get(number))
    elif not column.is_slice:
        _check_cast(context, number)
    if directive is None:
        py_type = context.catalog.column_type(column)
        assigned = analysis.assigned.get(number) if analysis else None
        py_type = assigned_type(context.catalog, column, assigned, py_type)
        return py_type.with_null(nullable=_may_be_none(context, column, number))
    try:
        inferred = context.catalog.column_type(column)
    except Refused:
        inferred = None
    return context.catalog.text_type(directive, inferred, column.type.name)


def _may_be_none(context: QueryContext, column: protocol.Column, number: int) -> bool:
    analysis = context.analysis
    if analysis is None:
        return not column.not_null
    value = analysis.params.get(number)
    required = value is not None and context.catalog.schema.requires(value)
    return number in analysis.none_params and not required


def _check_types(analysis: Analysis, name: str, number: int) -> None:
    """Refuse a parameter for which the server would refuse the query."""
    if number in analysis.untyped:
        later = analysis.params.get(number)
        cast = later.spelled if later and later.type else "text"
        raise Refused(
            "it has no type where it first occurs, so that PostgreSQL refuses the query; cast it "
            f"there, as in @{name}::{cast}"
        )
    if number in analysis.ambiguous_params:
        one, other = analysis.ambiguous_params[number]
        cast = one if other in STRINGS else other  # the text type is implied without a cast
        raise Refused(
            f"PostgreSQL refuses the query, as it would be both {one} and {other}; cast it "
            f"everywhere to one of them, as in @{name}::{cast}"
        )
    if number in analysis.type_errors:
        message = analysis.type_errors[number].format(name=name)
        raise Refused(f"PostgreSQL refuses the query: {message}")


def _check_cast(context: QueryContext, number: int) -> None:
    """Refuse a parameter of a statement that cannot be read, unless a cast gives its type."""
    cast = rf"\${number}\s*::|CAST\(\s*\${number}\s"
    if not re.search(cast, context.query.text, re.IGNORECASE):
        raise Refused(
            "the statement cannot be read; cast every parameter and every column, as in @x::text"
        )
