"""Search of events by words: the searched text, its range, pages, and bad arguments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import InvalidValue, PostgresClient
from agentrows.stores import event_search
from support.stores import event

if TYPE_CHECKING:
    import asyncpg
    from pydantic import JsonValue

LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)
TEXTS: Final[dict[str, JsonValue]] = {
    "nested": {"parts": [{"text": "Is there a night train to Rome?"}], "role": "user"},
    "escaped": {"text": "café\nround the corner"},
    "number": {"booking": 4711, "price": 12.5},
    "code": {"call": {"name": "book", "args": {"code": "ZRH-0815"}}},
    "list": ["tea", ["green tea"], None, True],
    "text": "a plain string",
}


async def store(client: PostgresClient, **data: str) -> None:
    await client.store_events([event(id_, data=text) for id_, text in data.items()])


async def find(client: PostgresClient, text: str, **arguments: Any) -> list[str]:  # noqa: ANN401
    where: dict[str, Any] = {"session_id": "s-1"} if "since" not in arguments else {}
    found = await client.search_events(text, user_id="mira", **where, **arguments)
    return [row.id for row in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("train rome", ["nested"]),
        ("TRAIN", ["nested"]),
        ('"night train"', ["nested"]),
        ('"train night"', []),
        ("train paris", []),
        ("train or café", ["escaped", "nested"]),
        ("tea -green", []),
        ("round", ["escaped"]),
        ("4711", ["number"]),
        ("12.5", ["number"]),
        ("ZRH-0815", ["code"]),
        ("plain", ["text"]),
        ("parts", []),  # a key
        ("true", []),
        ("", []),
        ("!!", []),
    ],
)
async def test_words_of_strings_and_numbers_are_found_and_keys_are_not(
    client: PostgresClient, text: str, expected: list[str]
) -> None:
    await store(client, **{id_: json.dumps(data) for id_, data in TEXTS.items()})

    assert await find(client, text) == expected
    assert await find(client, text, since=LONG_AGO) == expected


@pytest.mark.parametrize(
    "data",
    [
        "no json: tea",
        '{"text": "tea',
        '{"a": "\\u0000", "text": "tea"}',
        "[" * 4990 + '"tea"' + "]" * 4990,
        '{"a":' * 4990 + '"tea"' + "}" * 4990,
        '{"a":' * 20_000 + '"tea"' + "}" * 20_000,
        json.dumps(["tea", *(f"w{n}" for n in range(200_000))]),
        json.dumps({"text": "tea", "image": "QUJD" * 3_000_000}),
        json.dumps({"text": "tea " + "é" * 400_000}),
        json.dumps({"text": "tea", "items": [[n] for n in range(5000)]}),
    ],
    ids=[
        "text",
        "open string",
        "nul",
        "deep list",
        "deep object",
        "deeper object",
        "many words",
        "large",
        "wide",
        "many brackets",
    ],
)
async def test_event_that_no_tsvector_or_jsonb_can_contain_is_searched(
    client: PostgresClient, data: str
) -> None:
    await store(client, other="{}", found=data)

    assert await find(client, "tea") == ["found"]
    assert await find(client, "coffee") == []


async def test_search_returns_the_events_of_its_user_session_and_time_range(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_events(
        [
            event("e-1", data='"tea"'),
            event("e-2", data='"tea"', session_id="s-2"),
            event("e-3", data='"tea"', session_id=None),
            event("e-4", data='"tea"'),
            event("e-5", data='"tea"'),
            event("e-6", data='"tea"', user_id="noor"),
        ]
    )
    await client.delete_event("e-4", user_id="mira")
    days = {"e-1": 1, "e-2": 2, "e-3": 3, "e-5": 5, "e-6": 2}
    await db.executemany(
        "UPDATE event SET created_at = $2 WHERE id = $1",
        [(id_, LONG_AGO + timedelta(days=day)) for id_, day in days.items()],
    )

    assert await find(client, "tea") == ["e-5", "e-1"]
    assert await find(client, "tea", since=LONG_AGO) == ["e-5", "e-3", "e-2", "e-1"]
    since, until = LONG_AGO + timedelta(days=2), LONG_AGO + timedelta(days=5)
    assert await find(client, "tea", since=since) == ["e-5", "e-3", "e-2"]
    assert await find(client, "tea", since=since, until=until) == ["e-3", "e-2"]
    assert await find(client, "tea", since=since, session_id="s-1") == ["e-5"]
    assert await find(client, "tea", until=until) == ["e-1"]
    await db.execute("UPDATE event SET created_at = NULL WHERE id = 'e-1'")
    assert await find(client, "tea") == ["e-5", "e-1"]
    assert await find(client, "tea", since=since) == ["e-5", "e-3", "e-2"]


@pytest.mark.parametrize("where", [{"session_id": "s-1"}, {"since": LONG_AGO}])
async def test_pages_and_batches_visit_each_hit_once_over_ties_in_time(
    client: PostgresClient,
    db: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    where: dict[str, Any],
) -> None:
    monkeypatch.setattr(event_search, "EVENTS_AT_ONCE", 3)
    await client.store_events(
        [event(f"e-{n:02}", data='"tea"' if n % 2 else '"milk"') for n in range(20)]
    )
    await db.execute(
        "UPDATE event SET created_at = CASE WHEN id < 'e-04' AND $1 THEN NULL"
        " ELSE date_trunc('hour', now()) END",
        "session_id" in where,
    )
    expected = [f"e-{n:02}" for n in range(19, 0, -2)]

    async def search(limit: int | None, after: str | None = None) -> Any:  # noqa: ANN401
        return await client.search_events("tea", user_id="mira", limit=limit, after=after, **where)

    every = await search(None)
    assert [row.id for row in every] == expected
    assert every.next_token is None
    for limit in (1, 2, 3, 4, 10, 11):
        page = await search(limit)
        seen = [row.id for row in page]
        while page.next_token is not None:
            page = await search(limit, page.next_token)
            seen += [row.id for row in page]
        assert seen == expected, limit
    first = await search(4)
    assert [row.id for row in await search(4, first[-1])] == expected[4:8]
    for other in ({"text": "milk"}, {"user_id": "noor"}, {"until": datetime.now(UTC)}):
        arguments: dict[str, Any] = {"text": "tea", "user_id": "mira", **where, **other}
        with pytest.raises(InvalidValue, match="after is a page token of another"):
            await client.search_events(after=first.next_token, **arguments)


async def test_text_config_determines_the_form_of_words(client: PostgresClient) -> None:
    await store(client, plural='"two trains"')

    assert await find(client, "train") == []
    assert await find(client, "train", text_config="english") == ["plural"]
    for name in ("none", "", "simple; DROP TABLE event", "public.simple"):
        with pytest.raises(InvalidValue, match=r"text_config.*\\dF"):
            await find(client, "train", text_config=name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"session_id": None}, "session_id or since"),
        ({"session_id": None, "until": datetime.now(UTC)}, "session_id or since"),
        ({"since": datetime(2020, 1, 1)}, "since"),  # noqa: DTZ001  the case
        ({"until": "2020"}, "until"),
        ({"text": "a\0b"}, "text"),
        ({"text": "x" * 10_001}, "text"),
        ({"text": 7}, "text"),
        ({"limit": 0}, "limit"),
        ({"session_id": ""}, "session_id"),
        ({"user_id": ""}, "user_id"),
        ({"text_config": "a\0"}, "text_config"),
        ({"after": "no token"}, "after"),
    ],
)
async def test_bad_argument_is_refused_by_its_name(
    client: PostgresClient, arguments: dict[str, Any], message: str
) -> None:
    given: dict[str, Any] = {
        "text": "tea",
        "user_id": "mira",
        "session_id": "s-1",
        **arguments,
    }
    with pytest.raises(InvalidValue, match=message):
        await client.search_events(**given)
