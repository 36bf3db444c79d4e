"""From sqlc's request to the plan of what is written, or to all that is wrong with it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import SQLC_VERSION, ir, naming
from sqlc_gen_asyncpg.build.context import Names
from sqlc_gen_asyncpg.build.docstrings import documented
from sqlc_gen_asyncpg.build.query import Built, build_query
from sqlc_gen_asyncpg.build.queryfiles import read_layouts
from sqlc_gen_asyncpg.build.unused_options import check_unused
from sqlc_gen_asyncpg.errors import GeneratorError, Report
from sqlc_gen_asyncpg.options import parse_options
from sqlc_gen_asyncpg.schema.catalog import read_catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.queryfiles import Layout
    from sqlc_gen_asyncpg.options import Options
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["build"]

MODULES: Final = frozenset({
    "__init__", "dbtx", "enums", "models", "pgcomposites", "pgconverters", "pgcopy", "pgdriver",
    "pghalfvectors", "pgvalues", "pgvectors",
})  # fmt: skip


@dataclass(slots=True)
class _Taken:
    """The names of one module, and what has them."""

    report: Report
    module: str
    names: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, what: str, key: str) -> bool:
        """Note a name; if it is taken, that is a problem, and `key` is what to rename."""
        other = (
            "an import of the generated code" if name in naming.RESERVED else self.names.get(name)
        )
        if other:
            self.report.add(
                self.module,
                f"{what} would be called {name}, as {other} is; rename one: rename: {{{key}: …}}",
            )
        self.names[name] = what
        return not other


def build(request: protocol.Request, directory: str = "") -> ir.Package:
    """Return the package to write; GeneratorError with all that is wrong.

    The schema's files are looked for in `directory`, sqlc's own if it is empty.
    """
    options = parse_options(request.options)
    _check_request(request, options)
    report = Report()
    catalog = read_catalog(request, options, report, directory)
    tables = {table.model.name: table.model for table in catalog.tables.values()}
    _check_composites(catalog, report)
    names = Names({**tables, **catalog.composite_models})
    layouts = read_layouts(request.query_paths, directory)
    modules = _modules(request, catalog, names, report, layouts)
    check_unused(catalog, request, report)
    named = [model for name, model in sorted(names.models.items()) if name not in tables]
    written = _written(catalog, named, modules)
    _check_models(catalog, written, named, report)
    for module in modules:
        for model in (each for each in module.models if catalog.imports):
            _check_fields(module.filename, model, catalog, report)
    report.raise_if_any()
    models = [catalog.tables[key].model for key in written]
    package = ir.Package(
        name=options.package,
        sqlc_version=request.sqlc_version,
        str_enum=options.emit_str_enum,
        enums=tuple(catalog.enums[name] for name in sorted(catalog.enums)),
        models=(
            *catalog.composite_models.values(),
            *sorted(models, key=lambda each: each.name),
            *(each for each in named if not each.is_composite),
        ),
        modules=modules,
        imports=dict(sorted(catalog.imports.items())),
        converters=_converters(catalog),
    )
    return documented(package, options.docstrings)


def _check_composites(catalog: Catalog, report: Report) -> None:
    for key, table in catalog.tables.items():
        name = table.model.name
        if name in catalog.composite_models:
            report.add(
                "models",
                f"a type and a table would both be {name}; rename the table: "
                f"rename: {{{catalog.full_name(key)}: …}}",
            )


def _converters(catalog: Catalog) -> tuple[ir.Converter, ...]:
    found = [
        ir.Converter(of.hint, of.row, of.field, each.from_db.rpartition(".")[2], of.encode)
        for each in catalog.options.converters
        for of in (catalog.converters[each.name],)
    ]
    return tuple(sorted(found, key=lambda each: each.row))


def _written(
    catalog: Catalog, named: list[ir.Model], modules: tuple[ir.Module, ...]
) -> list[tuple[str, str]]:
    """Return the tables whose models are written: all, or those that a query returns."""
    keys = sorted(catalog.tables)
    if not catalog.options.omit_unused_models:
        return keys
    used = set(re.findall(r"\bmodels\.(\w+)", _annotations(named, modules)))
    return [key for key in keys if catalog.tables[key].model.name in used]


def _check_request(request: protocol.Request, options: Options) -> None:
    if request.engine != "postgresql":
        raise GeneratorError([f"sqlc.yaml: engine must be postgresql, not {request.engine}"])
    if options.strict and request.sqlc_version.removeprefix("v") != SQLC_VERSION.removeprefix("v"):
        raise GeneratorError(
            [
                (
                    f"sqlc: this is {request.sqlc_version}, the generator knows {SQLC_VERSION}; "
                    "install that one, or set the option strict: false"
                )
            ]
        )


def _modules(
    request: protocol.Request,
    catalog: Catalog,
    names: Names,
    report: Report,
    layouts: Mapping[tuple[str, str], Layout],
) -> tuple[ir.Module, ...]:
    files: dict[str, list[Built]] = {}
    modules: dict[str, str] = {}
    for query in request.queries:
        module = naming.module_name(query.filename)
        if modules.setdefault(module, query.filename) != query.filename or module in MODULES:
            other = modules[module] if module not in MODULES else "a generated module"
            report.add(
                query.filename,
                f"its module would be {module}.py, as that of {other}; rename the file",
            )
        layout = layouts.get((query.filename, query.name))
        built = build_query(query, catalog, names, report, layout)
        if built:
            files.setdefault(query.filename, []).append(built)
    found = [
        _module(filename, builts, catalog.imports, report)
        for filename, builts in sorted(files.items())
    ]
    return tuple(found)


def _module(
    filename: str, builts: list[Built], imports: dict[str, str], report: Report
) -> ir.Module:
    taken = _Taken(report, filename, {name: f"{name} of an override" for name in imports})
    for built in builts:
        function = built.function
        what = f"query {function.query}"
        if taken.add(function.name, what, function.query):
            taken.add(function.constant, what, function.query)
        if function.iterator:
            taken.add(f"iter_{function.name}", f"the iterator of {function.query}", function.query)
        for model in built.models:
            taken.add(model.name, f"a model of query {function.query}", function.query)
    for built in builts[1:]:
        if built.file_doc:
            message = "-- py: file goes above the first query of a file"
            report.add(f"{filename}: {built.function.query}", message)
    return ir.Module(
        name=naming.module_name(filename),
        filename=filename,
        doc=builts[0].file_doc or (f"Queries of {filename}.",),
        functions=tuple(built.function for built in builts),
        models=tuple(model for built in builts for model in built.models),
    )


def _check_models(
    catalog: Catalog, written: list[tuple[str, str]], named: list[ir.Model], report: Report
) -> None:
    taken = _Taken(report, "models", {name: f"{name} of an override" for name in catalog.imports})
    for schema, name in written:
        table = catalog.tables[schema, name]
        for problem in table.problems:
            report.add_line(problem)
        full = catalog.full_name((schema, name))
        taken.add(table.model.name, f"table {full}", full)
    for model in named:
        taken.add(model.name, f"the model {model.name} of a -- py: line", model.name)
    for model in (*(catalog.tables[key].model for key in written), *named):
        _check_fields("models", model, catalog, report)
    taken = _Taken(report, "enums")
    for name in sorted(catalog.enums):
        taken.add(name, f"enum {name}", name)


def _check_fields(where: str, model: ir.Model, catalog: Catalog, report: Report) -> None:
    """In a class the name of a field would hide the type that its annotation means."""
    for each in model.fields:
        if each.name in catalog.imports:
            report.add(
                where,
                f"{model.name}: field {each.name} is called as {catalog.imports[each.name]}."
                f"{each.name} of an override is; import that under another name",
            )


def _annotations(named: list[ir.Model], modules: tuple[ir.Module, ...]) -> str:
    """Every annotation outside of the tables' own models."""
    found = [field.annotation for model in named for field in model.fields]
    for module in modules:
        found += [each.annotation for model in module.models for each in model.fields]
        found += [
            each.result.model for each in module.functions if isinstance(each.result, ir.Record)
        ]
    return "\n".join(found)
