"""Types that the options choose: overrides, converters, and how JSON and vectors travel."""

from __future__ import annotations

import builtins
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import naming
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.pytypes import PG_TYPES, PYTHON_NAMES, PyType
from sqlc_gen_asyncpg.render.imports import OWN_IMPORTS

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.options import Converter, Override
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = [
    "CONVERTERS",
    "JSON_TYPES",
    "VECTOR_TYPES",
    "converter_type",
    "matches",
    "named_type",
    "overridden",
    "travelling",
]

# The generated module with the annotations of converters.
CONVERTERS: Final = ".pgconverters"
JSON_TYPES: Final = frozenset({"json", "jsonb"})
VECTOR_TYPES: Final = frozenset({"halfvec", "sparsevec", "vector"})
_OF_DATETIME: Final = frozenset({"date", "datetime", "time", "timedelta"})
_LIST: Final = PyType(
    "list[float]", "PgVectorList", "Sequence[float]", "list[float]", encode="vector_text"
)


def travelling(catalog: Catalog, normal: str) -> PyType | None:
    """Return the type of JSON or of a vector where an option says that it travels as text."""
    options = catalog.options
    bare = normal.rpartition(".")[2]
    if bare in JSON_TYPES and options.json == "text":
        return _json(catalog, "JsonValue")
    if bare in VECTOR_TYPES and options.vector == "list":
        return PyType.same("str") if bare == "sparsevec" else _LIST
    return None


def _json(catalog: Catalog, name: str) -> PyType:
    """Return the type of a column whose JSON is a value of this type."""
    if catalog.options.json == "text":
        return PyType(name, f"PgJsonText[{name}]", name, name, encode=f"json_text:{name}")
    return PyType(name, f"PgJson[{name}]", name, name, encode=f"json_object:{name}")


def matches(pattern: str, path: tuple[str, str, str], default_schema: str) -> bool:
    """Whether a column is meant by `table.column` or `schema.table.column`, with `*` for any."""
    parts = pattern.split(".")
    if len(parts) == 2:  # noqa: PLR2004  # table.column
        parts = [default_schema if parts[0] != "*" else "*", *parts]
    return all(fnmatchcase(name, part) for name, part in zip(path, parts, strict=True))


def overridden(catalog: Catalog, override: Override, normal: str) -> PyType:
    """Return the type that an override gives to a column of this PostgreSQL type."""
    if override.enum or override.converter:
        found = (
            catalog.declared.get(override.enum.name)
            if override.enum
            else catalog.converters.get(override.converter)
        )
        if found is None:
            raise AlreadyReported(f"the override of {normal} was refused")
        return found
    return named_type(catalog, override.py_type, normal)


def named_type(catalog: Catalog, py_type: str, normal: str) -> PyType:
    """Return the type that is called so in Python, for a column of this PostgreSQL type."""
    known = "." not in py_type
    if normal in JSON_TYPES:
        if py_type == "JsonValue":
            return travelling(catalog, normal) or PG_TYPES[normal]
        return _json(
            catalog, _known(catalog, py_type, "").hint if known else _import(catalog, py_type)
        )
    if known:
        return _known(catalog, py_type, normal)
    if normal.rpartition(".")[2] in VECTOR_TYPES:
        raise Refused(f"a {normal} is no {py_type} by itself; give a converter")
    return PyType.same(_import(catalog, py_type))


def _known(catalog: Catalog, py_type: str, normal: str) -> PyType:
    hints = {each.hint.removeprefix("dt."): each for each in PG_TYPES.values()}
    if normal in PG_TYPES and PG_TYPES[normal].hint.removeprefix("dt.") == py_type:
        return PG_TYPES[normal]
    if py_type in catalog.declared:
        return catalog.declared[py_type]
    if py_type in PYTHON_NAMES:
        return PG_TYPES[PYTHON_NAMES[py_type]]
    if py_type not in hints:
        raise Refused(f"py_type {py_type} is not known; write package.module.Name")
    return hints[py_type]


def _import(catalog: Catalog, path: str) -> str:
    """Note that generated code imports this, and return its name there."""
    module, _, name = path.rpartition(".")
    if module == "datetime" and name in _OF_DATETIME:
        return f"dt.{name}"
    if path in OWN_IMPORTS:
        return name
    if path in {"typing.Any", "typing_extensions.Any"}:
        raise Refused("Any says nothing of a value; write what it is, or object")
    if name in naming.RESERVED or hasattr(builtins, name):
        raise Refused(f"{path}: generated code has another {name}; import it under another name")
    if catalog.imports.setdefault(name, module) != module:
        raise Refused(
            f"two overrides import {name}, from {catalog.imports[name]} and {module}; "
            "give one of them another name"
        )
    return name


def converter_type(catalog: Catalog, converter: Converter) -> PyType:
    """Return the type of the columns that a converter is for."""
    py_type = converter.py_type
    hint = _import(catalog, py_type) if "." in py_type else _known(catalog, py_type, "").hint
    row = f"Pg{naming.camel(converter.name)}"
    for name in (row, f"{row}Argument"):
        _import(catalog, f"{CONVERTERS}.{name}")
    _import(catalog, converter.from_db)
    to_db = _import(catalog, converter.to_db)
    return PyType(hint, row, hint, f"{row}Argument", encode=to_db)
