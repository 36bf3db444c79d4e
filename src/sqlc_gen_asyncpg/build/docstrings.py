"""The option docstrings: which of them are written, and what they hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir

__all__ = ["documented"]


def documented(package: ir.Package, docstrings: str) -> ir.Package:
    """Return the package with the docstrings that are wanted: comments, sql or none.

    A module keeps the one line that says what it is.
    """
    if docstrings == "sql":
        modules = tuple(
            replace(each, functions=tuple(_with_sql(function) for function in each.functions))
            for each in package.modules
        )
        return replace(package, modules=modules)
    if docstrings == "comments":
        return package
    modules = tuple(
        replace(
            each,
            functions=tuple(replace(function, doc=()) for function in each.functions),
            models=tuple(replace(model, doc=()) for model in each.models),
        )
        for each in package.modules
    )
    return replace(
        package,
        enums=tuple(replace(each, doc=()) for each in package.enums),
        models=tuple(replace(each, doc=()) for each in package.models),
        modules=modules,
    )


def _with_sql(function: ir.Function) -> ir.Function:
    """Return it with its statement under its documentation; :copyfrom runs none."""
    if function.copy:
        return function
    _, _, statement = function.sql.partition("\n")
    return replace(function, doc=(*function.doc, "", "```sql", *statement.splitlines(), "```"))
