"""Messages and entries for the tests of conversations."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationEntry
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    UserPromptPart,
)

START = datetime(2026, 1, 1, tzinfo=UTC)


def question(text: str) -> ModelMessage:
    return ModelRequest(parts=[UserPromptPart(content=text, timestamp=START)])


def answer(text: str) -> ModelMessage:
    return ModelResponse(parts=[TextPart(content=text)], timestamp=START)


def turns(*names: str) -> list[ModelMessage]:
    """Return a question and an answer for each name."""
    return [each for name in names for each in (question(f"{name}?"), answer(f"{name}."))]


def conversation(conversation_id: str, *names: str) -> Conversation:
    """Return a conversation with a turn for each name."""
    return Conversation(conversation_id=conversation_id, messages=turns(*names))


def chain(*ids: str, parent: str | None = None) -> list[ConversationEntry]:
    """Return entries that follow each other, the first one after a parent."""
    parents = [parent, *ids]
    return [
        ConversationEntry(id=id_, parent_id=before, message=question(id_))
        for id_, before in zip(ids, parents, strict=False)
    ]
