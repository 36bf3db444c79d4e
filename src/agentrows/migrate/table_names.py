"""Names of tables as files write them: app."Some Table"."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')


def split_table_name(written: str) -> tuple[str | None, str]:
    """Return the schema, None if there is none, and the table of a name as a file writes it."""
    parts = [_unquoted(part) for part in _PART.findall(written)]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
