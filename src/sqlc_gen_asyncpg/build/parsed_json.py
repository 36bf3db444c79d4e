"""The directive `json`: a property of a model with the parsed JSON of a text column."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import ir
from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg.build.context import QueryContext

__all__ = ["add_parsed_json", "apply_parsed_json"]

_PREFIX = "models."


def add_parsed_json(context: QueryContext, result: ir.Scalar | ir.Record | None) -> None:
    """Add the properties of a query's `json` directives to the model of its rows.

    Raises:
        Refused: a column is absent or no text, or the model has a field of the property's name.

    """
    for name in context.directives.json:
        line = f"-- py: json {name}"
        if not isinstance(result, ir.Record):
            message = f"{line}: the result is no row with a model; select two columns or more"
            raise Refused(message, directive=f"json {name}")
        local = {model.name: index for index, model in enumerate(context.models)}
        model_name = result.model.removeprefix(_PREFIX)
        if result.model in local:
            index = local[result.model]
            model = context.models[index]
            added = _add(model, _property(context, model, name, line))
            context.models[index] = added
        else:
            model = context.named_models.models[model_name]
            parsed = context.named_models.parsed.setdefault(model_name, {})
            new = _property(context, model, name, line)
            parsed[new.name] = new


def apply_parsed_json(
    models: tuple[ir.Model, ...], parsed: Mapping[str, Mapping[str, ir.ParsedJson]]
) -> tuple[ir.Model, ...]:
    """Return the models of a package with their properties, by the name of the model."""
    return tuple(
        replace(model, parsed=tuple(sorted(parsed[model.name].values(), key=lambda one: one.name)))
        if model.name in parsed
        else model
        for model in models
    )


def _add(model: ir.Model, new: ir.ParsedJson) -> ir.Model:
    return replace(model, parsed=(*(one for one in model.parsed if one.name != new.name), new))


def _property(context: QueryContext, model: ir.Model, name: str, line: str) -> ir.ParsedJson:
    field = next((each for each in model.fields if name in {each.name, each.alias}), None)
    if field is None:
        message = f"{line}: the row has no column of that name; it has {_names(model)}"
        raise Refused(message, directive=f"json {name}")
    if field.annotation not in {"str", "str | None"}:
        raise Refused(
            f"{line}: the column is {field.annotation}, and the line is for text; the driver "
            "parses json itself",
            directive=f"json {name}",
        )
    parsed = f"parsed_{field.name}"
    # The class body uses the built-in property below its fields.
    for taken in (parsed, "property"):
        if any(taken in {each.name, each.alias} for each in model.fields):
            raise Refused(
                f"{line}: {model.name} has a field {taken}; give that column another name with AS, "
                "or with the option rename",
                directive=f"json {name}",
            )
    tables = context.catalog.tables
    table = next((key for key in tables if tables[key].model.name == model.name), None)
    owner = context.catalog.full_name(table) if table else model.name
    column = f"{owner}.{name}"
    return ir.ParsedJson(parsed, field.name, column, context.catalog.overrides.json_error)


def _names(model: ir.Model) -> str:
    return ", ".join(field.alias or field.name for field in model.fields)
