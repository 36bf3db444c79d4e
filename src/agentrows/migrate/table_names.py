"""The parts of a table's name as a file writes it: app."Some Table"."""

from __future__ import annotations

import re
from typing import Final

_PART: Final = re.compile(r'"(?:[^"]|"")+"|[^\W\d][\w$]*')


def table_name(written: str) -> tuple[str | None, str]:
    """Return the schema, if it is written, and the table of a name as a file writes it."""
    parts = [_plain(part) for part in _PART.findall(written)]
    return (parts[-2] if len(parts) > 1 else None), parts[-1]


def _plain(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part
