"""The typed Postgres data layer for AI-agent platforms.

Start with `PostgresClient`. The names below also contain the rows: a model of a table, a `New…`
model for a batch, and the results of other queries. `agentrows.errors` documents the error classes,
`agentrows.migrate` applies migrations.
"""

from __future__ import annotations

from pgvector import Vector

from agentrows._version import __version__
from agentrows.client import PostgresClient, Stores, Transaction, TransactionalStores
from agentrows.config import Settings
from agentrows.db.notifications import Notification
from agentrows.db.retries import Retry
from agentrows.errors import (
    Aborted,
    AgentRowsError,
    AlreadyExists,
    ClientClosed,
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
    UnreadableRow,
)
from agentrows.gen.enums import FeedbackIssueType
from agentrows.gen.models import (
    Agent,
    Checkpoint,
    CheckpointWrite,
    CrewAIFlowState,
    CrewAIMemory,
    ErasedUser,
    Event,
    Feedback,
    FeedbackSummary,
    Memory,
    MemoryHit,
    NewCheckpointWrite,
    NewEvent,
    NewMemory,
    NewTool,
    PrunedMemories,
    PrunedSessions,
    PushNotification,
    RefreshedTools,
    Session,
    SessionShare,
    SessionShareAccess,
    Task,
    Tool,
    ToolServer,
)
from agentrows.startup import init_connection
from agentrows.stores.checkpoints import CheckpointTuple
from agentrows.validation import UNSET

__all__ = [
    "UNSET",
    "Aborted",
    "Agent",
    "AgentRowsError",
    "AlreadyExists",
    "Checkpoint",
    "CheckpointTuple",
    "CheckpointWrite",
    "ClientClosed",
    "ConfigError",
    "Conflict",
    "CrewAIFlowState",
    "CrewAIMemory",
    "Deleted",
    "DirtySchema",
    "ErasedUser",
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
    "NewCheckpointWrite",
    "NewEvent",
    "NewMemory",
    "NewTool",
    "NotFound",
    "Notification",
    "OutcomeUnknown",
    "OwnedByAnother",
    "PoolTimeout",
    "PostgresClient",
    "PrunedMemories",
    "PrunedSessions",
    "PushNotification",
    "RefreshedTools",
    "Retry",
    "SchemaBehind",
    "Session",
    "SessionShare",
    "SessionShareAccess",
    "Settings",
    "StatementTimeout",
    "Stores",
    "Task",
    "Tool",
    "ToolServer",
    "Transaction",
    "TransactionalStores",
    "Unavailable",
    "UnreadableRow",
    "Vector",
    "__version__",
    "init_connection",
]
