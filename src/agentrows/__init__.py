"""The typed Postgres data layer for AI-agent platforms.

`PostgresClient` is where to begin; `agentrows.errors` draws what can go wrong, `agentrows.models`
has the rows, `agentrows.migrate` brings a database's schema up.
"""

from __future__ import annotations

from pgvector import Vector

from agentrows._version import __version__
from agentrows.client import PostgresClient, Stores, Transaction, init_connection
from agentrows.config import Settings
from agentrows.errors import (
    Aborted,
    AgentRowsError,
    AlreadyExists,
    ConfigError,
    Conflict,
    Deleted,
    DirtySchema,
    InvalidReference,
    InvalidTrack,
    InvalidValue,
    LockTimeout,
    MigrationError,
    MigrationFailed,
    NotFound,
    OutcomeUnknown,
    OwnedByAnother,
    PoolTimeout,
    SchemaBehind,
    StatementTimeout,
    Unavailable,
)
from agentrows.models import (
    Agent,
    Event,
    Feedback,
    FeedbackIssueType,
    FeedbackSummary,
    Memory,
    MemoryHit,
    NewEvent,
    NewMemory,
    PrunedMemories,
    PrunedSessions,
    Session,
)
from agentrows.stores._arguments import UNSET

__all__ = [
    "UNSET",
    "Aborted",
    "Agent",
    "AgentRowsError",
    "AlreadyExists",
    "ConfigError",
    "Conflict",
    "Deleted",
    "DirtySchema",
    "Event",
    "Feedback",
    "FeedbackIssueType",
    "FeedbackSummary",
    "InvalidReference",
    "InvalidTrack",
    "InvalidValue",
    "LockTimeout",
    "Memory",
    "MemoryHit",
    "MigrationError",
    "MigrationFailed",
    "NewEvent",
    "NewMemory",
    "NotFound",
    "OutcomeUnknown",
    "OwnedByAnother",
    "PoolTimeout",
    "PostgresClient",
    "PrunedMemories",
    "PrunedSessions",
    "SchemaBehind",
    "Session",
    "Settings",
    "StatementTimeout",
    "Stores",
    "Transaction",
    "Unavailable",
    "Vector",
    "__version__",
    "init_connection",
]
