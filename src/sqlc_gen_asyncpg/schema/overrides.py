"""Types that the options choose: overrides, converters, and the format of JSON and vectors."""

from __future__ import annotations

import builtins
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg import naming
from sqlc_gen_asyncpg.errors import AlreadyReported, Refused
from sqlc_gen_asyncpg.name_rules import OWN_IMPORTS, RESERVED, check_name, is_private
from sqlc_gen_asyncpg.pytypes import PG_TYPES, PYTHON_NAMES, PyType

if TYPE_CHECKING:
    from sqlc_gen_asyncpg.options import Converter, Override

__all__ = ["JSON_TYPES", "VECTOR_TYPES", "TypeOverrides", "matches_column"]

# The generated module with the annotations of converters.
CONVERTERS_MODULE: Final = ".pgconverters"
JSON_TYPES: Final = frozenset({"json", "jsonb"})
VECTOR_TYPES: Final = frozenset({"halfvec", "sparsevec", "vector"})
_DATETIME_NAMES: Final = frozenset({"date", "datetime", "time", "timedelta"})
_VECTOR_AS_LIST: Final = PyType(
    "list[float]", "PgVectorList", "Sequence[float]", "list[float]", encode="vector_text"
)


def matches_column(pattern: str, path: tuple[str, str, str], default_schema: str) -> bool:
    """Whether `table.column` or `schema.table.column`, with `*` for any, matches a column."""
    parts = pattern.split(".")
    if len(parts) == 2:  # noqa: PLR2004  # table.column
        parts = [default_schema if parts[0] != "*" else "*", *parts]
    return all(fnmatchcase(name, part) for name, part in zip(path, parts, strict=True))


@dataclass(slots=True)
class TypeOverrides:
    """The types of overrides and converters, and the names that generated code imports for them.

    `json` and `vector` are the options of these names. `enums` are those declared for text columns,
    `input_base_class` is the name of the class that models of arguments inherit, and `json_error`
    that of the error for text that is not JSON.
    """

    json: str
    vector: str
    enums: dict[str, PyType] = field(default_factory=dict[str, PyType])
    converters: dict[str, PyType] = field(default_factory=dict[str, PyType])
    imports: dict[str, str] = field(default_factory=dict[str, str])
    input_base_class: str = ""
    json_error: str = "ValueError"

    def wire_format_type(self, pg_type: str) -> PyType | None:
        """Return the type of JSON or of a vector that an option sends as text."""
        bare = pg_type.rpartition(".")[2]
        if bare in JSON_TYPES and self.json == "text":
            return self._json_type("JsonValue")
        if bare in VECTOR_TYPES and self.vector == "list":
            return PyType.same("str") if bare == "sparsevec" else _VECTOR_AS_LIST
        return None

    def overridden_type(self, override: Override, pg_type: str) -> PyType:
        """Return the type that an override gives a column of this PostgreSQL type."""
        if not override.enum and not override.converter:
            return self.named_type(override.py_type, pg_type)
        if override.enum:
            py_type = self.enums.get(override.enum.name)
        else:
            py_type = self.converters.get(override.converter)
        if py_type is None:
            raise AlreadyReported(f"the override of {pg_type} was refused")
        return py_type

    def named_type(self, py_type: str, pg_type: str) -> PyType:
        """Return the type of this Python name for a column of this PostgreSQL type.

        Raises:
            Refused: there is no type of this name, or the column's values cannot become this type.

        """
        is_bare = "." not in py_type
        if pg_type in JSON_TYPES:
            if py_type == "JsonValue":
                return self.wire_format_type(pg_type) or PG_TYPES[pg_type]
            hint = self._bare_type(py_type, "").hint if is_bare else self._import(py_type)
            return self._json_type(hint)
        if is_bare:
            return self._bare_type(py_type, pg_type)
        if pg_type.rpartition(".")[2] in VECTOR_TYPES:
            raise Refused(f"{pg_type} cannot become {py_type} without a converter")
        return PyType.same(self._import(py_type))

    def set_input_base_class(self, path: str) -> None:
        """Import the class that models of arguments inherit."""
        self.input_base_class = self._import(path)

    def set_json_error(self, path: str) -> None:
        """Import the class of the error for text that is not JSON."""
        self.json_error = self._import(path)

    def add_converter(self, converter: Converter) -> None:
        """Add a converter's type, and import its two functions."""
        py_type = converter.py_type
        is_bare = "." not in py_type
        hint = self._bare_type(py_type, "").hint if is_bare else self._import(py_type)
        row = f"Pg{naming.camel(converter.name)}"
        for name in (row, f"{row}Argument"):
            self._import(f"{CONVERTERS_MODULE}.{name}")
        self._import(converter.from_db)
        to_db = self._import(converter.to_db)
        self.converters[converter.name] = PyType(hint, row, hint, f"{row}Argument", encode=to_db)

    def import_base_class(self, path: str) -> None:
        """Import the class from which models are derived; it may be called BaseModel.

        Raises:
            Refused: the name is taken, or cannot be that of a class.

        """
        module, _, name = path.rpartition(".")
        check_name(name, "class")
        if name == "BaseModel":
            self.imports[name] = module
        else:
            self._import(path)

    def _json_type(self, hint: str) -> PyType:
        """Return the type of a column with values of this type as JSON."""
        if self.json == "text":
            given = "JsonLike" if hint == "JsonValue" else hint
            return PyType(hint, f"PgJsonText[{hint}]", given, given, encode=f"json_text:{hint}")
        return PyType(hint, f"PgJson[{hint}]", hint, hint, encode=f"json_object:{hint}")

    def _bare_type(self, py_type: str, pg_type: str) -> PyType:
        hints = {known.hint.removeprefix("dt."): known for known in PG_TYPES.values()}
        if pg_type in PG_TYPES and PG_TYPES[pg_type].hint.removeprefix("dt.") == py_type:
            return PG_TYPES[pg_type]
        if py_type in self.enums:
            return self.enums[py_type]
        if py_type in PYTHON_NAMES:
            return PG_TYPES[PYTHON_NAMES[py_type]]
        if py_type not in hints:
            raise Refused(f"py_type {py_type} is not known; write package.module.Name")
        return hints[py_type]

    def _import(self, path: str) -> str:
        """Import a name into generated code; return its name there."""
        module, _, name = path.rpartition(".")
        if module == "datetime" and name in _DATETIME_NAMES:
            return f"dt.{name}"
        if path in OWN_IMPORTS:
            return name
        if path in {"typing.Any", "typing_extensions.Any"}:
            raise Refused("Any is not allowed: give a type, or object")
        if name.startswith("__"):
            raise Refused(f"{path}: Python changes {name} in a class; import it under another name")
        if name in {*RESERVED, "model_config"} or is_private(name) or hasattr(builtins, name):
            raise Refused(
                f"{path}: generated code has another {name}; import it under another name"
            )
        if self.imports.setdefault(name, module) != module:
            raise Refused(
                f"two overrides import {name}, from {self.imports[name]} and {module}; "
                "give one of them another name"
            )
        return name
