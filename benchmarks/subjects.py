"""The comparisons, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import adk_sessions
import append_event
import checkpoints
import get_session
import items
import list_sessions
import memories
import store_events
import turns

if TYPE_CHECKING:
    from harness import Subject

SUBJECTS: Final = (
    get_session.ONE_TASK,
    get_session.MANY_TASKS,
    get_session.FEW_CONNECTIONS,
    *get_session.PEAKS,
    list_sessions.SUBJECT,
    store_events.SUBJECT,
    *checkpoints.SUBJECTS,
    memories.PUT_GET,
    append_event.SUBJECT,
    adk_sessions.APPEND,
    adk_sessions.READ,
    items.ADD,
    items.READ,
    turns.LANGGRAPH_TURN,
    turns.ADK_TURN,
)


def find_subject(name: str) -> Subject:
    """Return the subject with this name."""
    return next(subject for subject in SUBJECTS if subject.name == name)
