"""The state of one query while it becomes a function."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import Refused
from sqlc_gen_asyncpg.sql import nodes

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir, protocol
    from sqlc_gen_asyncpg.build.comments import Directives
    from sqlc_gen_asyncpg.build.places import QueryPlace
    from sqlc_gen_asyncpg.build.query_types import Analysis
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["NamedModels", "QueryContext", "field_signature"]


@dataclass(slots=True)
class NamedModels:
    """The models that queries name themselves; equal ones are shared by the whole package."""

    models: dict[str, ir.Model]
    documented: set[str] = field(default_factory=set[str])
    """The models and the fields, as `Model.field`, that have a directive `doc`."""
    parsed: dict[str, dict[str, ir.ParsedJson]] = field(
        default_factory=dict[str, "dict[str, ir.ParsedJson]"]
    )
    """The properties of the directive `json`, by the name of the model."""

    def share(self, model: ir.Model) -> None:
        """Add a model, or check that the existing one of its name has the same fields.

        Raises:
            Refused: the existing model has other fields.

        """
        existing = self.models.setdefault(model.name, model)
        same_fields = field_signature(existing) == field_signature(model)
        if not same_fields or existing.is_input != model.is_input:
            message = f"there is another {model.name} with other fields; rename this one"
            raise Refused(message, directive="batch" if model.is_input else "row")

    def document(self, target: str, lines: tuple[str, ...]) -> None:
        """Set the docstring of a model, or the description of a field, of `Model.field`.

        Raises:
            Refused: the model lacks the field, or another query documents the same.

        """
        if target in self.documented:
            message = f"-- py: doc {target}: another query has this line; write it once"
            raise Refused(message, directive=f"doc {target}")
        self.documented.add(target)
        name, _, field_name = target.partition(".")
        model = self.models[name]
        if not field_name:
            self.models[name] = replace(model, doc=lines)
            return
        if field_name not in {model_field.name for model_field in model.fields}:
            message = f"-- py: doc {target}: {name} has no such field"
            raise Refused(message, directive=f"doc {target}")
        fields = tuple(
            replace(model_field, description=" ".join(lines))
            if model_field.name == field_name
            else model_field
            for model_field in model.fields
        )
        self.models[name] = replace(model, fields=fields)


def field_signature(model: ir.Model) -> list[tuple[str, str, str]]:
    """Return a model's fields without their descriptions, in a fixed order."""
    return sorted((field.name, field.annotation, field.alias) for field in model.fields)


@dataclass(slots=True)
class QueryContext:
    """A query, its directives, its inferred types, and the models that only it uses.

    `optional` are the names of its parameters that are written with sqlc.narg.
    """

    catalog: Catalog
    named_models: NamedModels
    report: Report
    query: protocol.Query
    where: QueryPlace
    directives: Directives
    title: str
    models: list[ir.Model]
    analysis: Analysis | None = None
    optional: frozenset[str] = frozenset()

    def place_of_parameter(self, number: int) -> QueryPlace:
        """Return the place of a parameter; that of the syntax error if the query has one."""
        if self.analysis is None:
            return self.where.of_syntax_error()
        return self.where.of_parameter(number)

    def place_of_column(self, number: int) -> QueryPlace:
        """Return the place of the result with this index, where embedded ones are expanded."""
        if self.analysis is None:
            return self.where.of_syntax_error()
        items = result_items(self.analysis.query.body)
        return self.where.of_token(items[number].start) if number < len(items) else self.where


def result_items(body: nodes.Body) -> tuple[nodes.Item, ...]:
    """Return the expressions of a statement's result, which of a UNION are those of its first."""
    match body:
        case nodes.Select():
            return body.items
        case nodes.Dml():
            return body.returning
        case nodes.SetOp():
            return result_items(body.left.body)
        case _:
            return ()
