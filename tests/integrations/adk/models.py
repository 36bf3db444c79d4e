"""A model without a network, and an agent with tools that set state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.adk.agents import LlmAgent
from google.adk.apps import App
from google.adk.models import BaseLlm
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.tools.tool_context import ToolContext  # noqa: TC002  ADK reads a tool's annotations
from google.genai import types

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from google.adk.events.event import Event
    from google.adk.models.llm_request import LlmRequest
    from google.adk.sessions import BaseSessionService

APP: Final = "travel"


class ScriptedModel(BaseLlm):
    """Calls the tool `note` for the text of each user message, then repeats the message.

    `before` is called before each answer, with the number of contents that the model got.
    """

    model: str = "scripted"
    before: Any = None

    async def generate_content_async(
        self,
        llm_request: LlmRequest,
        stream: bool = False,  # noqa: FBT001, FBT002, ARG002  the signature of ADK
    ) -> AsyncGenerator[LlmResponse, None]:
        if self.before is not None:
            await self.before(len(llm_request.contents))
        last = (llm_request.contents[-1].parts or [])[-1]
        if last.function_response is not None:
            part = types.Part(text=f"noted {(last.function_response.response or {}).get('count')}")
        else:
            part = types.Part(
                function_call=types.FunctionCall(name="note", args={"text": last.text or ""})
            )
        yield LlmResponse(content=types.Content(role="model", parts=[part]))


def note(text: str, tool_context: ToolContext) -> dict[str, int]:
    """Note a text in every state."""
    state = tool_context.state
    count: int = state.get("count", 0) + 1
    state["count"] = count
    state["last"] = text
    state["user:notes"] = [*state.get("user:notes", []), text]
    state[f"app:by-{tool_context.user_id}"] = count
    state["temp:scratch"] = text
    return {"count": count}


def make_runner(
    service: BaseSessionService, *, before: Callable[[int], Awaitable[None]] | None = None
) -> Runner:
    """A runner of the agent on a session service."""
    agent = LlmAgent(name="agent", model=ScriptedModel(before=before), tools=[note])
    return Runner(
        app=App(name=APP, root_agent=agent), session_service=service, auto_create_session=True
    )


async def say(runner: Runner, text: str, *, user_id: str = "mira", session_id: str = "s-1") -> str:
    """Run one turn and return the text of the last event."""
    message = types.Content(role="user", parts=[types.Part(text=text)])
    events: list[Event] = [
        event
        async for event in runner.run_async(
            user_id=user_id, session_id=session_id, new_message=message
        )
    ]
    content = events[-1].content
    assert content is not None
    assert content.parts
    return content.parts[0].text or ""
