"""The models that applications use, as the generator wrote them.

A table's row is the table's model; `New…` models are what a batch takes; the others are what a
query returns that is not a table's row.
"""

from __future__ import annotations

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

__all__ = [
    "Agent",
    "Checkpoint",
    "CheckpointWrite",
    "CrewAIFlowState",
    "CrewAIMemory",
    "ErasedUser",
    "Event",
    "Feedback",
    "FeedbackIssueType",
    "FeedbackSummary",
    "Memory",
    "MemoryHit",
    "NewCheckpointWrite",
    "NewEvent",
    "NewMemory",
    "NewTool",
    "PrunedMemories",
    "PrunedSessions",
    "PushNotification",
    "RefreshedTools",
    "Session",
    "SessionShare",
    "SessionShareAccess",
    "Task",
    "Tool",
    "ToolServer",
]
