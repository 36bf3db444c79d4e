"""`agentrows demo`: a support agent's documents become sessions, events and memories.

Stores one session per document with one event per paragraph, and the paragraphs as memories. Then
runs a conversation with tools, a task and a checkpoint, and lists, searches and prunes the rows.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from importlib import resources
from statistics import median
from textwrap import shorten
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from rich.console import Console
from rich.table import Table

from agentrows import (
    Memory,
    MemoryHit,
    NewCheckpointWrite,
    NewEvent,
    NewMemory,
    NewTool,
    PostgresClient,
    Vector,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from importlib.resources.abc import Traversable

    from pydantic import JsonValue

T = TypeVar("T")

USER = f"mira-{uuid4().hex[:4]}"  # a new user in each run
TASK = f"task-{uuid4().hex[:8]}"
AGENT = "bike-rental-support"
QUESTION = "can I return the bike on a Sunday?"
ANSWER = "Yes: the shop at the station is open on Sundays from ten to four."
EXPIRED = "prices-of-last-year.md"


def sample_documents() -> list[Traversable]:
    """Return the sample documents, by name."""
    folder = resources.files("agentrows.cli") / "demo_documents"
    return sorted(folder.iterdir(), key=lambda document: document.name)


def paragraphs(document: Traversable) -> Iterator[str]:
    """Yield a document's paragraphs, each after its heading."""
    heading = document.name
    for block in re.split(r"\n\s*\n", document.read_text(encoding="utf-8")):
        text = " ".join(block.split())
        if text.startswith("#"):
            heading = text.lstrip("# ")
        elif text:
            yield f"{heading}: {text}"


def embed(text: str) -> Vector:
    """Return a (768,) float32 vector of hashed words and trigrams.

    It replaces an embedding model, so that the demo needs no download.
    """
    vector = [0.0] * 768
    for word in re.findall(r"[a-z]+", text.lower()):
        for part in {word, *(word[i : i + 3] for i in range(len(word) - 2))}:
            number = int.from_bytes(hashlib.blake2b(part.encode(), digest_size=4).digest())
            vector[number % 768] += 1.0 if number & 0x10000 else -1.0
    return Vector(vector)


def to_json(value: JsonValue) -> str:
    """Return compact JSON text."""
    return json.dumps(value, separators=(",", ":"))


def to_base64(value: JsonValue) -> str:
    """Return JSON as base64, the form in which checkpoints and their writes are stored."""
    return base64.b64encode(to_json(value).encode()).decode()


def document_of(memory: Memory | MemoryHit) -> str:
    """Return the name of the document that a memory comes from."""
    return str(json.loads(memory.metadata or "{}").get("document", "?"))


class Stopwatch:
    """Awaits calls and records the rows and the duration of each."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[int, float]]] = {}

    async def __call__(self, call: str, awaitable: Awaitable[T], *, rows: Callable[[T], int]) -> T:
        """Await a call and return its result; `rows` counts the rows of the result."""
        started = time.perf_counter()
        result = await awaitable
        took = (time.perf_counter() - started) * 1000
        self.calls.setdefault(call, []).append((rows(result), took))
        return result

    def table(self) -> Table:
        """Return a table with one line per method."""
        table = Table(title="\nduration of the calls", title_justify="left")
        table.add_column("method")
        for heading in ("calls", "rows", "median ms"):
            table.add_column(heading, justify="right")
        for call, runs in self.calls.items():
            count = sum(rows for rows, _ in runs)
            table.add_row(call, str(len(runs)), f"{count:,}", f"{median(ms for _, ms in runs):.1f}")
        return table


def one(_row: object) -> int:
    """Count a call that returns one row."""
    return 1


async def store_documents(
    client: PostgresClient, timed: Stopwatch, documents: list[Traversable]
) -> None:
    """Store an agent, one session per document, and its paragraphs as events and memories."""
    await timed("store_agent", client.store_agent(AGENT, type="Declarative"), rows=one)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for document in documents:
        name = document.name
        texts = list(paragraphs(document))
        session = client.store_session(name, user_id=USER, agent_id=AGENT)
        await timed("store_session", session, rows=one)
        events = [
            NewEvent(id=str(uuid4()), user_id=USER, session_id=name, data=text) for text in texts
        ]
        await timed("store_events", client.store_events(events), rows=int)
        memories = [
            NewMemory(
                id=str(uuid4()),
                agent_name=AGENT,
                user_id=USER,
                content=text,
                embedding=embed(text),
                metadata=to_json({"document": name}),
                expires_at=yesterday if name == EXPIRED else None,
            )
            for text in texts
        ]
        await timed("store_agent_memories", client.store_agent_memories(memories), rows=int)


async def run_conversation(client: PostgresClient, timed: Stopwatch) -> None:
    """Store a conversation: question, task with tools, checkpoint, answer, feedback, share."""
    tools = [NewTool(id="search", description="Search the documents"), NewTool(id="open")]
    refresh = client.refresh_tools_for_server("docs", group_kind="MCPServer", tools=tools)
    await timed("refresh_tools_for_server", refresh, rows=lambda changed: changed.stored)

    async with client.transaction() as tx:  # stores both rows or none
        await tx.store_session("chat", user_id=USER, agent_id=AGENT)
        ask = NewEvent(id=str(uuid4()), user_id=USER, session_id="chat", data=QUESTION)
        await timed("tx.store_events", tx.store_events([ask]), rows=int)
        task = tx.store_task(TASK, user_id=USER, session_id="chat", data=to_json("working"))
        await timed("tx.store_task", task, rows=one)

    checkpoint = client.store_checkpoint(
        "chat",
        user_id=USER,
        checkpoint_id="step-1",
        checkpoint=to_base64({"messages": [QUESTION]}),
        checkpoint_type="json",
        metadata={"step": 1, "source": "loop"},
    )
    await timed("store_checkpoint", checkpoint, rows=one)
    calls = [
        NewCheckpointWrite(idx=i, channel="tools", value_type="json", value=to_base64(tool.id))
        for i, tool in enumerate(tools)
    ]
    writes = client.store_checkpoint_writes(
        "chat", user_id=USER, checkpoint_id="step-1", task_id=TASK, writes=calls
    )
    await timed("store_checkpoint_writes", writes, rows=lambda _: len(calls))

    answer = NewEvent(id=str(uuid4()), user_id=USER, session_id="chat", data=ANSWER)
    await timed("store_events", client.store_events([answer]), rows=int)
    done = client.store_task(TASK, user_id=USER, data=to_json("completed"))
    await timed("store_task", done, rows=one)
    feedback = client.store_feedback(
        user_id=USER, is_positive=False, feedback_text="Which station?", issue_type="incomplete"
    )
    await timed("store_feedback", feedback, rows=one)
    share = client.create_session_share("chat", user_id=USER)
    token = (await timed("create_session_share", share, rows=one)).token
    opened = client.record_share_access(token, user_id="a-colleague")
    await timed("record_share_access", opened, rows=one)


async def list_and_search(client: PostgresClient, timed: Stopwatch, console: Console) -> None:
    """Print the stored rows and the result of a memory search."""
    sessions = await timed("list_sessions", client.list_sessions(user_id=USER), rows=len)
    listing = client.list_agent_memories(agent_name=AGENT, user_id=USER)
    memories = await timed("list_agent_memories", listing, rows=len)
    stored = Table(title="\nstored rows", title_justify="left")
    stored.add_column("session")
    for heading in ("events", "memories"):
        stored.add_column(heading, justify="right")
    for session in sessions:
        events = await client.list_events_for_session(session.id, user_id=USER)
        count = sum(document_of(memory) == session.id for memory in memories)
        stored.add_row(session.id, str(len(events)), str(count or "-"))
    console.print(stored)

    [task] = await client.list_tasks_for_session("chat", user_id=USER)
    state = await timed("get_checkpoint", client.get_checkpoint("chat", user_id=USER), rows=one)
    called = ", ".join(json.loads(base64.b64decode(write.value)) for write in state.writes)
    console.print(
        f"\nchat: task is {json.loads(task.data)}, tools called: {called}", style="italic"
    )

    search = client.search_agent_memory(
        agent_name=AGENT, user_id=USER, embedding=embed(QUESTION), limit=3
    )
    console.print(f"\nsearch: “{QUESTION}”", style="italic")
    for hit in await timed("search_agent_memory", search, rows=len):
        text = shorten(hit.content or "", 50, placeholder=" …")
        console.print(f"  {hit.score:.2f}  [dim]{document_of(hit):<18}[/dim] {text}")


async def delete_and_prune(client: PostgresClient, timed: Stopwatch) -> None:
    """Delete a session, expired memories, and sessions without activity for 30 days."""
    deleting = client.delete_session("chat", user_id=USER)
    await timed("delete_session", deleting, rows=int)
    memories = client.prune_expired_memories()
    await timed("prune_expired_memories", memories, rows=lambda pruned: pruned.deleted)
    idle = client.prune_expired_sessions(timedelta(days=30))
    await timed("prune_expired_sessions", idle, rows=lambda pruned: pruned.sessions)


async def run_demo(dsn: str) -> None:
    """Run the demo on a database and print the stored rows and the duration of the calls."""
    console = Console(highlight=False)
    documents = sample_documents()
    console.print(f"storing {len(documents)} documents as conversations of {USER} with {AGENT}")
    timed = Stopwatch()
    started = time.perf_counter()
    async with PostgresClient.open(dsn) as client:
        console.print(f"server ready, schema migrated in {time.perf_counter() - started:.1f} s")
        await store_documents(client, timed, documents)
        await run_conversation(client, timed)
        await list_and_search(client, timed, console)
        await delete_and_prune(client, timed)
    console.print(timed.table())
