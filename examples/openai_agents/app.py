"""Conversations of two users that continue after a restart: `python app.py postgresql://…`.

The model is a small class without a network. Remove `model=` to use one of OpenAI.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any, cast

from agents import (
    Agent,
    Model,
    ModelResponse,
    Runner,
    Usage,
    function_tool,
    set_tracing_disabled,
)
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from agentrows import PostgresClient
from agentrows.openai_agents import PostgresSession, stored_agent_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agents import TResponseInputItem
    from openai.types.responses import ResponseOutputItem, ResponseStreamEvent


@function_tool
def find_train(city: str) -> str:
    """Return the next train to a city."""
    return f"09:14 to {city}, platform 5"


class SmallModel(Model):
    """Calls `find_train` for the first message, and counts the messages for the others."""

    async def get_response(
        self,
        system_instructions: str | None,  # noqa: ARG002  the parameters of the SDK
        input: str | list[TResponseInputItem],  # noqa: A002
        *_: object,
        **__: object,
    ) -> ModelResponse:
        """Answer the last item of a history."""
        items = [cast("dict[str, Any]", item) for item in input if not isinstance(item, str)]
        questions = [item for item in items if item.get("role") == "user"]
        number = len(items)
        output: ResponseOutputItem
        if items[-1].get("type") == "function_call_output":
            output = self._say(f"Take the train at {items[-1]['output']}.", number)
        elif len(questions) == 1:
            city = str(questions[0]["content"]).rpartition(" ")[2]
            output = ResponseFunctionToolCall(
                id=f"fc-{number}",
                call_id=f"call-{number}",
                type="function_call",
                name="find_train",
                arguments=json.dumps({"city": city}),
            )
        else:
            output = self._say(f"That was question {len(questions)}.", number)
        return ModelResponse(output=[output], usage=Usage(), response_id=None)

    def _say(self, text: str, number: int) -> ResponseOutputMessage:
        content = ResponseOutputText(text=text, type="output_text", annotations=[], logprobs=[])
        return ResponseOutputMessage(
            id=f"msg-{number}",
            type="message",
            role="assistant",
            status="completed",
            content=[content],
        )

    def stream_response(self, *_: object, **__: object) -> AsyncIterator[ResponseStreamEvent]:
        """Refuse to stream."""
        raise NotImplementedError


async def ask(dsn: str, user_id: str, question: str) -> None:
    """Ask a question in a conversation, with a client as after a restart."""
    agent = Agent(name="travel", model=SmallModel(), tools=[find_train])
    async with PostgresClient.open(dsn) as client:
        session = PostgresSession("trip-41", client=client, user_id=user_id)
        result = await Runner.run(agent, question, session=session)
        print(f"{user_id}: {result.final_output}")


async def main(dsn: str) -> None:
    """Ask questions of two users, list the conversations, and remove one."""
    await ask(dsn, "mira", "A train to Rome")
    await ask(dsn, "juno", "A train to Oslo")
    await ask(dsn, "mira", "And back?")
    async with PostgresClient.open(dsn) as client:
        session = PostgresSession("trip-41", client=client, user_id="mira")
        print(f"{len(await session.get_items())} items of mira")
        agent_id = stored_agent_id()
        for conversation in await client.list_sessions_for_agent(agent_id, user_id="mira"):
            print(f"conversation {conversation.id}")
        await session.clear_session()
        print(f"{len(await session.get_items())} items of mira")


if __name__ == "__main__":
    set_tracing_disabled(True)
    asyncio.run(main(sys.argv[1]))
