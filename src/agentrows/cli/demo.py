"""The main job, end to end: documents become sessions, events and memories, and are talked about.

Reads the project's own documents, one session each with a paragraph per event, stores what there
is to remember, holds a conversation with tools, a task and a checkpoint, and then lists, searches
and prunes. `AGENTROWS_DATABASE_URL` says where; `agentrows demo` runs it on an embedded PostgreSQL.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
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

    from pydantic import JsonValue

T = TypeVar("T")

USER = f"mira-{uuid4().hex[:4]}"  # somebody new in every run
TASK = f"task-{uuid4().hex[:8]}"
AGENT = "docs-reader"
QUESTION = "how do I add a table?"
HERE = Path(__file__).resolve().parent
FOLDER = HERE / "docs" if (HERE / "docs").is_dir() else HERE.parent  # in a wheel, in a checkout


def paragraphs(path: Path) -> Iterator[str]:
    """Yield a document's paragraphs, each after the heading it stands under; code left out."""
    prose = re.sub(r"(?ms)^ *```.*?^ *```$", "", path.read_text(encoding="utf-8"))
    heading = path.stem
    for block in re.split(r"\n\s*\n", prose):
        text = " ".join(block.split())
        if text.startswith("#"):
            heading = text.lstrip("# ")
        elif text:
            yield f"{heading}: {text}"


def embed(text: str) -> Vector:
    """Return a (768,) float32 vector of hashed words and trigrams: no model, but it searches."""
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
    """Return base64 of JSON, which is how a checkpoint and its writes are stored."""
    return base64.b64encode(to_json(value).encode()).decode()


def document_of(memory: Memory | MemoryHit) -> str:
    """Return the name of the document that a memory is about."""
    return str(json.loads(memory.metadata or "{}").get("document", "?"))


class Stopwatch:
    """Awaits calls, and remembers how many rows each moved and how long it took."""

    def __init__(self) -> None:
        self.calls: dict[str, list[tuple[int, float]]] = {}

    async def __call__(self, call: str, awaitable: Awaitable[T], *, rows: Callable[[T], int]) -> T:
        """Await a call, note it, return its result; `rows` counts what the result stands for."""
        started = time.perf_counter()
        result = await awaitable
        took = (time.perf_counter() - started) * 1000
        self.calls.setdefault(call, []).append((rows(result), took))
        return result

    def table(self) -> Table:
        """Return a table with a line for each kind of call."""
        table = Table(title="\nhow long each call took", title_justify="left")
        table.add_column("call")
        for heading in ("times", "rows", "median ms"):
            table.add_column(heading, justify="right")
        for call, runs in self.calls.items():
            count = sum(rows for rows, _ in runs)
            table.add_row(call, str(len(runs)), f"{count:,}", f"{median(ms for _, ms in runs):.1f}")
        return table


def one(_row: object) -> int:
    """Count a call that returns one row."""
    return 1


async def remember(client: PostgresClient, timed: Stopwatch, documents: list[Path]) -> None:
    """Store an agent, a session per document, its paragraphs as events and as memories."""
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
                expires_at=yesterday if name == "CHANGELOG.md" else None,
            )
            for text in texts
        ]
        await timed("store_agent_memories", client.store_agent_memories(memories), rows=int)


async def converse(client: PostgresClient, timed: Stopwatch) -> None:
    """Hold a conversation: a question, a task with tools, a checkpoint, an answer, a verdict."""
    tools = [NewTool(id="search", description="Search the documents"), NewTool(id="open")]
    refresh = client.refresh_tools_for_server("docs", group_kind="MCPServer", tools=tools)
    await timed("refresh_tools_for_server", refresh, rows=lambda changed: changed.stored)

    async with client.transaction() as tx:  # all of it is stored, or nothing
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

    text = "In five steps: CONTRIBUTING.md has them."
    answer = NewEvent(id=str(uuid4()), user_id=USER, session_id="chat", data=text)
    await timed("store_events", client.store_events([answer]), rows=int)
    done = client.store_task(TASK, user_id=USER, data=to_json("completed"))
    await timed("store_task", done, rows=one)
    feedback = client.store_feedback(
        user_id=USER, is_positive=False, feedback_text="Which five?", issue_type="incomplete"
    )
    await timed("store_feedback", feedback, rows=one)
    share = client.create_session_share("chat", user_id=USER)
    token = (await timed("create_session_share", share, rows=one)).token
    opened = client.record_share_access(token, user_id="a-colleague")
    await timed("record_share_access", opened, rows=one)


async def look(client: PostgresClient, timed: Stopwatch, console: Console) -> None:
    """List what is stored, and search it."""
    sessions = await timed("list_sessions", client.list_sessions(user_id=USER), rows=len)
    listing = client.list_agent_memories(agent_name=AGENT, user_id=USER)
    memories = await timed("list_agent_memories", listing, rows=len)
    stored = Table(title="\nwhat is stored", title_justify="left")
    stored.add_column("session")
    for heading in ("events", "memories"):
        stored.add_column(heading, justify="right")
    for session in sessions:
        events = await client.list_events_for_session(session.id, user_id=USER)
        about = [memory for memory in memories if document_of(memory) == session.id]
        stored.add_row(session.id, str(len(events)), str(len(about) or "-"))
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
        console.print(f"  {hit.score:.2f}  [dim]{document_of(hit):<16}[/dim] {text}")


async def tidy(client: PostgresClient, timed: Stopwatch) -> None:
    """Delete a session, and prune what has expired and what was idle for 30 days."""
    deleting = client.delete_session("chat", user_id=USER)
    await timed("delete_session", deleting, rows=int)
    memories = client.prune_expired_memories()
    await timed("prune_expired_memories", memories, rows=lambda pruned: pruned.deleted)
    idle = client.prune_expired_sessions(timedelta(days=30))
    await timed("prune_expired_sessions", idle, rows=lambda pruned: pruned.sessions)


async def main() -> None:
    """Run it all, and show what is stored and how long each call took."""
    console = Console(highlight=False)
    documents = sorted([*FOLDER.glob("*.md"), *(FOLDER / "docs").glob("*.md")])
    console.print(f"storing {len(documents)} documents as what {AGENT} and {USER} talked about")
    timed = Stopwatch()
    started = time.perf_counter()
    async with PostgresClient.open() as client:
        console.print(f"server ready, schema migrated in {time.perf_counter() - started:.1f} s")
        await remember(client, timed, documents)
        await converse(client, timed)
        await look(client, timed, console)
        await tidy(client, timed)
    console.print(timed.table())


if __name__ == "__main__":
    asyncio.run(main())
