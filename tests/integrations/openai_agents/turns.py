"""A process of an application: it runs turns of a conversation, and may stop in the last one.

It prints one line of JSON per turn: the answer and the texts of the items that the model got first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Final

from agents import (
    Agent,
    Runner,
    RunState,
    SQLiteSession,
    function_tool,
    set_tracing_disabled,
)

from agentrows import PostgresClient
from agentrows.openai_agents import PostgresSession
from integrations.openai_agents.models import FakeModel, text_of

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from agents import Session

STOPPED: Final = "stopped"


async def stop() -> None:
    """Report that the run has come to its stop, and wait for the end of the process."""
    print(STOPPED, flush=True)  # noqa: T201
    await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def open_session(store: str) -> AsyncGenerator[Session]:
    """Open the session of a DSN, or of a file of SQLite."""
    if store.startswith("postgresql:"):
        async with PostgresClient.open(store, migrations="off") as client:
            yield PostgresSession("s-1", client=client, user_id="mira")
    else:
        yield SQLiteSession("s-1", store)


async def converse(store: str, texts: list[str], stop_at: str) -> None:
    """Run turns; the last one stops at `model 1`, `model 2` or `tool`, or nowhere."""
    last = False

    @function_tool
    async def look_up(value: str) -> str:
        """Look a value up."""
        if last and stop_at == "tool":
            await stop()
        return f"<{value}>"

    @function_tool(needs_approval=True)
    async def pay(value: str) -> str:
        """Pay an amount."""
        return f"paid {value}"

    async def before_answer(call: int) -> None:
        if last and stop_at == f"model {call}":
            await stop()

    async with open_session(store) as session:
        for number, text in enumerate(texts, start=1):
            last = number == len(texts)
            model = FakeModel(before_answer=before_answer)
            agent = Agent(name="helper", model=model, tools=[look_up, pay])
            if text.startswith("{"):
                state = await RunState.from_string(agent, text)
                for item in state.get_interruptions():
                    state.approve(item)
                result = await Runner.run(agent, state, session=session)
            else:
                result = await Runner.run(agent, text, session=session)
            answer = {
                "answer": result.final_output,
                "seen": [text_of(item) for item in model.seen[0]],
            }
            if result.interruptions:
                answer["state"] = result.to_state().to_string()
            print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    set_tracing_disabled(True)
    store, stop_at, *texts = sys.argv[1:]
    asyncio.run(converse(store, texts, stop_at))
