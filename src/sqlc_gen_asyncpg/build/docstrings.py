"""The option `docstrings`: none, those of the comments, or with the SQL of each function."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir

__all__ = ["apply_docstrings"]


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
