"""The import statements of a generated module, from the names it uses."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.name_rules import STANDARD_IMPORTS, THIRD_PARTY_IMPORTS
from sqlc_gen_asyncpg.naming import camel, snake
from sqlc_gen_asyncpg.render.source import call, sort_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Imports"]

_LOCAL: Final = {
    ".": "enums models",
    ".dbtx": "CursorDBTX DBTX affected nested_reader reader require_aware required",
    ".pgcomposites": "Composite PgAware",
    ".pgcopy": "CopyDBTX copied tuples",
    ".pgdriver": "BitString PgBits PgRange Range",
    ".pghalfvectors": "PgHalfVector PgSparseVector",
    ".pgorders": "choose",
    ".pgrows": (
        "decoded from_json json_address json_array json_bytes json_date json_float "
        "json_numeric json_row json_text_of json_time json_time_utc json_value"
    ),
    ".pgvalues": (
        "Converted Encoder Given PgJson PgJsonText PgVectorList json_object json_text vector_text"
    ),
    ".pgjson": "JsonLike",
    ".pgparsed": "parsed_json",
    ".pgvectors": "PgVector VectorLike",
}
_INSTALLED: Final = frozenset({
    "annotated_types", "asyncpg", "numpy", "pgvector", "pydantic", "pydantic_extra_types",
})  # fmt: skip
_PLAIN: Final = {"dt": "import datetime as", "enum": "import enum"}
_NAME: Final = re.compile(r"(?<![\w.])[^\W\d]\w*")


@dataclass(slots=True)
class Imports:
    """The names that a module uses; `custom` are those of overrides, with their modules.

    An import of a name that the module itself defines, one of `own`, has another name, which is
    none of `taken`.
    """

    custom: Mapping[str, str]
    own: frozenset[str] = frozenset()
    taken: frozenset[str] = frozenset()
    names: set[str] = field(default_factory=set[str])

    def use(self, *code: str) -> None:
        """Add every name in these pieces of code: annotations and calls, without strings."""
        for piece in code:
            self.names.update(_NAME.findall(piece))

    def named(self, code: str) -> str:
        """Add the names in a piece of code; return it with the names of the imports."""
        names = _NAME.findall(code)
        self.names.update(names)
        if self.own.isdisjoint(names):
            return code
        return _NAME.sub(lambda match: self._alias(match[0]), code)

    def lines(self) -> list[str]:
        """Return the import statements, in sections."""
        blocks = [self._statements(section) for section in self._sections()]
        blocks[0] = [self._plain(name) for name in sorted(self.names & set(_PLAIN))] + blocks[0]
        return [line for block in blocks if block for line in ["", *block]]

    def _sections(self) -> list[dict[str, str]]:
        """Return the names by module: of Python, of installed packages, of the user, of ours."""
        pydantic = " ".join(set(THIRD_PARTY_IMPORTS["pydantic"].split()) - self.custom.keys())
        installed = {**THIRD_PARTY_IMPORTS, "pydantic": pydantic}
        sections = [dict(STANDARD_IMPORTS), installed, {}, dict(_LOCAL)]
        for name, module in self.custom.items():
            section = sections[_section_of(module)]
            section[module] = f"{section.get(module, '')} {name}".strip()
        return sections

    def _plain(self, name: str) -> str:
        statement = _PLAIN[name]
        if name == "dt":
            return f"{statement} {self._alias(name)}"
        return statement if name not in self.own else f"{statement} as {self._alias(name)}"

    def _statements(self, modules: Mapping[str, str]) -> list[str]:
        lines: list[str] = []
        for module, names in sorted(modules.items()):
            used = sort_names(self.names & set(names.split()), fold=True)
            plain = [name for name in used if name not in self.own]
            first = plain[0] if plain else ""
            for name in used:
                if name == first:
                    one = call(f"from {module} import ", plain, "")
                    lines += one if len(one) == 1 else call(f"from {module} import (", plain, ")")
                elif name in self.own:
                    lines.append(f"from {module} import {name} as {self._alias(name)}")
        return lines

    def _alias(self, name: str) -> str:
        """Return the name of an import: its own, or one with the name of its package."""
        if name not in self.own:
            return name
        package = self._module_of(name).strip(".").partition(".")[0] or "gen"
        alias = camel(f"{package}_{name}") if name[:1].isupper() else snake(f"{package}_{name}")
        while alias in self.own | self.taken or alias in self.custom:
            alias += "_"
        return alias

    def _module_of(self, name: str) -> str:
        if name in _PLAIN:
            return _PLAIN[name].split()[1]
        modules = (item for section in self._sections() for item in section.items())
        return next((module for module, names in modules if name in names.split()), "")


def _section_of(module: str) -> int:
    """Return the section of an override's module; an unknown module is the application's."""
    top = module.partition(".")[0]
    if not top:
        return 3
    if top in sys.stdlib_module_names:
        return 0
    return 1 if top in _INSTALLED else 2
