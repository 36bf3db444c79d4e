"""Every value is returned unchanged, or InvalidValue names the argument and nothing is stored.

The tests call every public method of every store, and vary every argument with all values of its
kind in support/hostile.py, and with generated ones (AGENTROWS_ROUNDS times as many).
"""

from __future__ import annotations

import base64
import json
import os
import re
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrows import (
    UNSET,
    ConfigError,
    Conflict,
    InvalidReference,
    InvalidValue,
    NotFound,
    Stores,
    Vector,
)
from support.hostile import BATCHES, NOTHING_OF_THE_KIND, cases, public_methods
from support.methods import METHODS, call

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient
    from support.hostile import Case

ROUNDS: Final = int(os.environ.get("AGENTROWS_ROUNDS", "1"))
EVERY: Final = [method for methods in METHODS.values() for method in methods]
OF_CHECKPOINT: Final = ("thread_id", "user_id", "checkpoint_ns", "checkpoint_id")
READ_BACK: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "store_agent": ("get_agent", ("id",)),
    "store_session": ("get_session", ("id", "user_id")),
    "create_session": ("get_session", ("id", "user_id")),
    "create_session_share": ("list_session_shares_by_session", ("session_id", "user_id")),
    "store_events": ("get_event", ("id", "user_id")),
    "store_task": ("get_task", ("id", "user_id")),
    "store_push_notification": ("get_push_notification", ("id", "task_id", "user_id")),
    "store_feedback": ("list_feedback", ("user_id",)),
    "store_tool": ("get_tool", ("id", "server_name", "group_kind")),
    "store_tool_server": ("get_tool_server", ("name", "group_kind")),
    "refresh_tools_for_server": ("list_tools_for_server", ("server_name", "group_kind")),
    "store_checkpoint": ("get_checkpoint", OF_CHECKPOINT),
    "store_checkpoint_writes": ("get_checkpoint", OF_CHECKPOINT),
    "store_crewai_memory": ("search_crewai_memory_by_task", ("user_id", "thread_id")),
    "store_crewai_flow_state": ("find_crewai_flow_state", ("user_id", "thread_id")),
    "store_agent_memory": ("list_agent_memories", ("agent_name", "user_id")),
    "store_agent_memories": ("list_agent_memories", ("agent_name", "user_id")),
}
"""The method that reads a stored row, and the arguments that identify the row."""
READS: Final = ("get", "count", "list", "find", "stream", "summarize")
NOT_STORED: Final = ("on_duplicate", "idempotency_key", "events", "tools", "writes", "memories")
"""Arguments that are not columns of the row; the rows of a batch are varied field by field."""
MORE: Final[dict[str, dict[str, object]]] = {
    "search_crewai_memory_by_task": {"task_description": ""},
    "list_agent_memories": {"with_embeddings": True},
}


class World:
    """A database with the rows that methods refer to."""

    def __init__(self, client: PostgresClient, db: asyncpg.Connection) -> None:
        self.client = client
        self.db = db
        self.tables: list[str] = []

    async def fill(self) -> None:
        """Reset the tables to one session, one task and one checkpoint."""
        if not self.tables:
            found = await self.db.fetch(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
                "AND relnamespace = 'public'::regnamespace AND relname !~ 'schema_migrations'"
            )
            self.tables = sorted(str(row[0]) for row in found)
        await self.db.execute("; ".join(f"DELETE FROM {table}" for table in self.tables))  # noqa: S608
        await self.client.store_session("s-1", user_id="mira", agent_id="travel")
        for method in ("store_task", "store_checkpoint"):
            store = next(methods for methods in METHODS.values() if method in methods)
            await call(self.client, method, store[method])
        self.before = await self.look()

    async def look(self) -> list[tuple[object, ...]]:
        """Return the number of rows of each table, and the transactions that wrote them."""
        counts = " UNION ALL ".join(
            f"SELECT '{table}', count(*), sum(xmin::text::bigint) FROM {table}"  # noqa: S608
            for table in self.tables
        )
        return [tuple(row) for row in await self.db.fetch(counts)]

    async def attempt(self, case: Case, value: object) -> bool:
        """Call with this value; return whether it was accepted."""
        arguments = case.arguments(value)
        try:
            await call(self.client, case.method, arguments)
        except InvalidValue as error:
            assert is_named(case.name, str(error)), f"{case.name} is not named: {error}"  # noqa: PT017
            return False
        except (NotFound, Conflict, InvalidReference, ConfigError):
            assert case.kind.fits(value), f"{value!r} was taken for {case.name}"
            return False
        assert case.kind.fits(value), f"{value!r} was taken for {case.name}"
        if case.method in READ_BACK:
            await self.compare(case, arguments, value)
        return True

    async def compare(self, case: Case, arguments: dict[str, object], value: object) -> None:
        """Read the row again and compare its field with the value."""
        name = case.field or case.argument
        absent = (("id", None), ("feedback_text", None))
        if value is UNSET or name in NOT_STORED or (name, value) in absent:
            return
        known = dict(arguments)
        if case.field:
            known |= vars(cast("list[object]", arguments[case.argument])[0])
        if name == "expires_at":
            stored = await self.db.fetchval("SELECT expires_at FROM memory")
        else:
            stored = getattr(await self.read(case.method, known), name, None)
        if name == "idx":
            stored = (await self.read(case.method, known)).write_idx % 2**20 - 16
        assert same(stored, value), f"{case.name} came back as another value"

    async def read(self, method: str, known: dict[str, object]) -> Any:  # noqa: ANN401  any row
        """Return the row that a method stored with these arguments."""
        if method == "store_checkpoint_writes":
            good = METHODS["checkpoints"]["store_checkpoint"]
            keys = {name: known[name] for name in READ_BACK[method][1]}
            await call(self.client, "store_checkpoint", {**good, **keys})
        reader, names = READ_BACK[method]
        answer: Any = await call(
            self.client, reader, {**{name: known[name] for name in names}, **MORE.get(reader, {})}
        )
        if reader == "get_checkpoint":
            return answer.checkpoint if method == "store_checkpoint" else answer.writes[0]
        return answer[0] if isinstance(answer, list) else answer  # pyright: ignore[reportUnknownVariableType]


def same(stored: object, value: object) -> bool:
    """Return whether a value is unchanged, including the types of JSON values."""
    if isinstance(stored, Vector):
        return stored == (value if isinstance(value, Vector) else Vector(list(cast("Any", value))))
    if isinstance(value, dict) and isinstance(stored, str):
        stored = json.loads(stored if stored.startswith("{") else base64.b64decode(stored))
    if isinstance(value, dict | list | float):
        return json.dumps(stored) == json.dumps(value)
    return stored == value and isinstance(stored, bool) == isinstance(value, bool)


def is_named(name: str, message: str) -> bool:
    """Return whether a message starts with the full name of an argument or of a part of it."""
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w])", message)
    return found is not None


@pytest.fixture
async def world(client: PostgresClient, db: asyncpg.Connection) -> World:
    world = World(client, db)
    await world.fill()
    return world


def test_every_public_method_is_tried() -> None:
    classes = [each for each in Stores.__mro__ if each.__module__.startswith("agentrows.stores")]
    assert len(classes) == len(METHODS)
    assert public_methods(classes) == sorted(EVERY)


@pytest.mark.parametrize("store", METHODS)
async def test_value_is_returned_unchanged_or_refused_by_name(world: World, store: str) -> None:
    for case in cases(Stores, *METHODS[store]):
        for value in (*case.kind.corpus, *NOTHING_OF_THE_KIND):
            if await world.attempt(case, value) and not case.method.startswith(READS):
                await world.fill()
        assert await world.look() == world.before, f"{case} was refused, but did something"


@pytest.mark.parametrize("store", [name for name in METHODS if cases(Stores, *METHODS[name])])
@settings(
    max_examples=40 * ROUNDS,
    derandomize=ROUNDS == 1,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
async def test_generated_value_is_returned_unchanged_or_refused_by_name(
    world: World, store: str, data: st.DataObject
) -> None:
    case = data.draw(st.sampled_from(cases(Stores, *METHODS[store])))
    value = data.draw(case.kind.more)
    if await world.attempt(case, value):
        await world.fill()
    assert await world.look() == world.before


HUGE: Final = "A" * 50 * 2**20
"""50 MB of base64 text, returned unchanged by 3 methods, and by all of them in long rounds."""
LARGE: Final[list[tuple[str, str, object]]] = [
    ("store_agent", "config", {"a": HUGE}),
    ("store_events", "data", HUGE),
    ("store_checkpoint", "checkpoint", HUGE),
    ("store_task", "data", HUGE),
    ("store_push_notification", "data", HUGE),
    ("store_feedback", "feedback_text", HUGE),
    ("store_tool", "description", HUGE),
    ("refresh_tools_for_server", "description", HUGE),
    ("store_checkpoint_writes", "value", HUGE),
    ("store_crewai_memory", "memory_data", HUGE),
    ("store_crewai_flow_state", "state_data", HUGE),
    ("store_agent_memory", "content", HUGE),
    ("store_agent_memory", "metadata", {"a": HUGE}),
    ("store_agent_memories", "content", HUGE),
]


@pytest.mark.parametrize(
    ("method", "name", "value"),
    LARGE if ROUNDS > 1 else LARGE[:3],
    ids=[f"{method} {name}" for method, name, _ in LARGE][: None if ROUNDS > 1 else 3],
)
async def test_text_of_50_megabytes_is_returned_unchanged(
    world: World, method: str, name: str, value: object
) -> None:
    tried = [each for each in cases(Stores, method) if name in (each.field, each.argument)]
    assert await world.attempt(tried[-1], value)


@pytest.mark.parametrize("method", BATCHES)
async def test_a_batch_that_postgresql_cannot_receive_is_refused_by_name(
    world: World, method: str
) -> None:
    argument, _, fields = BATCHES[method]
    case = next(each for each in cases(Stores, method) if each.field == list(fields)[-1])
    row = cast("Any", case.arguments(None)[argument])[0]
    largest = next(name for name in ("value", "data", "description", "content") if name in fields)
    batch = [row.model_copy(update={largest: HUGE, "id": f"x-{n}", "idx": n}) for n in range(21)]
    with pytest.raises(InvalidValue, match=rf"^{argument} must have .* bytes in all, got 1,101,"):
        await call(world.client, method, {**case.arguments(None), argument: batch})
    assert await world.look() == world.before


async def test_text_above_256_mib_is_refused_by_name(world: World) -> None:
    with pytest.raises(InvalidValue, match=r"^data must have at most 268,435,456 bytes"):
        await world.client.store_task("k-2", user_id="mira", data="A" * (2**28 + 1))
    assert await world.look() == world.before
