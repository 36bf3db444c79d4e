"""sqlc's request as the representation of a package, or as the list of its problems."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg import SQLC_VERSION, ir, naming
from sqlc_gen_asyncpg.build.comments import read_file_comments
from sqlc_gen_asyncpg.build.context import NamedModels
from sqlc_gen_asyncpg.build.docstrings import apply_docstrings
from sqlc_gen_asyncpg.build.module_names import check_models, check_module
from sqlc_gen_asyncpg.build.parsed_json import apply_parsed_json
from sqlc_gen_asyncpg.build.query import BuiltQuery, build_query
from sqlc_gen_asyncpg.build.unused_options import report_unused_options
from sqlc_gen_asyncpg.errors import GeneratorError, Report
from sqlc_gen_asyncpg.name_rules import FIXED_MODULES
from sqlc_gen_asyncpg.options import parse_options
from sqlc_gen_asyncpg.schema.models import read_catalog

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlc_gen_asyncpg import protocol
    from sqlc_gen_asyncpg.build.comments import FileComments
    from sqlc_gen_asyncpg.options import Options
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["build"]


def build(request: protocol.Request, directory: str = "") -> ir.Package:
    """Return the package to write.

    The schema's files are relative to `directory`; empty is the current one, as sqlc runs a plugin.

    Raises:
        GeneratorError: with a line for each problem.

    """
    options = parse_options(request.options)
    _check_request(request, options)
    report = Report()
    catalog = read_catalog(request, options, report, directory)
    tables = {table.model.name: table.model for table in catalog.tables.values()}
    _check_composites(catalog, report)
    named_models = NamedModels({**tables, **catalog.composite_models})
    comments = read_file_comments(request.query_paths, directory)
    modules = _modules(request, catalog, named_models, report, comments)
    report_unused_options(catalog, request, report)
    named = [model for name, model in sorted(named_models.models.items()) if name not in tables]
    written = _written_tables(catalog, named, modules)
    check_models(catalog, written, named, report)
    report.raise_if_any()
    models = [catalog.tables[key].model for key in written]
    package = ir.Package(
        name=options.package,
        sqlc_version=request.sqlc_version,
        str_enum=options.emit_str_enum,
        enums=tuple(catalog.enums[name] for name in sorted(catalog.enums)),
        models=apply_parsed_json(
            (
                *catalog.composite_models.values(),
                *sorted(models, key=lambda model: model.name),
                *(model for model in named if not model.is_composite),
            ),
            named_models.parsed,
        ),
        modules=modules,
        imports=dict(sorted(catalog.overrides.imports.items())),
        converters=_converters(catalog),
        base=_base_class(options),
    )
    return apply_docstrings(package, options.docstrings)


def _check_request(request: protocol.Request, options: Options) -> None:
    if request.engine != "postgresql":
        raise GeneratorError([f"sqlc.yaml: engine must be postgresql, not {request.engine}"])
    if options.strict and request.sqlc_version.removeprefix("v") != SQLC_VERSION.removeprefix("v"):
        message = (
            f"sqlc: this is {request.sqlc_version}, the generator is made for {SQLC_VERSION}; "
            "install that one, or set the option strict: false"
        )
        raise GeneratorError([message])


def _check_composites(catalog: Catalog, report: Report) -> None:
    for key, table in catalog.tables.items():
        name = table.model.name
        if name in catalog.composite_models:
            report.add(
                catalog.positions.place("models", "relation", *key),
                f"a type and a table would both be {name}; rename the table: "
                f"rename: {{{catalog.full_name(key)}: …}}",
            )


def _base_class(options: Options) -> ir.BaseClass:
    module, _, name = options.base_class.rpartition(".")
    return ir.BaseClass(name, module, options.frozen_models)


def _converters(catalog: Catalog) -> tuple[ir.Converter, ...]:
    converters: list[ir.Converter] = []
    for option in catalog.options.converters:
        py_type = catalog.overrides.converters[option.name]
        from_db = option.from_db.rpartition(".")[2]
        converters.append(
            ir.Converter(py_type.hint, py_type.row, py_type.field, from_db, py_type.encode)
        )
    return tuple(sorted(converters, key=lambda converter: converter.row))


def _written_tables(
    catalog: Catalog, named: list[ir.Model], modules: tuple[ir.Module, ...]
) -> list[tuple[str, str]]:
    """Return the tables with a model in the package: all, or those that a query returns."""
    keys = sorted(catalog.tables)
    if not catalog.options.omit_unused_models:
        return keys
    used = set(re.findall(r"\bmodels\.(\w+)", _annotations(named, modules)))
    return [key for key in keys if catalog.tables[key].model.name in used]


def _annotations(named: list[ir.Model], modules: tuple[ir.Module, ...]) -> str:
    """Return all annotations except those of the tables' own models."""
    annotations = [field.annotation for model in named for field in model.fields]
    for module in modules:
        annotations += [field.annotation for model in module.models for field in model.fields]
        results = [function.result for function in module.functions]
        annotations += [result.model for result in results if isinstance(result, ir.Record)]
        annotations += [result.hint for result in results if isinstance(result, ir.Scalar)]
    return "\n".join(annotations)


def _modules(
    request: protocol.Request,
    catalog: Catalog,
    named_models: NamedModels,
    report: Report,
    comments: Mapping[tuple[str, str], FileComments],
) -> tuple[ir.Module, ...]:
    files: dict[str, list[BuiltQuery]] = {}
    modules: dict[str, str] = {}
    for query in request.queries:
        own = comments.get((query.filename, query.name))
        module = naming.module_name(query.filename)
        same = modules.setdefault(module, query.filename) == query.filename
        if not same or module in FIXED_MODULES:
            other = "a generated module" if module in FIXED_MODULES else modules[module]
            report.add(
                f"{own.source.path}:1:1" if own and own.source else query.filename,
                f"its module would be {module}.py, as that of {other}; rename the file",
            )
        built = build_query(query, catalog, named_models, report, own)
        if built:
            files.setdefault(query.filename, []).append(built)
    return tuple(
        _module(filename, queries, catalog, report) for filename, queries in sorted(files.items())
    )


def _module(
    filename: str, queries: list[BuiltQuery], catalog: Catalog, report: Report
) -> ir.Module:
    check_module(filename, queries, catalog, report)
    for built in queries[1:]:
        if built.file_doc:
            message = "-- py: file goes above the first query of a file"
            report.add(built.place.of_directive("file"), message)
    return ir.Module(
        name=naming.module_name(filename),
        filename=filename,
        doc=queries[0].file_doc or (f"Queries of {filename}.",),
        functions=tuple(built.function for built in queries),
        models=tuple(model for built in queries for model in built.models),
    )
