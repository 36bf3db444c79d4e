"""A fake agent, and a server of A2A with its stores: what a process of an application has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from a2a.server.agent_execution import AgentExecutor
from a2a.server.request_handlers.default_request_handler_v2 import DefaultRequestHandlerV2
from a2a.server.tasks import BasePushNotificationSender, TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)

from agentrows.a2a import (
    PushNotificationConfigStore,
    TaskEventStream,
    TaskStore,
    VersionedTaskStore,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from a2a.server.agent_execution import RequestContext
    from a2a.server.context import ServerCallContext
    from a2a.server.events import EventQueue
    from a2a.server.request_handlers import RequestHandler

    from agentrows import PostgresClient

CARD = AgentCard(
    name="echo",
    description="Repeats the user's words.",
    version="1",
    capabilities=AgentCapabilities(streaming=True, push_notifications=True),
    default_input_modes=["text"],
    default_output_modes=["text"],
)


class EchoAgent(AgentExecutor):
    """Repeats all words of a task; `done` ends it, any other message waits for the next one."""

    def __init__(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        """A message `wait` stops the agent until the event of its task is set."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        task_id, context_id, message = context.task_id, context.context_id, context.message
        assert task_id
        assert context_id
        assert message
        task = context.current_task
        if task is None:
            task = Task(
                id=task_id,
                context_id=context_id,
                status=TaskStatus(state=TaskState.TASK_STATE_SUBMITTED),
                history=[message],
            )
            await event_queue.enqueue_event(task)
        updater = TaskUpdater(event_queue, task_id, context_id)
        await updater.start_work()
        words = context.get_user_input()
        if words == "wait":
            await self.gates.setdefault(task_id, asyncio.Event()).wait()
        earlier = [part.text for each in task.artifacts for part in each.parts]
        await updater.add_artifact([Part(text=f"{len(earlier)}: {words}")])
        if words == "done":
            await updater.complete()
        else:
            await updater.requires_input()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()


@dataclass(eq=False)
class Replica:
    """A server of A2A; `posts` are the requests that its webhooks got."""

    handler: RequestHandler
    agent: EchoAgent
    posts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@contextlib.asynccontextmanager
async def serve(client: PostgresClient, *, versioned: bool = True) -> AsyncGenerator[Replica]:
    """Run a server of A2A on a client."""
    posts: list[dict[str, Any]] = []

    def receive(request: httpx.Request) -> httpx.Response:
        posts.append({"url": str(request.url), **json.loads(request.content)})
        return httpx.Response(200)

    agent, push = EchoAgent(), PushNotificationConfigStore(client)
    async with httpx.AsyncClient(transport=httpx.MockTransport(receive)) as web:
        handler = DefaultRequestHandlerV2(
            agent_executor=agent,
            task_store=VersionedTaskStore(client) if versioned else TaskStore(client),
            agent_card=CARD,
            push_config_store=push,
            push_sender=BasePushNotificationSender(web, push),
            event_stream=TaskEventStream(client) if versioned else None,
        )
        yield Replica(handler, agent, posts)
        await handler.aclose()


def message(words: str, *, task_id: str = "", context_id: str = "") -> SendMessageRequest:
    """Return a request with the words of a user."""
    return SendMessageRequest(
        message=Message(
            message_id=f"m-{words}",
            role=Role.ROLE_USER,
            parts=[Part(text=words)],
            task_id=task_id,
            context_id=context_id,
        )
    )


async def send(
    replica: Replica, words: str, context: ServerCallContext, *, task: Task | None = None
) -> Task:
    """Send a message and return the task."""
    request = message(
        words, task_id=task.id if task else "", context_id=task.context_id if task else ""
    )
    result = await replica.handler.on_message_send(request, context)
    assert isinstance(result, Task)
    return result


def texts(task: Task) -> list[str]:
    """Return the texts of the artifacts of a task."""
    return [part.text for each in task.artifacts for part in each.parts]
