"""An agent of Google ADK that remembers earlier sessions, with a model that needs no network.

    AGENTROWS_DATABASE_URL=embedded: python examples/adk/memory_agent.py

The first session is added to the memory; the second one finds it with ADK's tool `load_memory`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.models import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.load_memory_tool import load_memory_tool
from google.genai import types

from agentrows import PostgresClient, Settings
from agentrows.adk import MemoryService, SessionService

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from google.adk.models.llm_request import LlmRequest


class FakeModel(BaseLlm):
    """Searches the memory for the user's message, and repeats the best result."""

    model: str = "fake"

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: FBT001, FBT002, ARG002  the signature of ADK
    ) -> AsyncGenerator[LlmResponse, None]:
        """Yield one answer."""
        last = (llm_request.contents[-1].parts or [])[-1]
        if last.function_response:
            found = (last.function_response.response or {})["result"].memories
            texts = [part.text for entry in found for part in entry.content.parts or ()]
            part = types.Part(
                text=f"You said: {texts[0]}" if texts else "I know nothing about that."
            )
        else:
            call = types.FunctionCall(name="load_memory", args={"query": last.text or ""})
            part = types.Part(function_call=call)
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


async def say(runner: Runner, text: str, session_id: str) -> None:
    """Run one turn of a conversation and print it."""
    message = types.Content(role="user", parts=[types.Part(text=text)])
    async for event in runner.run_async(user_id="mira", session_id=session_id, new_message=message):
        for part in (event.content.parts if event.content else None) or ():
            if part.text:
                print(f"> {text}\n{part.text}")  # noqa: T201


async def main() -> None:
    """Have two conversations; the second one remembers the first."""
    settings = Settings(
        memory_table="agentrows", memory_model="words", memory_text_config="english"
    )
    async with PostgresClient.open(settings=settings) as client:
        sessions, memories = SessionService(client), MemoryService(client)
        agent = LlmAgent(name="travel", model=FakeModel(), tools=[load_memory_tool])
        runner = Runner(
            app=App(name="travel", root_agent=agent),
            session_service=sessions,
            memory_service=memories,
            auto_create_session=True,
        )
        await say(runner, "I always want a window seat.", "s-41")
        session = await sessions.get_session(app_name="travel", user_id="mira", session_id="s-41")
        if session is not None:
            await memories.add_session_to_memory(session)
        await say(runner, "Which seat do I prefer?", "s-42")


if __name__ == "__main__":
    asyncio.run(main())
