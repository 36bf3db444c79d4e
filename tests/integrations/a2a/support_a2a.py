"""Users, tasks and events of the tests of the A2A adapter."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest
from a2a.auth.user import UnauthenticatedUser, User
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import (
    ListTasksRequest,
    Message,
    Part,
    Role,
    Task,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.timestamp_pb2 import Timestamp

if TYPE_CHECKING:
    from a2a.server.tasks.task_store import TaskStore

closes_at_once = pytest.mark.skipif(
    tuple(map(int, version("a2a-sdk").split(".")[:2])) < (1, 3),
    reason="a2a-sdk 1.2: `aclose` after a message never ends if a webhook store takes some ms",
)
"""Marks a test that closes a handler right after a message."""
WORKING = TaskState.TASK_STATE_WORKING
COMPLETED = TaskState.TASK_STATE_COMPLETED
CANCELED = TaskState.TASK_STATE_CANCELED


class Named(User):
    """An authenticated user."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def user_name(self) -> str:
        return self._name


def of(name: str) -> ServerCallContext:
    """Return the context of an authenticated user's call."""
    return ServerCallContext(user=Named(name))


MIRA, JUNO = of("mira"), of("juno")
NOBODY = ServerCallContext(user=UnauthenticatedUser())


def task(
    task_id: str,
    *,
    state: TaskState = WORKING,
    ns: int | None = None,
    context: str = "c-1",
    text: str = "",
) -> Task:
    """Return a task with a status at a time in nanoseconds, and a text in its history."""
    result = Task(id=task_id, context_id=context, status=TaskStatus(state=state))
    if ns is not None:
        result.status.timestamp.FromNanoseconds(ns)
    if text:
        message = Message(message_id="m", role=Role.ROLE_USER, parts=[Part(text=text)])
        result.history.append(message)
    return result


def update(task_id: str, text: str, state: TaskState = WORKING) -> TaskStatusUpdateEvent:
    """Return an event of a task with a text."""
    message = Message(message_id=text, role=Role.ROLE_AGENT, parts=[Part(text=text)])
    status = TaskStatus(state=state, message=message)
    return TaskStatusUpdateEvent(task_id=task_id, context_id="c-1", status=status)


def webhook(
    config_id: str = "", *, url: str = "https://example.com/hook", label: str = ""
) -> TaskPushNotificationConfig:
    """Return a config whose token is a label."""
    return TaskPushNotificationConfig(id=config_id, url=url, token=label)


def timestamp(ns: int) -> Timestamp:
    """Return a time in nanoseconds since 1970."""
    result = Timestamp()
    result.FromNanoseconds(ns)
    return result


async def pages(
    store: TaskStore, context: ServerCallContext, params: ListTasksRequest
) -> list[list[str]]:
    """Return the ids of the tasks of every page."""
    found: list[list[str]] = []
    while True:
        page = await store.list(params, context)
        found.append([each.id for each in page.tasks])
        if not page.next_page_token:
            return found
        params.page_token = page.next_page_token
