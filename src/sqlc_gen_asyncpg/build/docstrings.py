"""The docstrings of functions: those of queries without a comment, and the option `docstrings`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlc_gen_asyncpg import ir

__all__ = ["apply_docstrings", "default_docstring"]

_WITHOUT_RESULT: Final = {
    ":exec": "Run {query}.",
    ":execrows": "Run {query} and return the number of affected rows.",
    ":execresult": "Run {query} and return the status of the command.",
    ":copyfrom": "Run {query} with the COPY protocol and return the number of rows.",
    ":batchexec": "Run {query} for each of the rows, all or none.",
}


def default_docstring(function: ir.Function) -> str:
    """Return the docstring of a query without a comment: the result, and the meaning of None."""
    query, result = function.query, function.result
    if result is None:
        return _WITHOUT_RESULT[function.command].format(query=query)
    if isinstance(result, ir.Scalar) and result.hint == "None":
        return f"Run {query}."
    noun = "value" if isinstance(result, ir.Scalar) else "row"
    match function.command:
        case ":one":
            return f"Run {query} and return its {noun}{_none_of_one(function, result)}."
        case ":many":
            return f"Run {query} and return its {noun}s."
        case ":batchone":
            none = "" if function.always_row and not _is_nullable(result) else " or None"
            return f"Run {query} once per row and return a {noun}{none} for each."
        case _:
            return f"Run {query} once per row and return the {noun}s for each."


def _none_of_one(function: ir.Function, result: ir.Scalar | ir.Record) -> str:
    """Return the meaning of None as the result of a query of at most one row."""
    if function.always_row:
        return ", or None if it is NULL" if _is_nullable(result) else ""
    if _is_nullable(result):
        return ", or None if it is NULL or there is no row"
    return ", or None if there is " + ("none" if isinstance(result, ir.Record) else "no row")


def _is_nullable(result: ir.Scalar | ir.Record) -> bool:
    return isinstance(result, ir.Scalar) and result.nullable


def apply_docstrings(package: ir.Package, docstrings: str) -> ir.Package:
    """Return the package with the docstrings of the option: comments, sql or none.

    A module always has its one line.
    """
    if docstrings == "sql":
        modules = tuple(
            replace(module, functions=tuple(_with_sql(function) for function in module.functions))
            for module in package.modules
        )
        return replace(package, modules=modules)
    if docstrings == "comments":
        return package
    modules = tuple(
        replace(
            module,
            functions=tuple(replace(function, doc=()) for function in module.functions),
            models=tuple(replace(model, doc=()) for model in module.models),
        )
        for module in package.modules
    )
    return replace(
        package,
        enums=tuple(replace(enum, doc=()) for enum in package.enums),
        models=tuple(replace(model, doc=()) for model in package.models),
        modules=modules,
    )


def _with_sql(function: ir.Function) -> ir.Function:
    """Add a function's statement to its documentation; :copyfrom runs none."""
    if function.copy:
        return function
    _, _, statement = function.sql.partition("\n")
    return replace(function, doc=(*function.doc, "", "```sql", *statement.splitlines(), "```"))
