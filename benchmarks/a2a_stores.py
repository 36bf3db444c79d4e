"""The task store of A2A compared with DatabaseTaskStore of a2a-sdk, on one PostgreSQL with fsync.

    .venv-integrations-agents/bin/python benchmarks/a2a_stores.py

It needs the extras `a2a` and `embedded`, and SQLAlchemy with asyncpg for the store of a2a-sdk.
Contenders take turns; the result of a step is the median of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import asyncpg
from a2a.auth.user import User
from a2a.server.cluster import TaskVersion, VersionedDatabaseTaskStore
from a2a.server.context import ServerCallContext
from a2a.server.tasks import DatabaseTaskStore
from a2a.types.a2a_pb2 import ListTasksRequest, Message, Part, Role, Task, TaskState, TaskStatus
from sqlalchemy.ext.asyncio import create_async_engine

from agentrows import PostgresClient
from agentrows.a2a import TaskStore, VersionedTaskStore
from agentrows.db.embedded import load_get_server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from a2a.server.cluster import VersionedTaskStore as AnyVersionedStore
    from a2a.server.tasks import TaskStore as AnyStore
    from sqlalchemy.ext.asyncio import AsyncEngine

OURS, THEIRS = "agentrows", "a2a-sdk"
AT_ONCE: Final = 16
SIZES: Final = (1_000, 100_000)
FILL: Final = {
    OURS: """
        INSERT INTO task (id, data, session_id, created_at, updated_at, protocol_version, user_id,
            agentrows_version, agentrows_state, agentrows_status_ns)
        SELECT t.id, replace($3, 'ID', t.id), 'c-' || n % 50, now(), now(), '1.0', $1, 1,
            'TASK_STATE_WORKING', n * 1000000000::bigint
        FROM generate_series(1, $2::integer) AS n, LATERAL (SELECT 't-' || n AS id) AS t
    """,
    THEIRS: """
        INSERT INTO tasks (id, context_id, kind, owner, last_updated, status, artifacts, history,
            protocol_version)
        SELECT 't-' || n, 'c-' || n % 50, 'task', $1, to_timestamp(n) AT TIME ZONE 'UTC',
            $3::json -> 'status', '[]', $3::json -> 'history', '1.0'
        FROM generate_series(1, $2::integer) AS n
    """,
}
DATA: Final = (
    '{"id": "ID", "contextId": "c-1", "status": {"state": "TASK_STATE_WORKING"}, "history":'
    ' [{"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "Book a room in Rome."}]}]}'
)


class Named(User):
    """An authenticated user."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        """Whether the user is authenticated."""
        return True

    @property
    def user_name(self) -> str:
        """The name of the user."""
        return self._name


def of(name: str) -> ServerCallContext:
    return ServerCallContext(user=Named(name))


def make_task(number: int, turn: int) -> Task:
    """Return a task with a history of three messages."""
    task = Task(
        id=f"s-{number}",
        context_id="c",
        status=TaskStatus(state=TaskState.TASK_STATE_WORKING),
        history=[
            Message(message_id=str(n), role=Role.ROLE_USER, parts=[Part(text=f"{turn} " * 40)])
            for n in range(3)
        ],
    )
    task.status.timestamp.FromNanoseconds(time.time_ns())
    return task


async def rate(call: Callable[[int, int], Awaitable[object]], seconds: float) -> float:
    """Return the calls per second of 16 concurrent callers."""
    end = time.perf_counter() + seconds
    done = 0

    async def work(number: int) -> None:
        nonlocal done
        turn = 0
        while time.perf_counter() < end:
            await call(number, turn)
            turn += 1
            done += 1

    await asyncio.gather(*(work(number) for number in range(AT_ONCE)))
    return done / seconds


async def page_ms(store: AnyStore, user: str, times: int = 40) -> float:
    """Return the median time of the first page of 20 tasks."""
    taken: list[float] = []
    for _ in range(times):
        begin = time.perf_counter()
        page = await store.list(ListTasksRequest(page_size=20), of(user))
        taken.append((time.perf_counter() - begin) * 1000)
        if len(page.tasks) != 20:  # noqa: PLR2004
            raise ValueError("this is not a page of 20 tasks")
    return statistics.median(taken)


@dataclass
class Bench:
    """The stores of both libraries on one database, and their results by step and name."""

    client: PostgresClient
    db: asyncpg.Connection
    engine: AsyncEngine
    rounds: int
    seconds: float
    results: dict[str, dict[str, list[float]]] = field(
        default_factory=dict[str, dict[str, list[float]]]
    )

    def note(self, step: str, name: str, value: float) -> None:
        """Add the result of a round."""
        self.results.setdefault(step, {}).setdefault(name, []).append(value)

    async def pages(self, size: int) -> None:
        """Measure the first page of a user with this number of tasks."""
        user = f"user-{size}"
        for name, table in ((OURS, "task"), (THEIRS, "tasks")):
            await self.db.execute(f"DELETE FROM {table}")
            await self.db.execute(FILL[name], user, size, DATA)
            await self.db.execute(f"VACUUM ANALYZE {table}")
        stores = {
            OURS: TaskStore(self.client),
            f"{OURS} with count_limit=1000": TaskStore(self.client, count_limit=1000),
            THEIRS: DatabaseTaskStore(self.engine),
        }
        for _ in range(self.rounds):
            for name, store in stores.items():
                step = f"page of 20 out of {size:,}, ms"
                self.note(step, name, await page_ms(store, user))

    async def saves(self) -> None:
        """Measure saves of 16 callers, each of its own task."""
        stores = {OURS: TaskStore(self.client), THEIRS: DatabaseTaskStore(self.engine)}
        for _ in range(self.rounds):
            for name, store in stores.items():

                async def save(number: int, turn: int, store: AnyStore = store) -> None:
                    await store.save(make_task(number, turn), of("mira"))

                step = f"saves at {AT_ONCE} tasks, per s"
                self.note(step, name, await rate(save, self.seconds))

    async def versioned_saves(self) -> None:
        """Measure versioned saves with an event of 16 callers, each of its own task."""
        stores: dict[str, AnyVersionedStore] = {
            OURS: VersionedTaskStore(self.client),
            f"{OURS} with notify=False": VersionedTaskStore(self.client, notify=False),
            THEIRS: VersionedDatabaseTaskStore(self.engine),
        }
        for name, store in stores.items():
            await self.db.execute("TRUNCATE task, tasks, task_versions")
            versions: dict[int, TaskVersion] = {}

            async def save(
                number: int,
                turn: int,
                store: AnyVersionedStore = store,
                versions: dict[int, TaskVersion] = versions,
            ) -> None:
                task = make_task(number, turn)
                versions[number] = await store.save(
                    task,
                    event=task,
                    prev=None,
                    prev_version=versions.get(number, TaskVersion.MISSING),
                    context=of("mira"),
                )

            for _ in range(self.rounds):
                step = f"versioned saves at {AT_ONCE} tasks, per s"
                self.note(step, name, await rate(save, self.seconds))


async def measure(dsn: str, rounds: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return the median of each step and name."""
    socket = dsn.partition("?")[2]
    engine = create_async_engine(
        f"postgresql+asyncpg://postgres@/bench?{socket}", pool_size=10, max_overflow=0
    )
    await VersionedDatabaseTaskStore(engine).initialize()
    db = await asyncpg.connect(dsn)
    async with PostgresClient.open(dsn) as client:
        bench = Bench(client, db, engine, rounds, seconds)
        for size in SIZES:
            await bench.pages(size)
        await bench.saves()
        await bench.versioned_saves()
    await db.close()
    await engine.dispose()
    return {
        step: {name: statistics.median(values) for name, values in each.items()}
        for step, each in bench.results.items()
    }


def main() -> None:
    """Start a server, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    arguments = parser.parse_args()
    server = load_get_server()(tempfile.mkdtemp(prefix="a2a-bench-"), cleanup_mode="delete")
    server.psql("CREATE DATABASE bench")
    try:
        dsn = str(server.get_uri(database="bench"))
        for step, each in asyncio.run(measure(dsn, arguments.rounds, arguments.seconds)).items():
            cells = ", ".join(f"{name} {value:,.2f}" for name, value in each.items())
            print(f"{step}: {cells}")
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
