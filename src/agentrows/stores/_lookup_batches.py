"""Look-ups that run together while they wait for a connection, with their batch statements."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentrows.gen import agents, events, sessions, task_versions, tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOOKUP_BATCHES"]

LOOKUP_BATCHES: Final[Mapping[str, str]] = MappingProxyType({
    agents.GET_AGENT: agents.GET_AGENT_BATCH,
    events.GET_EVENT: events.GET_EVENT_BATCH,
    sessions.GET_SESSION: sessions.GET_SESSION_BATCH,
    task_versions.FIND_VERSIONED_TASK: task_versions.FIND_VERSIONED_TASK_BATCH,
    tasks.GET_TASK: tasks.GET_TASK_BATCH,
})  # fmt: skip
"""The batch statement of each look-up, both by their SQL."""
