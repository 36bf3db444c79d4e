"""The main job, end to end: documents become sessions, events, feedback and memories.

Reads the project's own documents, one session each with a paragraph per event, stores what there
is to remember, and then lists, searches and prunes it. `AGENTROWS_DATABASE_URL` says where;
`agentrows demo` runs it on an embedded PostgreSQL.
"""

from __future__ import annotations

import asyncio
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

from agentrows import Memory, MemoryHit, NewEvent, NewMemory, PostgresClient, Vector

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

USER = f"mira-{uuid4().hex[:4]}"  # somebody new in every run
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
                metadata=json.dumps({"document": name}),
                expires_at=yesterday if name == "CHANGELOG.md" else None,
            )
            for text in texts
        ]
        await timed("store_agent_memories", client.store_agent_memories(memories), rows=int)


async def converse(client: PostgresClient, timed: Stopwatch) -> None:
    """Ask and answer in one transaction, both events or none; then rate the answer."""
    async with client.transaction() as tx:
        await tx.store_session("chat", user_id=USER, agent_id=AGENT)
        turns = {"ask": QUESTION, "answer": "In five steps: CONTRIBUTING.md has them."}
        events = [
            NewEvent(id=f"chat#{turn}", user_id=USER, session_id="chat", data=text)
            for turn, text in turns.items()
        ]
        await timed("tx.store_events", tx.store_events(events), rows=int)
    feedback = client.store_feedback(
        user_id=USER, is_positive=False, feedback_text="Which five?", issue_type="incomplete"
    )
    await timed("store_feedback", feedback, rows=one)


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
