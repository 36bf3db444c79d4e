"""Migrations: tracks of SQL files, and the runner that applies them.

`up` applies what is pending, `apply` does so unless another tool migrates the database; `down`,
`goto` and `force` move one track; `dry_run` executes and rolls back. `plan`, `doctor`, `verify` and
`status` only read. All take a DSN and the tracks, which are `builtin_tracks()` and then the
application's own, and a function for the password if it is not in the DSN. `grants` writes SQL for
an administrator and asks no database.
"""

from __future__ import annotations

from agentrows.migrate.builtin import ROW_SECURITY, builtin_tracks
from agentrows.migrate.doctor import Checkup, TrackCheckup, doctor, plan
from agentrows.migrate.migrator import apply, down, dry_run, force, goto, up
from agentrows.migrate.report import (
    FileRun,
    MigrationContext,
    MigrationRunner,
    PlannedFile,
    Report,
)
from agentrows.migrate.scaffold import new
from agentrows.migrate.status import Status, TrackStatus
from agentrows.migrate.track import Track
from agentrows.migrate.verify import status, status_on, verify
from agentrows.roles.grants import grants

__all__ = [
    "ROW_SECURITY",
    "Checkup",
    "FileRun",
    "MigrationContext",
    "MigrationRunner",
    "PlannedFile",
    "Report",
    "Status",
    "Track",
    "TrackCheckup",
    "TrackStatus",
    "apply",
    "builtin_tracks",
    "doctor",
    "down",
    "dry_run",
    "force",
    "goto",
    "grants",
    "new",
    "plan",
    "status",
    "status_on",
    "up",
    "verify",
]
