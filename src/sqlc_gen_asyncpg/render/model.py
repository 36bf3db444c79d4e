"""The source of a pydantic model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.render.source import call, docstring, string

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir
    from sqlc_gen_asyncpg.render.imports import Imports

__all__ = ["render_model"]


def render_model(
    model: ir.Model, imports: Imports, base_class: ir.BaseClass, *, inside_models: bool = False
) -> list[str]:
    """Return the lines of the class; inside of models.py other models have their bare names."""
    base = imports.named("Composite" if model.is_composite else model.base or base_class.name)
    if base_class.frozen:  # as an argument of the class, which type checkers read
        base += ", frozen=True"
    lines = [f"class {model.name}({base}):", *([*docstring(model.doc, 4), ""] if model.doc else [])]
    config = _config(model)
    if config:
        config_dict = imports.named("ConfigDict")
        lines += [*call(f"model_config = {config_dict}(", config, ")", 4), ""]
    if model.parsed:
        lines += ['    __slots__ = ("_parsed_json",)', ""]
    for field in model.fields:
        annotation = imports.named(field.annotation)
        if inside_models:
            annotation = annotation.replace("models.", "")
        lines += _field(field, annotation, imports)
    for parsed in model.parsed:
        lines += _parsed(parsed, imports, documented=bool(model.doc))
    while not lines[-1]:
        lines.pop()
    return lines if len(lines) > 1 else [*lines, "    pass"]


def _config(model: ir.Model) -> list[str]:
    config: list[str] = []
    if model.is_input:
        config.append('extra="forbid"')
    if any(field.alias for field in model.fields):
        config += ["validate_by_alias=True", "validate_by_name=True"]
    if any("Decimal" in field.annotation for field in model.fields):
        config.append("allow_inf_nan=True")
    if any(field.name.startswith(("model_dump", "model_validate")) for field in model.fields):
        config.append("protected_namespaces=()")
    return config


def _field(field: ir.Field, annotation: str, imports: Imports) -> list[str]:
    head = f"{field.name}: {annotation}"
    items: list[str] = []
    if field.alias:
        alias = string(field.alias)
        items += [f"validation_alias={alias}", f"serialization_alias={alias}"]
    if field.description:
        items.append(f"description={string(field.description)}")
    if not items:
        return [f"    {head} = None" if field.default_none else f"    {head}"]
    if field.default_none:
        items.insert(0, "default=None")
    return call(f"{head} = {imports.named('Field')}(", items, ")", 4)


def _parsed(parsed: ir.ParsedJson, imports: Imports, *, documented: bool) -> list[str]:
    function, error = imports.named("parsed_json"), imports.named(parsed.error)
    arguments = ["self", string(parsed.field), string(parsed.column), error]
    doc = (
        f"The JSON of {parsed.field}, parsed at the first access; do not change it.",
        "",
        f"Raises {error} if the text is not JSON.",
    )
    return [
        "",
        "    @property",
        f"    def {parsed.name}(self) -> {imports.named('JsonValue')}:",
        *docstring(doc if documented else (), 8),
        *call(f"return {function}(", arguments, ")", 8),
    ]
