"""A process of an application: a server of A2A on a port of its own, which it prints."""

from __future__ import annotations

import asyncio
import datetime as dt
import socket
import sys
from typing import TYPE_CHECKING

import uvicorn
from a2a.server.agent_execution import active_task
from a2a.server.routes import DefaultServerCallContextBuilder, create_jsonrpc_routes
from a2a.server.tasks import task_updater
from starlette.applications import Starlette

from agentrows import PostgresClient
from integrations.a2a.agents import serve
from integrations.a2a.support_a2a import Named

if TYPE_CHECKING:
    from a2a.auth.user import User
    from starlette.requests import Request


class UserOfHeader(DefaultServerCallContextBuilder):
    """Takes the user of a call from its header `user`."""

    def build_user(self, request: Request) -> User:
        return Named(request.headers["user"])


def set_clock(ahead_s: float) -> None:
    """Make the clock of the SDK differ from that of the machine."""

    class Clock(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> dt.datetime:  # type: ignore[override]
            return dt.datetime.now(tz) + dt.timedelta(seconds=ahead_s)

    for module in (active_task, task_updater):
        setattr(module, "datetime", Clock)  # noqa: B010  the name is not part of the module's stubs


async def run(dsn: str, *, versioned: bool, ahead_s: float) -> None:
    """Serve until the process ends."""
    set_clock(ahead_s)
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        async with (
            PostgresClient.open(dsn, migrations="off") as client,
            serve(client, versioned=versioned) as server,
        ):
            routes = create_jsonrpc_routes(server.handler, "/", context_builder=UserOfHeader())
            config = uvicorn.Config(Starlette(routes=routes), log_level="error")
            print(sock.getsockname()[1], flush=True)  # noqa: T201
            await uvicorn.Server(config).serve(sockets=[sock])


if __name__ == "__main__":
    dsn, kind, ahead_s = sys.argv[1:]
    asyncio.run(run(dsn, versioned=kind == "versioned", ahead_s=float(ahead_s)))
