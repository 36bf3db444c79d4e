"""The rows of the tables that grow.

Row `n` is the crowd's if `n` is even, else it is of the small owner `n // 40`, who has 20. What is
the same at every size (20 rows of the crowd that a filter finds, 100 that are old enough to be
pruned) lies among the first 1,000.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

Record = tuple[object, ...]
Make = Callable[[int, datetime], Record]

CROWD: Final = "crowd"
GONE: Final = 100
START: Final = timedelta(days=20)
"""The first row is this old; each further one is a second younger."""
OLD: Final = timedelta(days=730)
SAME: Final = 1_000
RARE: Final = 50
"""Of the first 1,000 rows, which every size has, every 50th is one that a filter finds."""
LOADERS: Final = 3


def owner(n: int) -> str:
    """Return the owner of a row."""
    return f"small-{n // 40}" if n % 2 else CROWD


def is_rare(n: int) -> bool:
    """Whether a filter finds this row of the crowd."""
    return n < SAME and n % RARE == 0


def metadata(source: str) -> str:
    """Return a checkpoint's metadata as the column holds it."""
    return base64.b64encode(json.dumps({"source": source, "step": 1}).encode()).decode()


LOOP, INPUT = metadata("loop"), metadata("input")
CREW: Final = '{"task_description": "Plan a trip to Rome", "score": 7}'


def agent(n: int, at: datetime) -> Record:
    return f"a-{n}", "Declarative", at, at


def session(n: int, at: datetime) -> Record:
    public = n % 2 or is_rare(n)
    return f"s-{n}", owner(n), "public" if public else f"own-{n % 8}", "user", at, at


def share(n: int, at: datetime) -> Record:
    of = n // 40 * 40 + 1 if n % 2 else 0
    return f"token-{n}", f"s-{of}", owner(n), at.replace(tzinfo=None)


def talk(n: int) -> str:
    """Return the session of an event or a task: the crowd has one long one and many short ones."""
    return "s-long" if n % 4 == 0 else f"s-{n // 40}"


def event(n: int, at: datetime) -> Record:
    return f"e-{n}", owner(n), talk(n), "{}", at, at


def task(n: int, at: datetime) -> Record:
    where = "default" if n % 40 == 1 else talk(n)
    return f"t-{n}", owner(n), where, "{}", at, at


def push_notification(n: int, at: datetime) -> Record:
    return f"p-{n}", f"t-{n // 40 * 40 + 1 if n % 2 else 0}", "{}", at, at


def feedback(n: int, at: datetime) -> Record:
    return owner(n), "Wrong city.", "factual", at, at


def tool(n: int, at: datetime) -> Record:
    return f"tool-{n}", f"server-{n // 40}" if n % 2 else "big", "kind", at, at


def tool_server(n: int, at: datetime) -> Record:
    return f"server-{n}", "kind", at, at


def thread(n: int) -> str:
    """Return a checkpoint's thread: the crowd has a long one, and one for a filter that is rare."""
    if n % 4 == 0:
        return "long"
    is_filtered = n < SAME and n % 2 == 0
    return "filtered" if is_filtered else f"thread-{n // 40}"


def checkpoint(n: int, at: datetime) -> Record:
    return owner(n), thread(n), f"{n:020}", INPUT if is_rare(n) else LOOP, "e30=", "json", at, at


def checkpoint_write(n: int, at: datetime) -> Record:
    return owner(n), thread(n), f"{n:020}", 16, "e30=", "json", "city", "task", at


def crewai_memory(n: int, at: datetime) -> Record:
    return owner(n), f"c-{n}", CREW, at, at


def crewai_flow_state(n: int, at: datetime) -> Record:
    return owner(n), f"flow-{n // 40}", f"method-{n}", "{}", at, at


def memory(n: int, at: datetime) -> Record:
    name = "rare_agent" if is_rare(n) else "travel_agent"
    return f"m-{n}", name, owner(n), "It rained.", at, None


TABLES: Final[dict[str, tuple[str, Make]]] = {
    "agent": ("id type created_at updated_at", agent),
    "session": ("id user_id agent_id source created_at updated_at", session),
    "session_share": ("token session_id user_id created_at", share),
    "event": ("id user_id session_id data created_at updated_at", event),
    "task": ("id user_id session_id data created_at updated_at", task),
    "push_notification": ("id task_id data created_at updated_at", push_notification),
    "feedback": ("user_id feedback_text issue_type created_at updated_at", feedback),
    "tool": ("id server_name group_kind created_at updated_at", tool),
    "toolserver": ("name group_kind created_at updated_at", tool_server),
    "lg_checkpoint": (
        "user_id thread_id checkpoint_id metadata checkpoint checkpoint_type created_at updated_at",
        checkpoint,
    ),
    "lg_checkpoint_write": (
        "user_id thread_id checkpoint_id write_idx value value_type channel task_id created_at",
        checkpoint_write,
    ),
    "crewai_agent_memory": ("user_id thread_id memory_data created_at updated_at", crewai_memory),
    "crewai_flow_state": (
        "user_id thread_id method_name state_data created_at updated_at",
        crewai_flow_state,
    ),
    "memory": ("id agent_name user_id content created_at expires_at", memory),
}


def gone(table: str, now: datetime) -> list[Record]:
    """Return the rows of a table that a prune removes."""
    old = now - OLD
    make: dict[str, Callable[[int], Record]] = {
        "session": lambda n: (f"gone-{n}", "gone", "own-0", "user", old, old),
        "event": lambda n: (f"gone-{n}", "gone", f"gone-{n}", "{}", old, old),
        "task": lambda n: (f"gone-{n}", "gone", f"gone-{n}", "{}", old, old),
        "push_notification": lambda n: (f"gone-{n}", f"gone-{n}", "{}", old, old),
        "memory": lambda n: (f"gone-{n}", "travel_agent", "gone", "It rained.", old, old),
    }
    return [make[table](n) for n in range(GONE)] if table in make else []


async def load(dsn: str, size: int) -> None:
    """Copy this many rows into every table, and vacuum."""
    now = datetime.now(UTC)
    slots = asyncio.Semaphore(LOADERS)

    async def fill(table: str) -> None:
        async with slots:
            await copy(dsn, table, rows(table, size, now))

    async with asyncio.TaskGroup() as group:
        for table in TABLES:
            group.create_task(fill(table))


def rows(table: str, size: int, now: datetime) -> Iterable[Record]:
    """Return the rows of a table."""
    yield from (TABLES[table][1](n, now - START + timedelta(seconds=n)) for n in range(size))
    yield from gone(table, now)


async def copy(dsn: str, table: str, records: Iterable[Record]) -> None:
    """Copy rows into a table, then vacuum and analyze it as autovacuum would."""
    connection = await asyncpg.connect(dsn)
    try:
        columns = TABLES[table][0].split()
        await connection.copy_records_to_table(table, records=records, columns=columns)
        await connection.execute(f"VACUUM ANALYZE {table}")
    finally:
        await connection.close()
