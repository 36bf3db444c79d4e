"""A server of A2A whose tasks are in PostgreSQL, with a fake agent: run it without arguments.

    pip install 'agentrows[a2a,embedded]' 'a2a-sdk[http-server]' uvicorn
    python examples/a2a/booking_agent.py            # a conversation, with a restart in the middle
    python examples/a2a/booking_agent.py --serve    # a server on port 8000

The database is that of AGENTROWS_DATABASE_URL, else an embedded PostgreSQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from a2a.server.agent_execution import AgentExecutor
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.tasks import TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskState,
    TaskStatus,
)

from agentrows import PostgresClient
from agentrows.a2a import PushNotificationConfigStore, TaskEventStream, VersionedTaskStore

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from a2a.server.agent_execution import RequestContext
    from a2a.server.events import EventQueue
    from a2a.server.request_handlers import RequestHandler

CARD = AgentCard(
    name="Booking agent",
    description="Books rooms.",
    version="1.0",
    supported_interfaces=[
        AgentInterface(
            url="http://localhost:8000", protocol_binding="JSONRPC", protocol_version="1.0"
        )
    ],
    capabilities=AgentCapabilities(streaming=True, push_notifications=True),
    default_input_modes=["text"],
    default_output_modes=["text"],
    skills=[AgentSkill(id="book", name="Book", description="Books a room.", tags=["travel"])],
)


class BookingAgent(AgentExecutor):
    """Asks for the number of nights, then books: in place of a model."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Answer one message of the user."""
        task_id, context_id, message = context.task_id, context.context_id, context.message
        if task_id is None or context_id is None or message is None:
            raise ValueError("the request has no task")
        updater = TaskUpdater(event_queue, task_id, context_id)
        if context.current_task is None:
            status = TaskStatus(state=TaskState.TASK_STATE_SUBMITTED)
            await event_queue.enqueue_event(
                Task(id=task_id, context_id=context_id, status=status, history=[message])
            )
            await updater.requires_input(
                updater.new_agent_message([Part(text="For how many nights?")])
            )
        else:
            await updater.add_artifact([Part(text=f"Booked: {context.get_user_input()} nights.")])
            await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        """Cancel the task."""
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()


@contextlib.asynccontextmanager
async def open_handler(client: PostgresClient) -> AsyncGenerator[RequestHandler]:
    """Yield the request handler of a server, which keeps nothing in memory between requests."""
    handler = DefaultRequestHandler(
        agent_executor=BookingAgent(),
        agent_card=CARD,
        task_store=VersionedTaskStore(client),
        event_stream=TaskEventStream(client),
        push_config_store=PushNotificationConfigStore(client),
    )
    yield handler
    await handler.aclose()


async def send(handler: RequestHandler, text: str, task: Task | None = None) -> Task:
    """Send a message of the user and return the task."""
    message = Message(message_id=text, role=Role.ROLE_USER, parts=[Part(text=text)])
    if task is not None:
        message.task_id, message.context_id = task.id, task.context_id
    request = SendMessageRequest(message=message)
    result = await handler.on_message_send(request, ServerCallContext())
    if not isinstance(result, Task):
        raise TypeError("the agent did not answer with a task")
    return result


async def converse(dsn: str) -> None:
    """Begin a task, open everything anew as after a restart, and complete the task."""
    async with PostgresClient.open(dsn) as client, open_handler(client) as handler:
        task = await send(handler, "A room in Rome, please.")
        print("agent:", task.status.message.parts[0].text)
    async with PostgresClient.open(dsn) as client, open_handler(client) as handler:
        task = await send(handler, "three", task)
        print("agent:", task.artifacts[0].parts[0].text)
        page = await handler.on_list_tasks(ListTasksRequest(), ServerCallContext())
        print("tasks:", page.total_size)


async def serve(dsn: str) -> None:
    """Run a server on port 8000."""
    import uvicorn
    from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
    from starlette.applications import Starlette

    async with PostgresClient.open(dsn) as client, open_handler(client) as handler:
        routes = [*create_agent_card_routes(CARD), *create_jsonrpc_routes(handler, "/")]
        await uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=8000)).serve()


if __name__ == "__main__":
    main = serve if "--serve" in sys.argv else converse
    asyncio.run(main(os.environ.get("AGENTROWS_DATABASE_URL", "embedded:")))
