"""Migrations: tracks of SQL files, and the runner that applies them.

`up` applies what is pending, `apply` does so unless another tool migrates the database, `verify`
and `status` only read. All take a DSN and the tracks, which are `builtin_tracks()` and then the
application's own.
"""

from __future__ import annotations

from agentrows.migrate.builtin import builtin_tracks
from agentrows.migrate.runner import (
    FileRun,
    MigrationContext,
    MigrationRunner,
    Report,
    apply,
    up,
)
from agentrows.migrate.state import Status, TrackStatus
from agentrows.migrate.track import Track
from agentrows.migrate.verify import status, status_on, verify

__all__ = [
    "FileRun",
    "MigrationContext",
    "MigrationRunner",
    "Report",
    "Status",
    "Track",
    "TrackStatus",
    "apply",
    "builtin_tracks",
    "status",
    "status_on",
    "up",
    "verify",
]
