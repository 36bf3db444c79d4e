"""Look-ups that run together while they wait for a connection: those with `-- py: lookup`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from agentrows.gen import agents, events, sessions, store_items, task_versions, tasks

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LOOKUP_BATCHES"]

LOOKUP_BATCHES: Final[Mapping[str, str]] = MappingProxyType(
    agents.LOOKUP_BATCHES
    | events.LOOKUP_BATCHES
    | sessions.LOOKUP_BATCHES
    | store_items.LOOKUP_BATCHES
    | task_versions.LOOKUP_BATCHES
    | tasks.LOOKUP_BATCHES
)
"""The batch statement of each look-up, both by their SQL."""
