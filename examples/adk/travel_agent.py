"""A travel agent of Google ADK that remembers its user, with a model that needs no network.

    AGENTROWS_DATABASE_URL=embedded: python examples/adk/travel_agent.py

The session is stored in PostgreSQL: the second part opens a new client and goes on with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.models import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext  # noqa: TC002  ADK reads a tool's annotations
from google.genai import types

from agentrows import PostgresClient
from agentrows.adk import SessionService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from google.adk.models.llm_request import LlmRequest


class FakeModel(BaseLlm):
    """Calls `book` for a city, and reports the result of the tool."""

    model: str = "fake"

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: FBT001, FBT002, ARG002  the signature of ADK
    ) -> AsyncGenerator[LlmResponse, None]:
        """Yield one answer."""
        last = (llm_request.contents[-1].parts or [])[-1]
        if last.function_response:
            part = types.Part(text=str((last.function_response.response or {})["result"]))
        else:
            city = (last.text or "").rstrip(".").rpartition(" ")[2]
            part = types.Part(function_call=types.FunctionCall(name="book", args={"city": city}))
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def book(city: str, tool_context: ToolContext) -> str:
    """Book a trip to a city."""
    trips = [*tool_context.state.get("user:trips", []), city]
    tool_context.state["user:trips"] = trips  # of the user, in every session
    tool_context.state["last_city"] = city  # of this session
    return f"Booked. Your trips: {', '.join(trips)}."


async def say(client: PostgresClient, text: str) -> None:
    """Run one turn of the conversation and print it."""
    agent = LlmAgent(name="travel", model=FakeModel(), tools=[book])
    runner = Runner(
        app=App(name="travel", root_agent=agent),
        session_service=SessionService(client),
        auto_create_session=True,
    )
    message = types.Content(role="user", parts=[types.Part(text=text)])
    async for event in runner.run_async(user_id="mira", session_id="s-41", new_message=message):
        for part in (event.content.parts if event.content else None) or ():
            if part.text:
                print(f"> {text}\n{part.text}")  # noqa: T201


async def main() -> None:
    """Have a conversation that outlives its client."""
    async with PostgresClient.open() as client:
        await say(client, "Book a trip to Oslo.")
    async with PostgresClient.open() as client:
        await say(client, "And one to Rome.")
        session = await SessionService(client).get_session(
            app_name="travel", user_id="mira", session_id="s-41"
        )
        if session is not None:
            print(f"{len(session.events)} events, state: {session.state}")  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
