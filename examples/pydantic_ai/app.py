"""Conversations that continue after a restart and that fork: `python app.py postgresql://…`.

The model is Pydantic AI's TestModel, which needs no network. Pass another one to `Agent`.
"""

from __future__ import annotations

import asyncio
import sys

from pydantic_ai import Agent
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.models.test import TestModel

from agentrows import PostgresClient
from agentrows.pydantic_ai import ConversationStore

agent = Agent(TestModel(custom_output_text="At 8:15 from platform 3."))


async def ask(dsn: str, user_id: str, question: str, *, conversation_id: str = "trip") -> None:
    """Ask a question with a new client, as after a restart."""
    async with PostgresClient.open(dsn) as client:
        store = ConversationStore(client, user_id=user_id)
        conversation = await store.load(conversation_id)
        result = await agent.run(
            question,
            conversation=conversation or Conversation(conversation_id=conversation_id),
        )
        await store.save(result)
        print(f"{user_id}, {conversation_id}: {len(result.all_messages())} messages")


async def main(dsn: str) -> None:
    """Ask questions of two users, fork a conversation, and delete the original."""
    await ask(dsn, "mira", "A train to Rome?")
    await ask(dsn, "juno", "A train to Oslo?")
    await ask(dsn, "mira", "And back?")
    async with PostgresClient.open(dsn) as client:
        store = ConversationStore(client, user_id="mira")
        await store.fork("trip", at=2, new_conversation_id="other trip")
        first, second = await store.load("trip"), await store.load("trip")
        if first and second:
            await store.save(await agent.run("By bus?", conversation=first))
            try:
                await store.save(await agent.run("By car?", conversation=second))
            except ConversationConflict:
                print("saved by another writer")
        await store.delete("trip")
    await ask(dsn, "mira", "A hotel?", conversation_id="other trip")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
