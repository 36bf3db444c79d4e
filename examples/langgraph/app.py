"""An assistant with a memory, for several users: `python app.py postgresql://…` or `embedded:`.

The model is a function that answers from the stored facts, so the example needs no network. Replace
`answer` with a call of a real one.
"""

from __future__ import annotations

import asyncio
import operator
import sys
from typing import TYPE_CHECKING, Annotated, TypedDict

from langgraph.graph import START, StateGraph

from agentrows import PostgresClient
from agentrows.langgraph import AgentRowsSaver, AgentRowsStore

if TYPE_CHECKING:
    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.store.base import BaseStore


class Chat(TypedDict):
    """The state of a conversation."""

    messages: Annotated[list[str], operator.add]


def config_of(user: str, thread: str) -> RunnableConfig:
    """Return the config of a user's conversation; a server takes the user from the login."""
    return {"configurable": {"thread_id": thread, "user": user}}


def user_of(config: RunnableConfig) -> str:
    """Return the user of a call, whom this program, and not its client, has put in the config."""
    return str(config["configurable"]["user"])


def answer(question: str, facts: list[str]) -> str:
    """Answer as a model would."""
    return f"I know {', '.join(facts)}." if question.endswith("?") else "I will remember that."


async def respond(state: Chat, config: RunnableConfig, *, store: BaseStore) -> Chat:
    """Answer the last message; a statement becomes a fact of the user."""
    namespace = ("facts", user_of(config))
    question = state["messages"][-1]
    if not question.endswith("?"):
        await store.aput(namespace, question, {"text": question})
    facts = [item.value["text"] for item in await store.asearch(namespace)]
    return {"messages": [answer(question, sorted(facts))]}


def build(client: PostgresClient) -> CompiledStateGraph[Chat, None, Chat, Chat]:
    """Compile the graph once, for all users."""
    builder = StateGraph(Chat)
    builder.add_node("respond", respond)
    builder.add_edge(START, "respond")
    return builder.compile(
        checkpointer=AgentRowsSaver(client, user=user_of),
        store=AgentRowsStore(client, user=lambda namespace: namespace[1]),
    )


async def main(dsn: str) -> None:
    """Talk to the assistant as two users, each in a thread with the same id."""
    async with PostgresClient.open(dsn) as client:
        assistant = build(client)
        for user, message in (
            ("mira", "I am vegetarian"),
            ("juno", "I live in Rome"),
            ("mira", "What do you know about me?"),
        ):
            result = await assistant.ainvoke({"messages": [message]}, config_of(user, "chat"))
            print(f"{user}: {message}\n  {result['messages'][-1]}")
        # The same thread id, but each user has a conversation alone.
        for user in ("mira", "juno"):
            state = await assistant.aget_state(config_of(user, "chat"))
            print(f"{user} has {len(state.values['messages'])} messages")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "embedded:"))
