"""The server-sent events of docs/tails.md, in the web framework that a2a-sdk uses."""

from __future__ import annotations

import asyncio
import contextlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.routing import Route

from agentrows import NewEvent

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping

    from starlette.requests import HTTPConnection

    from agentrows import PostgresClient

PAGE = (Path(__file__).parents[3] / "docs" / "tails.md").read_text()


class HeaderAuthentication(AuthenticationBackend):
    """The user is the one that a header names."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        return AuthCredentials(), SimpleUser(conn.headers["x-user"])


@pytest.fixture
def application(client: PostgresClient) -> Starlette:
    """The application of the page."""
    [example] = [b for b in re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE) if "starlette" in b]
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102  our own document
    application = Starlette(
        routes=[Route("/sessions/{session_id}/events", names["follow"])],
        middleware=[Middleware(AuthenticationMiddleware, backend=HeaderAuthentication())],
    )
    application.state.client = client
    return application


@contextlib.asynccontextmanager
async def request(
    application: Starlette, session: str, **headers: str
) -> AsyncGenerator[Callable[[int], Awaitable[list[str]]]]:
    """Send a request; yield a function that returns that many lines, and disconnect at the end."""
    sent: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    is_over = asyncio.Event()
    lines: list[str] = []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": f"/sessions/{session}/events",
        "query_string": b"",
        "headers": [(b"x-user", b"mira")]
        + [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> dict[str, Any]:
        await is_over.wait()
        return {"type": "http.disconnect"}

    async def read(count: int) -> list[str]:
        async with asyncio.timeout(30):
            while len(lines) < count:
                message = await sent.get()
                if message["type"] == "http.response.start":
                    assert (b"content-type", b"text/event-stream; charset=utf-8") in message[
                        "headers"
                    ]
                else:
                    lines.extend(message["body"].decode().splitlines())
        return lines

    serving = asyncio.ensure_future(application(scope, receive, sent.put))
    try:
        yield read
    finally:
        is_over.set()
        async with asyncio.timeout(10):
            await asyncio.gather(serving, return_exceptions=True)


def event(id_: str, data: str) -> NewEvent:
    return NewEvent(id=id_, user_id="mira", session_id="s-1", data=data)


async def test_server_sent_events_of_the_page_continue_after_the_last_id(
    application: Starlette, client: PostgresClient
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    await client.store_events([event("e-1", "{}"), event("e-2", '{\n"a": 1}')])
    first = ["id: e-1", "data: {}", ""]
    second = ["id: e-2", "data: {", 'data: "a": 1}', ""]
    third = ["id: e-3", "data: 3", ""]
    async with request(application, "s-1") as read:
        assert await read(7) == first + second
        await client.store_events([event("e-3", "3")])
        assert await read(10) == first + second + third
    async with request(application, "s-1", last_event_id="e-2") as read:
        assert await read(3) == third
    async with request(application, "s-1", last_event_id="absent") as read:
        assert await read(10) == first + second + third
    assert not client._tails._waiting  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
