"""A model without a network: it answers from the items that it gets."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

from agents import Model, ModelResponse, SQLiteSession, Usage
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from agents import TResponseInputItem
    from openai.types.responses import ResponseOutputItem, ResponseStreamEvent

    from agentrows.openai_agents import PostgresSession


SNAPSHOT: Final = "_get_compaction_snapshot"
REPLACE: Final = "_atomic_replace_items"
"""The hooks, which the SDK too looks up by name."""
HAS_SNAPSHOTS: Final = hasattr(SQLiteSession, SNAPSHOT)
"""Whether this release of the SDK compacts a part of a history."""


async def snapshot_of(session: PostgresSession, limit: int) -> Any:  # noqa: ANN401  duck-typed
    """Return the end of a history with the function that replaces it."""
    return await getattr(session, SNAPSHOT)(limit)


def text_of(item: TResponseInputItem) -> str:
    """Return the text of a message or of the output of a tool; empty for other items."""
    parts = cast("dict[str, Any]", item)
    content = parts.get("content", parts.get("output", ""))
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in cast("list[dict[str, Any]]", content))
    return str(content)


def user_texts(items: list[TResponseInputItem]) -> list[str]:
    """Return the texts of the user's messages."""
    return [text_of(item) for item in items if cast("dict[str, Any]", item).get("role") == "user"]


@dataclass
class FakeModel(Model):
    """Repeats the user's messages; after "call NAME VALUE" it calls that tool first."""

    calls: int = 0
    before_answer: Callable[[int], Awaitable[object]] | None = None
    seen: list[list[TResponseInputItem]] = field(default_factory=list["list[TResponseInputItem]"])

    async def get_response(
        self,
        system_instructions: str | None,  # noqa: ARG002  the parameters of the SDK
        input: str | list[TResponseInputItem],  # noqa: A002
        *_: object,
        **__: object,
    ) -> ModelResponse:
        """Answer the last item."""
        self.calls += 1
        items: list[TResponseInputItem] = (
            [{"role": "user", "content": input}] if isinstance(input, str) else input
        )
        self.seen.append(list(items))
        if self.before_answer is not None:
            await self.before_answer(self.calls)
        await asyncio.sleep(0)
        texts = user_texts(items)
        last = cast("dict[str, Any]", items[-1])
        output: ResponseOutputItem
        if last.get("type") == "function_call_output":
            output = self._message(f"tool: {text_of(items[-1])}")
        elif texts[-1].startswith("call "):
            _command, name, value = texts[-1].split(" ", 2)
            output = ResponseFunctionToolCall(
                id=f"fc-{self.calls}-{id(self)}",
                call_id=f"call-{self.calls}-{id(self)}",
                type="function_call",
                name=name,
                arguments=json.dumps({"value": value}),
            )
        else:
            output = self._message(" | ".join(texts))
        return ModelResponse(output=[output], usage=Usage(), response_id=f"resp-{self.calls}")

    def _message(self, text: str) -> ResponseOutputMessage:
        return ResponseOutputMessage(
            id=f"msg-{self.calls}-{id(self)}",
            type="message",
            role="assistant",
            status="completed",
            content=[
                ResponseOutputText(text=text, type="output_text", annotations=[], logprobs=[])
            ],
        )

    def stream_response(self, *_: object, **__: object) -> AsyncIterator[ResponseStreamEvent]:
        """Refuse to stream."""
        raise NotImplementedError
