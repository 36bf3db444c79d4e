"""The imports of a generated module, found from the names it uses."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlc_gen_asyncpg.layout import call, sort_names

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Imports"]

_STANDARD: Final = {
    "collections.abc": "AsyncIterator Sequence",
    "decimal": "Decimal",
    "ipaddress": ("IPv4Address IPv4Interface IPv4Network IPv6Address IPv6Interface IPv6Network"),
    "typing": "Annotated Final TypeAlias",
    "uuid": "UUID",
}
_THIRD_PARTY: Final = {
    "pgvector": "Vector",
    "pydantic": ("AwareDatetime BaseModel ConfigDict Field JsonValue NaiveDatetime TypeAdapter"),
}
_LOCAL: Final = {
    ".": "enums models",
    ".dbtx": "CursorDBTX DBTX affected by_name nested require_aware required",
    ".pgvectors": "PgVector",
}
_PLAIN: Final = {"dt": "import datetime as dt", "enum": "import enum"}


@dataclass(slots=True)
class Imports:
    """Names that a module uses; `custom` are those of overrides, with their modules."""

    custom: Mapping[str, str]
    names: set[str] = field(default_factory=set[str])

    def use(self, *code: str) -> None:
        """Note every name in these pieces of code (annotations, calls; no strings)."""
        for each in code:
            self.names.update(re.findall(r"(?<![\w.])[^\W\d]\w*", each))

    def lines(self) -> list[str]:
        """Return the import statements, in sections."""
        standard = [_PLAIN[name] for name in sorted(self.names & set(_PLAIN))]
        standard += self._section(_STANDARD)
        custom: dict[str, str] = {}
        for name, module in self.custom.items():
            custom[module] = f"{custom.get(module, '')} {name}".strip()
        third = self._section(dict(sorted({**_THIRD_PARTY, **custom}.items())))
        sections = [standard, third, self._section(_LOCAL)]
        return [line for section in sections if section for line in ["", *section]]

    def _section(self, modules: Mapping[str, str]) -> list[str]:
        lines: list[str] = []
        for module, names in modules.items():
            used = sort_names(self.names & set(names.split()))
            if used:
                one = call(f"from {module} import ", used, "")
                lines += one if len(one) == 1 else call(f"from {module} import (", used, ")")
        return lines
