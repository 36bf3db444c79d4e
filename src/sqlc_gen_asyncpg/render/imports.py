"""The import statements of a generated module, from the names it uses."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.naming import STANDARD_IMPORTS, THIRD_PARTY_IMPORTS
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
    ".pgvalues": (
        "Converted Encoder Given PgJson PgJsonText PgVectorList json_object json_text vector_text"
    ),
    ".pgjson": "JsonLike",
    ".pgvectors": "PgVector VectorLike",
}
_INSTALLED: Final = frozenset({
    "annotated_types", "asyncpg", "numpy", "pgvector", "pydantic", "pydantic_extra_types",
})  # fmt: skip
_PLAIN: Final = {"dt": "import datetime as dt", "enum": "import enum"}


@dataclass(slots=True)
class Imports:
    """The names that a module uses; `custom` are those of overrides, with their modules."""

    custom: Mapping[str, str]
    names: set[str] = field(default_factory=set[str])

    def use(self, *code: str) -> None:
        """Add every name in these pieces of code: annotations and calls, without strings."""
        for piece in code:
            self.names.update(re.findall(r"(?<![\w.])[^\W\d]\w*", piece))

    def lines(self) -> list[str]:
        """Return the import statements, in sections."""
        sections = [dict(STANDARD_IMPORTS), dict(THIRD_PARTY_IMPORTS), {}, dict(_LOCAL)]
        for name, module in self.custom.items():
            section = sections[_section_of(module)]
            section[module] = f"{section.get(module, '')} {name}".strip()
        blocks = [self._statements(section) for section in sections]
        blocks[0] = [_PLAIN[name] for name in sorted(self.names & set(_PLAIN))] + blocks[0]
        return [line for block in blocks if block for line in ["", *block]]

    def _statements(self, modules: Mapping[str, str]) -> list[str]:
        lines: list[str] = []
        for module, names in sorted(modules.items()):
            used = sort_names(self.names & set(names.split()), fold=True)
            if used:
                one = call(f"from {module} import ", used, "")
                lines += one if len(one) == 1 else call(f"from {module} import (", used, ")")
        return lines


def _section_of(module: str) -> int:
    """Return the section of an override's module; an unknown module is the application's."""
    top = module.partition(".")[0]
    if not top:
        return 3
    if top in sys.stdlib_module_names:
        return 0
    return 1 if top in _INSTALLED else 2
