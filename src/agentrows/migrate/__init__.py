"""Migrations: tracks of SQL files, and the migrator that applies them.

`Migrator` applies, rolls back and inspects the migrations of a database. Its tracks are
`builtin_tracks()`, then the application's own. `status_on` reads the status on a connection of the
caller's, and `create_migration` creates the files of a new migration.
"""

from __future__ import annotations

from agentrows.migrate.builtin import ROW_SECURITY, builtin_tracks
from agentrows.migrate.differences import Difference
from agentrows.migrate.doctor import Checkup, TrackCheckup
from agentrows.migrate.history import HistoryEntry
from agentrows.migrate.losses import Loss
from agentrows.migrate.migrator import Migrator
from agentrows.migrate.report import (
    FileRun,
    MigrationContext,
    MigrationRunner,
    PlannedFile,
    Report,
)
from agentrows.migrate.scaffold import create_migration
from agentrows.migrate.status import Status, TrackStatus, status_on
from agentrows.migrate.track import Track

__all__ = [
    "ROW_SECURITY",
    "Checkup",
    "Difference",
    "FileRun",
    "HistoryEntry",
    "Loss",
    "MigrationContext",
    "MigrationRunner",
    "Migrator",
    "PlannedFile",
    "Report",
    "Status",
    "Track",
    "TrackCheckup",
    "TrackStatus",
    "builtin_tracks",
    "create_migration",
    "status_on",
]
