"""The options of the plugin block. An unknown key or a wrong type is an error.

The options of sqlc-gen-python have the same names and meanings; one that asks for output that this
generator does not have (a synchronous querier) is refused.
"""

from __future__ import annotations

import keyword
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from sqlc_gen_asyncpg.errors import Refused, Report
from sqlc_gen_asyncpg.pytypes import parse_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlc_gen_asyncpg.pytypes import TypeText

__all__ = ["DEFAULT_BASE_CLASS", "Converter", "EnumSpec", "Options", "Override", "parse_options"]

DEFAULT_BASE_CLASS: Final = "pydantic.BaseModel"
_TYPES_OF_OVERRIDES: Final = frozenset({"converter", "enum", "py_type"})
_ONLY: Final = {
    "emit_async_querier": (True, "the functions are asynchronous"),
    "emit_pydantic_models": (True, "the models are pydantic models"),
    "emit_sync_querier": (False, "the functions are asynchronous"),
}


@dataclass(frozen=True, slots=True)
class EnumSpec:
    """An enum declared for a text column, which the database does not enforce."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """Another type for the matching columns; one of py_type, enum and converter is set."""

    column: str = ""
    db_type: str = ""
    nullable: bool | None = None
    py_type: str = ""
    enum: EnumSpec | None = None
    converter: str = ""


@dataclass(frozen=True, slots=True)
class Converter:
    """Two functions of the application, which convert between its type and the driver's."""

    name: str
    py_type: str
    from_db: str
    to_db: str


@dataclass(frozen=True, slots=True)
class Options:
    """All options, with their defaults."""

    package: str
    base_class: str = DEFAULT_BASE_CLASS
    composites: Mapping[str, Mapping[str, TypeText]] = field(
        default_factory=dict[str, "Mapping[str, TypeText]"]
    )
    converters: tuple[Converter, ...] = ()
    docstrings: str = "comments"
    duplicate_columns: str = "error"
    domains: Mapping[str, TypeText] = field(default_factory=dict[str, "TypeText"])
    emit_exact_table_names: bool = False
    emit_iterators: bool = False
    emit_str_enum: bool = True
    frozen_models: bool = False
    inflection_exclude_table_names: tuple[str, ...] = ()
    initialisms: tuple[str, ...] = ()
    input_base_class: str = ""
    json: str = "text"
    json_error: str = ""
    omit_unused_models: bool = False
    overrides: tuple[Override, ...] = ()
    query_parameter_limit: int | None = None
    rename: Mapping[str, str] = field(default_factory=dict[str, str])
    strict: bool = True
    unnamed_parameters: str = "error"
    vector: str = "pgvector"


def parse_options(raw: Mapping[str, object]) -> Options:
    """Return the options.

    Raises:
        GeneratorError: with a line for each wrong key.

    """
    report = Report()
    values: dict[str, object] = {}
    for key, value in raw.items():
        with report.catch("options"):
            if key in _ONLY:
                _check_only(key, value)
            elif key in _READERS:
                values[key] = _READERS[key](key, value)
            else:
                known = ", ".join(sorted({*_READERS, *_ONLY}))
                raise Refused(f"{key} is not an option; there are {known}")
    if "package" not in raw:
        report.add("options", "package is missing; give the import name of the output folder")
    report.raise_if_any()
    options = Options(**values)  # type: ignore[arg-type]  # each reader gives its field's type
    converters = {"", *(converter.name for converter in options.converters)}
    for index, override in enumerate(options.overrides):
        if override.converter not in converters:
            message = f"overrides[{index}].converter: no converter is {override.converter}"
            report.add("options", message)
    report.raise_if_any()
    return options


def _check_only(key: str, value: object) -> None:
    allowed, reason = _ONLY[key]
    if _bool(key, value) is not allowed:
        raise Refused(f"{key}: {str(value).lower()} is not possible, {reason}; leave it out")


def _bool(key: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused(f"{key} must be true or false, not {value!r}")
    return value


def _limit(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"{key} must be a number of parameters, 0 or more, not {value!r}")
    return value


def _text(key: str, value: object) -> str:
    if not isinstance(value, str) or not value:
        raise Refused(f"{key} must be a text, not {value!r}")
    return value


def _python_name(key: str, name: str) -> None:
    if not name.isidentifier() or keyword.iskeyword(name):
        raise Refused(f"{key}: {name!r} is not a name in Python")


def _texts(key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Refused(f"{key} must be a list of texts, not {value!r}")
    return tuple(_text(f"{key}[{i}]", item) for i, item in enumerate(cast("list[object]", value)))


def _package(key: str, value: object) -> str:
    package = _text(key, value)
    if not _dotted(package):
        raise Refused(f"{key} must be an import name such as app.gen, not {package!r}")
    return package


def _mapping(key: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Refused(f"{key} must be a mapping, not {value!r}")
    return cast("dict[str, object]", value)


def _rename(key: str, value: object) -> dict[str, str]:
    renamed = {old: _text(f"{key}.{old}", new) for old, new in _mapping(key, value).items()}
    for old, new in renamed.items():
        _python_name(f"{key}.{old}", new)
    return renamed


def _types(key: str, value: object) -> dict[str, TypeText]:
    """Return PostgreSQL types by name; they cannot be marked as nullable."""
    types: dict[str, TypeText] = {}
    for name, base in _mapping(key, value).items():
        where = f"{key}.{name}"
        try:
            pg_type = parse_type(_text(where, base))
        except Refused as error:
            raise Refused(f"{where}: {error}") from None
        if pg_type.nullable or pg_type.nullable_element:
            raise Refused(f"{where}: {base!r} is not a type; write it like text, or text[]")
        types[name] = pg_type
    return types


def _composites(key: str, value: object) -> dict[str, dict[str, TypeText]]:
    composites = {
        name: _types(f"{key}.{name}", fields) for name, fields in _mapping(key, value).items()
    }
    for name, fields in composites.items():
        if not fields:
            raise Refused(f"{key}.{name} must have at least one field, as in street: text")
    return composites


def _one_of(*words: str) -> Callable[[str, object], str]:
    def read(key: str, value: object) -> str:
        if value not in words:
            raise Refused(f"{key} must be one of {', '.join(words)}, not {value!r}")
        return str(value)

    return read


def _import_path(key: str, value: object) -> str:
    path = _text(key, value)
    if "." not in path or not _dotted(path):
        raise Refused(f"{key} must be package.module.name, not {path!r}")
    return path


def _dotted(path: str) -> bool:
    return all(part.isidentifier() and not keyword.iskeyword(part) for part in path.split("."))


def _converters(key: str, value: object) -> tuple[Converter, ...]:
    converters: dict[str, Converter] = {}
    for index, item in enumerate(_list(key, value)):
        where = f"{key}[{index}]"
        raw = _mapping(where, item)
        if set(raw) != {"name", "py_type", "from_db", "to_db"}:
            raise Refused(f"{where} must have the keys name, py_type, from_db and to_db")
        name = _text(f"{where}.name", raw["name"])
        _python_name(f"{where}.name", name)
        if name in converters:
            raise Refused(f"{where}.name: there is another converter {name}")
        converters[name] = Converter(
            name,
            _py_type(f"{where}.py_type", raw["py_type"]),
            _import_path(f"{where}.from_db", raw["from_db"]),
            _import_path(f"{where}.to_db", raw["to_db"]),
        )
    return tuple(converters.values())


def _list(key: str, value: object) -> list[object]:
    if not isinstance(value, list):
        raise Refused(f"{key} must be a list, not {value!r}")
    return cast("list[object]", value)


def _py_type(key: str, value: object) -> str:
    path = _text(key, value)
    if not _dotted(path):
        raise Refused(f"{key} must be a name such as Decimal or package.module.Name, not {path!r}")
    return path


def _overrides(key: str, value: object) -> tuple[Override, ...]:
    return tuple(
        _override(f"{key}[{i}]", _mapping(f"{key}[{i}]", item))
        for i, item in enumerate(_list(key, value))
    )


def _override(where: str, raw: Mapping[str, object]) -> Override:
    unknown = sorted(set(raw) - {"column", "db_type", "nullable", *_TYPES_OF_OVERRIDES})
    if unknown:
        raise Refused(f"{where}: {unknown[0]} is not a key of an override")
    if ("column" in raw) == ("db_type" in raw):
        raise Refused(f"{where}: give either column or db_type")
    if len(_TYPES_OF_OVERRIDES & set(raw)) != 1:
        raise Refused(f"{where}: give either py_type or enum, or a converter")
    if "nullable" in raw and "db_type" not in raw:
        raise Refused(f"{where}: nullable goes with db_type")
    return Override(
        column=_column(where, raw["column"]) if "column" in raw else "",
        db_type=_text(f"{where}.db_type", raw["db_type"]) if "db_type" in raw else "",
        nullable=_bool(f"{where}.nullable", raw["nullable"]) if "nullable" in raw else None,
        py_type=_py_type(f"{where}.py_type", raw["py_type"]) if "py_type" in raw else "",
        enum=_enum(f"{where}.enum", raw["enum"]) if "enum" in raw else None,
        converter=_text(f"{where}.converter", raw["converter"]) if "converter" in raw else "",
    )


def _column(where: str, value: object) -> str:
    column = _text(f"{where}.column", value)
    if column.count(".") not in {1, 2}:
        raise Refused(f"{where}.column must be table.column, with * for any, not {column!r}")
    return column


def _enum(where: str, value: object) -> EnumSpec:
    raw = _mapping(where, value)
    if set(raw) != {"name", "values"}:
        raise Refused(f"{where} must have the keys name and values")
    name = _text(f"{where}.name", raw["name"])
    _python_name(f"{where}.name", name)
    values = _texts(f"{where}.values", raw["values"])
    if not values or len(set(values)) != len(values):
        raise Refused(f"{where}.values must be different texts, at least one")
    return EnumSpec(name, values)


_READERS: Final = {
    "base_class": _import_path,
    "composites": _composites,
    "converters": _converters,
    "docstrings": _one_of("comments", "sql", "none"),
    "domains": _types,
    "duplicate_columns": _one_of("error", "number"),
    "emit_exact_table_names": _bool,
    "emit_iterators": _bool,
    "emit_str_enum": _bool,
    "frozen_models": _bool,
    "inflection_exclude_table_names": _texts,
    "initialisms": _texts,
    "input_base_class": _import_path,
    "json": _one_of("codec", "binary", "text"),
    "json_error": _import_path,
    "omit_unused_models": _bool,
    "overrides": _overrides,
    "package": _package,
    "query_parameter_limit": _limit,
    "rename": _rename,
    "strict": _bool,
    "unnamed_parameters": _one_of("error", "number"),
    "vector": _one_of("pgvector", "list"),
}
