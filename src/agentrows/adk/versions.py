"""The version of a session, which a `Session` of ADK carries in a private attribute."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from google.adk.sessions import Session

# `Session` forbids other attributes, and this one is kept by copies.
ATTRIBUTE: Final = "_storage_update_marker"
MARKER: Final = re.compile(r"agentrows:(\d+)")


def read_version(session: Session) -> int | None:
    """Return the version at which a session was read; None if another service made it."""
    marker = getattr(session, ATTRIBUTE, None)
    match = MARKER.fullmatch(marker) if isinstance(marker, str) else None
    return int(match[1]) if match else None


def write_version(session: Session, version: int) -> None:
    """Set the version at which a session was read."""
    setattr(session, ATTRIBUTE, f"agentrows:{version}")
