"""A process that adds turns to one conversation, and loads it again after each conflict."""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.models.test import TestModel

from agentrows import PostgresClient
from agentrows.pydantic_ai import ConversationStore


async def main(dsn: str, name: str, number: int) -> None:
    agent = Agent(TestModel(custom_output_text=name))
    conflicts = turn = 0
    async with PostgresClient.open(dsn, migrations="off") as client:
        store = ConversationStore(client, user_id="mira")
        print("ready", flush=True)  # noqa: T201
        while turn < number:
            loaded = await store.load("shared")
            current = loaded or Conversation(conversation_id="shared")
            result = await agent.run(f"{name} {turn}", conversation=current)
            try:
                await store.save(result)
            except ConversationConflict:
                conflicts += 1
            else:
                turn += 1
        print(f"done {conflicts}", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
