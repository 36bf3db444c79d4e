"""Conversations of Pydantic AI in PostgreSQL.

::

    async with PostgresClient.open("postgresql://…") as client:
        store = ConversationStore(client, user_id="mira")
        conversation = await store.load("trip") or Conversation(conversation_id="trip")
        result = await agent.run("Book a table for two.", conversation=conversation)
        await store.save(result)

It needs the extra `pydantic-ai`: `pip install 'agentrows[pydantic-ai]'`. docs/pydantic_ai.md is the
guide.
"""

from __future__ import annotations

from agentrows.errors import ConfigError

try:
    from agentrows.pydantic_ai.conversations import ConversationStore
    from agentrows.pydantic_ai.rows import EntryNotFound
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pydantic_ai":
        raise
    raise ConfigError(
        "agentrows.pydantic_ai needs pydantic-ai-slim 2.66 or later: "
        "pip install 'agentrows[pydantic-ai]'"
    ) from error

__all__ = ["ConversationStore", "EntryNotFound"]
