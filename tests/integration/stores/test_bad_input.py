"""Arguments that cannot be stored are refused by name, before anything is sent."""

from __future__ import annotations

import math
import random
import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import pytest

from agentrows import InvalidValue, NewEvent, NewMemory, Vector
from support.stores import DIMENSIONS, EARLY, count, towards

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    import asyncpg
    from pydantic import JsonValue

    from agentrows import PostgresClient, VectorLike

Call: TypeAlias = "Callable[[PostgresClient, str], Awaitable[object]]"

AHEAD: Final = towards(1)
NAIVE: Final = datetime(2030, 1, 1)  # noqa: DTZ001  the point of it
TABLES: Final = ("agent", "session", "event", "feedback", "memory")
NOT_TEXT: Final = ("a\0b", "\0", "\ud800", "a\udfffb", 7, b"bytes", 1.5, ["a"])


def as_event(**fields: object) -> NewEvent:
    """An event that pydantic has not validated."""
    whole = {"id": "e-1", "user_id": "mira", "session_id": "s-1", "data": "{}", **fields}
    return NewEvent.model_construct(None, **whole)


def as_memory(**fields: object) -> NewMemory:
    """A memory that pydantic has not validated."""
    whole = {"id": "m-1", "agent_name": "travel", "user_id": "mira", "content": "", **fields}
    return NewMemory.model_construct(None, **whole)


IDS: Final[dict[tuple[str, str], Call]] = {
    ("store_agent", "id"): lambda c, x: c.store_agent(x, type="BYO"),
    ("get_agent", "id"): lambda c, x: c.get_agent(x),
    ("delete_agent", "id"): lambda c, x: c.delete_agent(x),
    ("store_session", "id"): lambda c, x: c.store_session(x, user_id="mira"),
    ("store_session", "user_id"): lambda c, x: c.store_session("s-1", user_id=x),
    ("store_session", "agent_id"): lambda c, x: c.store_session("s-1", user_id="mira", agent_id=x),
    ("create_session", "id"): lambda c, x: c.create_session(x, user_id="mira"),
    ("create_session", "user_id"): lambda c, x: c.create_session("s-1", user_id=x),
    ("create_session", "agent_id"): lambda c, x: c.create_session(
        "s-1", user_id="mira", agent_id=x
    ),
    ("get_session", "id"): lambda c, x: c.get_session(x, user_id="mira"),
    ("get_session", "user_id"): lambda c, x: c.get_session("s-1", user_id=x),
    ("list_sessions", "user_id"): lambda c, x: c.list_sessions(user_id=x),
    ("list_sessions_for_agent", "agent_id"): lambda c, x: c.list_sessions_for_agent(
        x, user_id="mira"
    ),
    ("list_sessions_for_agent", "user_id"): lambda c, x: c.list_sessions_for_agent(
        "travel", user_id=x
    ),
    ("list_sessions_for_agent_all_users", "agent_id"): lambda c, x: (
        c.list_sessions_for_agent_all_users(x)
    ),
    ("delete_session", "id"): lambda c, x: c.delete_session(x, user_id="mira"),
    ("delete_session", "user_id"): lambda c, x: c.delete_session("s-1", user_id=x),
    ("store_events", "events[1].id"): lambda c, x: c.store_events([as_event(), as_event(id=x)]),
    ("store_events", "events[1].user_id"): lambda c, x: c.store_events(
        [as_event(), as_event(user_id=x)]
    ),
    ("store_events", "events[1].session_id"): lambda c, x: c.store_events(
        [as_event(), as_event(session_id=x)], on_duplicate="skip"
    ),
    ("get_event", "id"): lambda c, x: c.get_event(x, user_id="mira"),
    ("get_event", "user_id"): lambda c, x: c.get_event("e-1", user_id=x),
    ("list_events_for_session", "session_id"): lambda c, x: c.list_events_for_session(
        x, user_id="mira"
    ),
    ("list_events_for_session", "user_id"): lambda c, x: c.list_events_for_session(
        "s-1", user_id=x
    ),
    ("stream_events_for_session", "session_id"): lambda c, x: anext(
        c.stream_events_for_session(x, user_id="mira")
    ),
    ("stream_events_for_session", "user_id"): lambda c, x: anext(
        c.stream_events_for_session("s-1", user_id=x)
    ),
    ("delete_event", "id"): lambda c, x: c.delete_event(x, user_id="mira"),
    ("delete_event", "user_id"): lambda c, x: c.delete_event("e-1", user_id=x),
    ("store_feedback", "user_id"): lambda c, x: c.store_feedback(
        user_id=x, is_positive=True, feedback_text="Good."
    ),
    ("list_feedback", "user_id"): lambda c, x: c.list_feedback(user_id=x),
    ("summarize_feedback", "user_id"): lambda c, x: c.summarize_feedback(user_id=x),
    ("store_agent_memory", "id"): lambda c, x: c.store_agent_memory(
        agent_name="travel", user_id="mira", content="", id=x
    ),
    ("store_agent_memory", "agent_name"): lambda c, x: c.store_agent_memory(
        agent_name=x, user_id="mira", content=""
    ),
    ("store_agent_memory", "user_id"): lambda c, x: c.store_agent_memory(
        agent_name="travel", user_id=x, content=""
    ),
    ("store_agent_memories", "memories[1].id"): lambda c, x: c.store_agent_memories(
        [as_memory(), as_memory(id=x)]
    ),
    ("store_agent_memories", "memories[1].agent_name"): lambda c, x: c.store_agent_memories(
        [as_memory(), as_memory(id="m-2", agent_name=x)]
    ),
    ("store_agent_memories", "memories[1].user_id"): lambda c, x: c.store_agent_memories(
        [as_memory(), as_memory(id="m-2", user_id=x)]
    ),
    ("search_agent_memory", "agent_name"): lambda c, x: c.search_agent_memory(
        agent_name=x, user_id="mira", embedding=AHEAD
    ),
    ("search_agent_memory", "user_id"): lambda c, x: c.search_agent_memory(
        agent_name="travel", user_id=x, embedding=AHEAD
    ),
    ("list_agent_memories", "agent_name"): lambda c, x: c.list_agent_memories(
        agent_name=x, user_id="mira"
    ),
    ("list_agent_memories", "user_id"): lambda c, x: c.list_agent_memories(
        agent_name="travel", user_id=x
    ),
    ("delete_agent_memory", "agent_name"): lambda c, x: c.delete_agent_memory(
        "m-1", agent_name=x, user_id="mira"
    ),
    ("delete_agent_memory", "user_id"): lambda c, x: c.delete_agent_memory(
        "m-1", agent_name="travel", user_id=x
    ),
    ("delete_agent_memory", "id"): lambda c, x: c.delete_agent_memory(
        agent_name="travel", user_id="mira", id=x
    ),
}
TEXTS: Final[dict[tuple[str, str], Call]] = {
    ("store_agent", "type"): lambda c, x: c.store_agent("a-1", type=x),
    ("store_agent", "workload_type"): lambda c, x: c.store_agent(
        "a-1", type="BYO", workload_type=x
    ),
    ("store_session", "name"): lambda c, x: c.store_session("s-1", user_id="mira", name=x),
    ("store_session", "source"): lambda c, x: c.store_session("s-1", user_id="mira", source=x),
    ("create_session", "name"): lambda c, x: c.create_session("s-1", user_id="mira", name=x),
    ("create_session", "source"): lambda c, x: c.create_session("s-1", user_id="mira", source=x),
    ("store_events", "events[1].data"): lambda c, x: c.store_events(
        [as_event(), as_event(id="e-2", data=x)]
    ),
    ("store_feedback", "feedback_text"): lambda c, x: c.store_feedback(
        user_id="mira", is_positive=True, feedback_text=x
    ),
    ("store_feedback", "issue_type"): lambda c, x: c.store_feedback(
        user_id="mira", is_positive=True, feedback_text="Good.", issue_type=x
    ),
    ("store_agent_memory", "content"): lambda c, x: c.store_agent_memory(
        agent_name="travel", user_id="mira", content=x
    ),
    ("store_agent_memory", "metadata"): lambda c, x: c.store_agent_memory(
        agent_name="travel", user_id="mira", content="", metadata=x
    ),
    ("store_agent_memories", "memories[1].content"): lambda c, x: c.store_agent_memories(
        [as_memory(), as_memory(id="m-2", content=x)]
    ),
    ("store_agent_memories", "memories[1].metadata"): lambda c, x: c.store_agent_memories(
        [as_memory(), as_memory(id="m-2", metadata=x)]
    ),
}
INDEXED: Final = {key: call for key, call in TEXTS.items() if key[1] in ("name", "source")}
"""Text of an indexed column that is not an id."""


def deep(levels: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(levels):
        value = [value]
    return value


def in_a_circle() -> JsonValue:
    value: dict[str, JsonValue] = {}
    value["self"] = value
    return value


def named(argument: str) -> str:
    """A pattern for a message that starts with the full name of an argument."""
    return rf"(?<![\w.]){re.escape(argument)}(?![\w.])"


async def refuse(
    client: PostgresClient,
    db: asyncpg.Connection,
    key: tuple[str, str],
    call: Call,
    values: Sequence[object],
) -> None:
    for value in values:
        with pytest.raises(InvalidValue, match=named(key[1])):
            await call(client, cast("str", value))
    assert [await count(db, table) for table in TABLES] == [0] * len(TABLES)


@pytest.mark.parametrize("key", [*IDS, *TEXTS], ids=" ".join)
async def test_text_that_postgresql_cannot_store_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, key: tuple[str, str]
) -> None:
    await refuse(client, db, key, (IDS | TEXTS)[key], NOT_TEXT)


@pytest.mark.parametrize("key", list(IDS), ids=" ".join)
async def test_an_id_that_is_empty_or_too_long_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, key: tuple[str, str]
) -> None:
    await refuse(client, db, key, IDS[key], ("", "x" * 513, "ü" * 257, scribble(3_000)))


@pytest.mark.parametrize("key", list(INDEXED), ids=" ".join)
async def test_text_that_is_too_long_for_its_index_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, key: tuple[str, str]
) -> None:
    await refuse(client, db, key, INDEXED[key], [scribble(6_000)])


async def test_an_id_of_512_bytes_is_stored_and_found(client: PostgresClient) -> None:
    longest = scribble(512)
    await client.store_agent(longest, type="BYO")
    await client.store_session(longest, user_id=longest, agent_id=longest)
    await client.store_events([as_event(id=longest, user_id=longest, session_id=longest)])
    await client.store_feedback(user_id=longest, is_positive=True, feedback_text="Good.")
    await client.store_agent_memory(
        agent_name=longest, user_id=longest, id=longest, content="", embedding=AHEAD
    )
    assert (await client.get_agent(longest)).id == longest
    assert len(await client.list_sessions_for_agent(longest, user_id=longest)) == 1
    assert len(await client.list_events_for_session(longest, user_id=longest)) == 1
    assert len(await client.list_feedback(user_id=longest)) == 1
    found = await client.search_agent_memory(agent_name=longest, user_id=longest, embedding=AHEAD)
    assert [hit.id for hit in found] == [longest]


async def test_a_new_memory_refuses_a_moment_without_time_zone_when_it_is_made() -> None:
    with pytest.raises(InvalidValue, match=r"NewMemory\.expires_at must have timezone"):
        NewMemory(id="m-1", agent_name="a", user_id="mira", content="", expires_at=NAIVE)


VECTORS: Final[dict[str, object]] = {
    "too short": [0.5] * 767,
    "too long": [0.5] * 769,
    "empty": [],
    "not a number": towards(math.nan),
    "infinite": towards(math.inf),
    "negative infinite": towards(-math.inf),
    "zero": [0.0] * DIMENSIONS,
    "zero in float32": [1e-60] * DIMENSIONS,
    "too large for float32": towards(1e39),
    "too large to be squared": towards(1e30),
    "text": "[" + ",".join("1" * DIMENSIONS) + "]",
    "digits": "1" * DIMENSIONS,
    "bytes": b"1" * DIMENSIONS,
    "a list of texts": ["0.5"] * DIMENSIONS,
    "a list with a text": [*[0.5] * 767, "x"],
    "a list with None": [*[0.5] * 767, None],
    "nested": [[0.5] * DIMENSIONS],
    "a number": 1,
    "a short Vector": Vector([0.5] * 767),
    "a Vector without direction": Vector([0.0] * DIMENSIONS),
    "a Vector with NaN": Vector(towards(math.nan)),
}


@pytest.mark.parametrize("name", list(VECTORS))
async def test_invalid_vector_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    value = cast("VectorLike", VECTORS[name])
    with pytest.raises(InvalidValue, match=named("embedding")):
        await client.store_agent_memory(
            agent_name="travel", user_id="mira", content="", embedding=value
        )
    for touch in (True, False):
        with pytest.raises(InvalidValue, match=named("embedding")):
            await client.search_agent_memory(
                agent_name="travel", user_id="mira", embedding=value, touch=touch
            )
    with pytest.raises(InvalidValue, match=named("memories[1].embedding")):
        await client.store_agent_memories([as_memory(), as_memory(id="m-2", embedding=value)])
    assert await count(db, "memory") == 0


JSON: Final[dict[str, Callable[[], JsonValue]]] = {
    "NaN": lambda: {"a": math.nan},
    "infinity": lambda: {"a": [-math.inf]},
    "a set": lambda: cast("JsonValue", {"a": {1}}),
    "bytes": lambda: cast("JsonValue", {"a": b"x"}),
    "a moment": lambda: cast("JsonValue", {"a": EARLY}),
    "a tuple as a key": lambda: cast("JsonValue", {(1, 2): 3}),
    "nested 100,000 deep": lambda: {"a": deep(100_000)},
    "in a circle": lambda: in_a_circle(),  # noqa: PLW0108  built anew for each test
    "a lone surrogate": lambda: {"a": "\ud800"},
    "a lone surrogate as a key": lambda: {"\ud800": 1},
}


@pytest.mark.parametrize("name", list(JSON))
async def test_value_without_a_json_form_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, name: str
) -> None:
    value = JSON[name]()
    with pytest.raises(InvalidValue, match=named("config")):
        await client.store_agent("a-1", type="BYO", config=value)
    metadata = cast("dict[str, JsonValue]", value)
    with pytest.raises(InvalidValue, match=named("metadata")):
        await client.store_agent_memory(
            agent_name="travel", user_id="mira", content="", metadata=metadata
        )
    for touch in (True, False):
        with pytest.raises(InvalidValue, match=named("metadata")):
            await client.search_agent_memory(
                agent_name="travel", user_id="mira", embedding=AHEAD, metadata=metadata, touch=touch
            )
    assert await count(db, "agent") + await count(db, "memory") == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "{",
        "{'a': 1}",
        '{"a": 1,}',
        '{"a": 1} x',
        '{"a": NaN}',
        '{"a": Infinity}',
        '{"a": -Infinity}',
        "[1]",
        '"text"',
        "null",
        pytest.param("[" * 100_000, id="100,000 brackets"),
        pytest.param('{"a":' * 100_000 + "1" + "}" * 100_000, id="100,000 deep"),
    ],
)
async def test_metadata_text_that_is_no_json_object_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, text: str
) -> None:
    await refuse_metadata(client, db, text)


@pytest.mark.parametrize(
    "metadata", [{"a": 1, "b": "\0"}, {"\0": 1}, '{"a": "\\u0000"}', '{"a": "\\ud800"}']
)
async def test_metadata_that_jsonb_cannot_contain_is_refused(
    client: PostgresClient, db: asyncpg.Connection, metadata: dict[str, JsonValue] | str
) -> None:
    await refuse_metadata(client, db, metadata)


async def refuse_metadata(
    client: PostgresClient, db: asyncpg.Connection, metadata: dict[str, JsonValue] | str
) -> None:
    with pytest.raises(InvalidValue, match=named("metadata")):
        await client.store_agent_memory(
            agent_name="travel", user_id="mira", content="", metadata=metadata
        )
    if isinstance(metadata, str):
        with pytest.raises(InvalidValue, match=named("memories[0].metadata")):
            await client.store_agent_memories([as_memory(metadata=metadata)])
    assert await count(db, "memory") == 0


@pytest.mark.parametrize("metadata", [{"a": "\0"}, {"\0": 1}, {"a": {"b": ["\\\0"]}}])
async def test_a_metadata_filter_with_a_nul_is_refused_by_name(
    client: PostgresClient, metadata: dict[str, JsonValue]
) -> None:
    for touch in (True, False):
        with pytest.raises(InvalidValue, match=named("metadata")):
            await client.search_agent_memory(
                agent_name="travel", user_id="mira", embedding=AHEAD, metadata=metadata, touch=touch
            )


async def test_a_moment_without_time_zone_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(InvalidValue, match=named("expires_at")):
        await client.store_agent_memory(
            agent_name="travel", user_id="mira", content="", expires_at=NAIVE
        )
    with pytest.raises(InvalidValue, match=named("memories[0].expires_at")):
        await client.store_agent_memories([as_memory(expires_at=NAIVE)])
    for order in ("oldest_first", "newest_first"):
        with pytest.raises(InvalidValue, match=named("after")):
            await client.list_events_for_session("s-1", user_id="mira", after=NAIVE, order=order)
    with pytest.raises(InvalidValue, match=named("after")):
        await anext(client.stream_events_for_session("s-1", user_id="mira", after=NAIVE))
    assert await count(db, "memory") == 0


@pytest.mark.parametrize(
    "moment",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))),
    ],
    ids=["before all time", "after all time"],
)
async def test_datetime_outside_of_the_utc_range_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, moment: datetime
) -> None:
    with pytest.raises(InvalidValue, match=named("expires_at")):
        await client.store_agent_memory(
            agent_name="travel", user_id="mira", content="", expires_at=moment
        )
    for order in ("oldest_first", "newest_first"):
        with pytest.raises(InvalidValue, match=named("after")):
            await client.list_events_for_session("s-1", user_id="mira", after=moment, order=order)
    assert await count(db, "memory") == 0


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30, 1.5, "1", True])
async def test_a_message_id_beyond_64_bits_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, number: object
) -> None:
    with pytest.raises(InvalidValue, match=named("message_id")):
        await client.store_feedback(
            user_id="mira",
            is_positive=True,
            feedback_text="Good.",
            message_id=cast("int", number),
        )
    assert await count(db, "feedback") == 0


async def test_a_verdict_that_is_neither_true_nor_false_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for verdict in (None, 1, "yes"):
        with pytest.raises(InvalidValue, match=named("is_positive")):
            await client.store_feedback(
                user_id="mira", is_positive=cast("bool", verdict), feedback_text="Good."
            )
    assert await count(db, "feedback") == 0


async def test_an_unknown_way_to_treat_duplicates_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(InvalidValue, match=named("on_duplicate")):
        await client.store_events([as_event()], on_duplicate="replace")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert await count(db, "event") == 0


def scribble(size: int) -> str:
    """Text that does not compress (PostgreSQL compresses indexed values); always the same."""
    dice = random.Random(size)  # noqa: S311  not a secret
    return "".join(chr(dice.randrange(33, 127)) for _ in range(size))
