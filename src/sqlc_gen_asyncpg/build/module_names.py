"""The names of each generated module: no two things have one name, and no field hides a type.

The imports of `models.py` and `enums.py` give way to classes of the same name. In the module of a
query file every other name is usable beside the imports of generated code, and a type of the
application is imported under its own name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.ir import LOOKUP_BATCHES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlc_gen_asyncpg import ir
    from sqlc_gen_asyncpg.build.query import BuiltQuery
    from sqlc_gen_asyncpg.errors import Place, Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["check_models", "check_module"]

_NAME: Final = re.compile(r"(?<![\w.])[^\W\d]\w*")


@dataclass(slots=True)
class _ModuleNames:
    """The names of one module, each with the thing that has it."""

    report: Report
    module: str
    owners: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, owner: str, key: str, place: str | Place = "") -> bool:
        """Add a name; report it if it is taken, with `key` as the name to change in `rename`."""
        other = self.owners.get(name)
        if other:
            self.report.add(
                place or self.module,
                f"{owner} would be called {name}, as {other} is; rename one: rename: {{{key}: …}}",
            )
        self.owners[name] = owner
        return not other


def check_module(
    filename: str, queries: list[BuiltQuery], catalog: Catalog, report: Report
) -> None:
    """Report the names of a query file's module that two of its things would have."""
    imports = catalog.overrides.imports
    names = _ModuleNames(report, filename, {name: f"{name} of an override" for name in imports})
    if any(built.function.lookup for built in queries):
        names.add(LOOKUP_BATCHES, "the table of -- py: lookup", LOOKUP_BATCHES)
    for built in queries:
        function, place = built.function, built.place
        key = function.query
        owner = f"query {key}"
        if function.constant == function.name and not function.order:
            report.add(
                place,
                f"the function and the constant of its SQL would both be called {function.name}, "
                f"which has no small letters; rename the query: rename: {{{key}: …}}",
            )
        elif names.add(function.name, owner, key, place) and not function.order:
            names.add(function.constant, owner, key, place)
        if function.order:
            names.add(function.order.title, f"the order of {key}", key, place)
            for choice in function.order.choices:
                names.add(choice.constant, f"an order of {key}", key, place)
        if function.lookup:
            names.add(function.lookup.constant, f"the batch of {key}", key, place)
        if function.iterator:
            names.add(f"iter_{function.name}", f"the iterator of {key}", key, place)
        for model in built.models:
            names.add(model.name, f"a model of query {key}", key, place)
            _check_fields(place, model, catalog, report)


def check_models(
    catalog: Catalog, tables: Iterable[tuple[str, str]], named: Iterable[ir.Model], report: Report
) -> None:
    """Report the problems of these tables, and the names in `models.py` that are taken twice."""
    names = _ModuleNames(report, "models")
    for key in tables:
        table = catalog.tables[key]
        for problem in table.problems:
            report.add_line(problem)
        full_name = catalog.full_name(key)
        place = catalog.positions.place("models", "relation", *key)
        names.add(table.model.name, f"table {full_name}", full_name, place)
        _check_fields(place, table.model, catalog, report, inside_models=True)
    for model in named:
        names.add(model.name, f"the model {model.name} of a -- py: line", model.name)
        _check_fields("models", model, catalog, report, inside_models=True)


def _check_fields(
    where: str | Place,
    model: ir.Model,
    catalog: Catalog,
    report: Report,
    *,
    inside_models: bool = False,
) -> None:
    """Report fields that hide a type of an annotation, or are the column of another field."""
    fields = {model_field.name for model_field in model.fields}
    for model_field in model.fields:
        # The value of one would be taken for the other.
        if model_field.alias in fields - {model_field.name}:
            report.add(
                where,
                f"{model.name}: the field {model_field.alias} has the name of a column whose field "
                f"is {model_field.name}; give it another name: rename: {{…}}",
            )
    used: set[str] = set()
    for model_field in model.fields:
        annotation = model_field.annotation
        used.update(
            _NAME.findall(annotation.replace("models.", "") if inside_models else annotation)
        )
    for name in (model_field.name for model_field in model.fields):
        imported = catalog.overrides.imports.get(name)
        if name in used and imported:
            report.add(
                where,
                f"{model.name}: field {name} has the name of {imported}.{name} of an "
                "override; import that under another name",
            )
        elif name in used:
            report.add(
                where,
                f"{model.name}: field {name} has the name of the class {name}, which an "
                "annotation needs; give the class another name: rename: {…}",
            )
