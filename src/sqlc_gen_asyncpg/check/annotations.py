"""Generated annotations compared with the types of prepared statements on a server."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.check.lookups import lookup_problems
from sqlc_gen_asyncpg.check.schema import ARRAYS_OF_DOMAINS
from sqlc_gen_asyncpg.pytypes import PG_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import asyncpg
    from asyncpg.prepared_stmt import PreparedStatement

    from sqlc_gen_asyncpg.pytypes import PyType

__all__ = ["agrees", "contradictions"]

# Types of the server with the annotations of another type.
_BASES: Final = {"regprocedure": "regclass", "regproc": "regclass", "regnamespace": "regclass"}
# The annotations of vectors if the options leave them without a codec.
_AS_TEXT: Final = {
    *(("float", name) for name in ("halfvec", "vector")),
    *(("list[float]", name) for name in ("halfvec", "vector")),
    ("str", "sparsevec"),
}


async def contradictions(
    connection: asyncpg.Connection[asyncpg.Record], package: ir.Package
) -> list[str]:
    """Return a line for every annotation that differs from the server's type."""
    import asyncpg  # noqa: PLC0415  # not imported when sqlc runs the plugin

    lines: list[str] = []
    domains = {row["oid"]: row["of"] for row in await connection.fetch(ARRAYS_OF_DOMAINS)}
    for module in package.modules:
        models = {f"models.{model.name}": model for model in package.models}
        models.update({model.name: model for model in module.models})
        for function in module.functions:
            where = function.place
            for sql in function.statements:
                try:
                    statement = await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    lines.append(f"{where}: the server refuses it: {error}")
                    continue
                problems = _compare(function, models, statement, domains)
                lines += [f"{where}: {problem}" for problem in problems]
            if function.lookup:
                lines += [
                    f"{where}: -- py: lookup: {problem}"
                    for problem in await lookup_problems(connection, function.sql, function.lookup)
                ]
    return lines


def _compare(
    function: ir.Function,
    models: dict[str, ir.Model],
    statement: PreparedStatement[asyncpg.Record],
    domains: Mapping[int, str],
) -> Iterator[str]:
    takes, returns = list(_parameters(function, models)), list(_columns(function, models))
    parameters = list(statement.get_parameters())
    columns = [attribute.type for attribute in statement.get_attributes()]
    if len(takes) != len(parameters):
        yield f"it passes {len(takes)} parameters, the server takes {len(parameters)}"
    if function.result and len(returns) != len(columns):
        yield f"it reads {len(returns)} columns, the server returns {len(columns)}"
    pairs = [*zip(takes, parameters, strict=False), *zip(returns, columns, strict=False)]
    for (name, annotation), server_type in pairs:
        base = domains.get(server_type.oid)  # the server has an array of a domain as such
        pg_type = server_type._replace(name=f"_{base}") if base else server_type
        if not agrees(annotation, pg_type):
            yield f"{name} is {annotation}, the server has {pg_type.name}"


def _parameters(function: ir.Function, models: dict[str, ir.Model]) -> Iterator[tuple[str, str]]:
    arguments = {argument.name: argument for argument in function.arguments}
    for bind in function.binds:
        argument = arguments[bind.argument]
        annotation = argument.field.annotation
        if bind.column:
            model = models[re.sub(r"^list\[|\]$", "", annotation)]
            annotation = f"list[{_annotation(model, bind.column)}]"
        yield bind.column or bind.argument, annotation


def _columns(function: ir.Function, models: dict[str, ir.Model]) -> Iterator[tuple[str, str]]:
    result = function.result
    if isinstance(result, ir.Scalar):
        yield "the result", result.row
    elif result:
        fields = {field.name: field.annotation for field in models[result.model].fields}
        for part in result.shape:
            if isinstance(part, str):
                yield part, fields[part]
                continue
            model = models[fields[part.name].removesuffix(" | None")]
            for name in part.columns:
                yield f"{part.name}.{name}", _annotation(model, name)


def _annotation(model: ir.Model, name: str) -> str:
    return next(field.annotation for field in model.fields if field.name == name)


def agrees(annotation: str, pg_type: asyncpg.Type) -> bool:
    """Whether this annotation is right for values of this type of the server."""
    plain = annotation.replace(" | None", "").replace("Sequence[", "list[")
    name = pg_type.name
    if pg_type.kind == "array" and not name.startswith("_"):
        name = f"_{name.removesuffix('[]')}"
    while name.startswith("_") and plain.startswith("list["):
        name, plain = name[1:], plain[5:-1]
        while plain.startswith("list[") and "multirange" not in name:
            plain = plain[5:-1]
    known = {text for py_type in PG_TYPES.values() for text in _annotations(py_type)}
    if (plain, name) in _AS_TEXT or plain not in known:
        return True  # an enum, a model or the type of an override, which the server does not have
    base = _BASES.get(name, name)
    return base in PG_TYPES and plain in _annotations(PG_TYPES[base])


def _annotations(py_type: PyType) -> set[str]:
    texts = (py_type.hint, py_type.row, py_type.argument, py_type.field)
    return {text.replace(" | None", "").replace("Sequence[", "list[") for text in texts}
