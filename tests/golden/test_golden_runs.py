"""Generated functions run on a connection, a proxy, a pool, and in a transaction."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import math
import sys
from decimal import Decimal
from ipaddress import IPv4Interface
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from pgvector import Vector
from pgvector.asyncpg import register_vector
from pydantic import ValidationError

from golden.golden_cases import CASES_FOLDER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from types import ModuleType

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
KEYS = [UUID(int=number) for number in range(1, 5)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    """Make the golden packages importable for the time of a test."""
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    yield
    for name in [each for each in sys.modules if each.startswith(("gen_", "app_types"))]:
        del sys.modules[name]


def module(name: str) -> ModuleType:
    """Import a module of a golden package; the type checkers read it in test_golden.py."""
    return importlib.import_module(name)


async def prepare(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Register the codecs that an application registers."""
    await register_vector(connection)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )


async def create(dsn: str, case: str) -> None:
    """Create the tables of a case."""
    connection = await asyncpg.connect(dsn)
    await connection.execute((CASES_FOLDER / case / "schema.sql").read_text())
    await connection.close()


@pytest_asyncio.fixture
async def pool(database: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    await create(database, "basics")
    async with asyncpg.create_pool(database, min_size=1, max_size=2, init=prepare) as opened:
        yield opened


def note(key: UUID, user_id: int, **other: object) -> dict[str, Any]:
    """Return arguments of insert_note; those that may be None are None unless given."""
    nullable = (
        "body mood data price embedding due at_time local took raw address".split()  # noqa: SIM905
    )
    return {
        "id": key,
        "user_id": user_id,
        "title": f"t{key.int}",
        "moods": [],
        "tags": [],
        "created_at": NOW,
        **dict.fromkeys(nullable),
        **other,
    }


async def test_row_of_nulls_round_trips(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    notes = module("gen_basics.notes")
    user = await notes.insert_user(pool, name="mira", level=None)
    stored = await notes.insert_note(pool, **note(KEYS[0], user))
    assert stored == await notes.get_note(pool, id=KEYS[0])
    assert stored.body is None
    assert stored.data is None
    assert await notes.get_embedding(pool, id=KEYS[0]) is None
    assert await notes.get_mood(pool, id=KEYS[0]) is None
    assert await notes.list_moods(pool) == [None]
    assert await notes.ensure_body(pool, id=KEYS[0]) is None


async def test_full_row_round_trips(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    notes, enums = module("gen_basics.notes"), module("gen_basics.enums")
    user = await notes.insert_user(pool, name="mira", level=enums.AppLevel.HIGH)
    given = note(
        KEYS[0],
        user,
        body="b",
        mood=enums.Mood.VERY_HAPPY,
        moods=[enums.Mood.SAD, enums.Mood.OK],
        tags=["a", "b"],
        data={"a": [1, None]},
        price=Decimal("NaN"),
        embedding=[1.0, 2.0, 3.0],
        due=dt.date(2026, 1, 1),
        at_time=dt.time(12),
        local=dt.datetime(2026, 1, 1),  # noqa: DTZ001  # the column has no time zone
        took=dt.timedelta(hours=1),
        raw=b"\0",
        address=IPv4Interface("10.0.0.1/8"),
    )
    stored = await notes.insert_note(pool, **given)
    assert stored.price.is_nan()
    assert stored.embedding == Vector([1.0, 2.0, 3.0])
    expected = {**given, "embedding": stored.embedding, "price": stored.price}
    assert {name: getattr(stored, name) for name in given} == expected
    dumped = json.loads(stored.model_dump_json(exclude={"price"}))
    assert dumped["embedding"] == [1.0, 2.0, 3.0]
    assert dumped["mood"] == "very happy"
    assert await notes.get_data(pool, id=KEYS[0]) == {"a": [1, None]}
    assert await notes.get_embedding(pool, id=KEYS[0]) == stored.embedding
    assert await notes.list_mood_lists(pool) == [["sad", "ok"]]
    assert isinstance((await notes.list_moods(pool))[0], enums.Mood)
    keys = await notes.first_moods(pool, moods=[enums.Mood.VERY_HAPPY], times=[NOW])
    assert keys == [KEYS[0]]


async def test_missing_rows_are_none_zero_or_empty(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    notes = module("gen_basics.notes")
    assert await notes.get_note(pool, id=KEYS[0]) is None
    assert await notes.get_title(pool, id=KEYS[0]) is None
    assert await notes.count_notes(pool, user_id=1) == 0
    assert await notes.last_price(pool) is None
    assert await notes.list_notes(pool, since=None) == []
    assert await notes.rename_note(pool, title="x", id=KEYS[0]) == 0
    assert await notes.delete_notes(pool) == "DELETE 0"
    assert (await notes.summary(pool)).total == 0


async def test_missing_required_row_raises(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    notes = module("gen_basics.notes")
    with pytest.raises(LookupError, match="EnsureNote returned nothing"):
        await notes.ensure_note(pool, id=KEYS[0])
    with pytest.raises(LookupError, match="EnsureBody returned nothing"):
        await notes.ensure_body(pool, id=KEYS[0])
    with pytest.raises(LookupError, match="EnsureNoteRow returned nothing"):
        await notes.ensure_note_row(pool, id=KEYS[0])


async def test_naive_time_is_refused_with_the_argument_name(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    notes = module("gen_basics.notes")
    naive = dt.datetime(2026, 1, 1)  # noqa: DTZ001  # that is the point
    with pytest.raises(ValueError, match="since must have a time zone"):
        await notes.list_notes(pool, since=naive)
    with pytest.raises(ValueError, match="times must have a time zone"):
        await notes.first_moods(pool, moods=[], times=[NOW, naive])


async def test_functions_run_on_a_pool_proxy_and_in_its_transaction(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    notes = module("gen_basics.notes")
    async with pool.acquire() as proxy:
        transaction = proxy.transaction()
        await transaction.start()
        user = await notes.insert_user(proxy, name="mira", level=None)
        for key in KEYS:
            await notes.insert_note(proxy, **note(key, user))
        titles = [title async for title in notes.iter_list_titles(proxy)]
        streamed = [each.id async for each in notes.iter_list_notes(proxy, since=NOW)]
        assert titles == await notes.list_titles(proxy) == ["t1", "t2", "t3", "t4"]
        assert sorted(streamed) == KEYS
        await transaction.rollback()
    assert await notes.list_titles(pool) == []


async def test_functions_run_on_a_connection(database: str) -> None:
    await create(database, "basics")
    notes, models = module("gen_basics.notes"), module("gen_basics.models")
    connection = await asyncpg.connect(database)
    await prepare(connection)
    user = await notes.insert_user(connection, name="mira", level="low")
    for key in KEYS:
        await notes.insert_note(connection, **note(key, user, embedding=Vector([key.int, 1, 0])))
    pairs = await notes.list_notes_with_users(connection)
    assert [each.notes.id for each in pairs] == KEYS
    assert pairs[0].users == models.AppUser(id=user, name="mira", level="low")
    assert await notes.list_users_only(connection) == [pairs[0].users]
    sliced = await notes.list_by_ids(connection, ids=KEYS[:2], titles=["t1"])
    assert [each.title for each in sliced] == ["t2"]
    hits = await notes.search_notes(connection, query=Vector([1, 1, 0]), limit=2)
    assert [each.id for each in hits] == KEYS[:2]
    assert math.isclose(hits[0].score, 1)
    assert await notes.rename_note(connection, title="x", id=KEYS[0]) == 1
    await notes.delete_note(connection, id=KEYS[0])
    assert await notes.delete_notes(connection) == "DELETE 3"
    await connection.close()


async def test_connection_without_codecs_raises_validation_error(database: str) -> None:
    await create(database, "basics")
    notes = module("gen_basics.notes")
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO app.users (name) VALUES ('mira')")
    await connection.execute(
        "INSERT INTO notes (id, user_id, title, embedding) VALUES ($1, 1, 't', '[1,2,3]')", KEYS[0]
    )
    with pytest.raises(ValidationError, match="register pgvector's codec"):
        await notes.get_note(connection, id=KEYS[0])
    await connection.close()


async def test_batch_is_one_statement(database: str) -> None:
    await create(database, "batches")
    events, models = module("gen_batches.events"), module("gen_batches.models")
    connection = await asyncpg.connect(database)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
        )
    batch = [
        models.NewEvent(id="a", session_id="s", data={"x": 1}, at=NOW),
        models.NewEvent(id="b"),
    ]
    assert await events.store_events(connection, events=batch, user_id="mira") == 2
    assert await events.store_new_events(connection, events=batch, user_id="mira") == []
    assert await events.store_events(connection, events=[], user_id="mira") == 0
    first, second = await events.list_events(connection, user_id="mira")
    assert (first.session_id, first.data, first.at) == ("s", {"x": 1}, NOW)
    assert (second.session_id, second.data, second.at) == (None, None, None)
    with pytest.raises(asyncpg.UniqueViolationError):
        await events.store_events(connection, events=batch, user_id="mira")
    await connection.close()


def test_input_model_refuses_unknown_fields() -> None:
    models = module("gen_batches.models")
    with pytest.raises(ValidationError, match="Extra inputs"):
        models.NewEvent(id="a", sesion_id="s")
    with pytest.raises(ValidationError, match="timezone"):
        models.NewEvent(id="a", at=dt.datetime(2026, 1, 1))  # noqa: DTZ001  # the point


async def test_database_enums_declared_enums_and_overrides_round_trip(database: str) -> None:
    await create(database, "options")
    urls, enums = module("gen_options.api_urls"), module("gen_options.enums")
    connection = await asyncpg.connect(database)
    params = urls.StoreAPIURLParams(
        id=1, kind=enums.Kind.GOOD, kind_again="bad", mail="m", amount=Decimal(1), long_name="n"
    )
    stored = await urls.store_api_url(connection, params)
    assert (stored.kind, stored.kind_again) == (enums.Kind.GOOD, enums.Kind.BAD)
    assert (stored.name, stored.other_mail) == ("n", None)
    await connection.execute("UPDATE app.api_urls SET kind = 'newer than the code'")
    assert await urls.find_kind(connection, id=1) == "newer than the code"
    await urls.set_kind(connection, kind=None, id=1)
    assert await urls.find_kind(connection, id=1) is None
    status = urls.StoreStatusParams(id=1, state="on", label="l")
    assert (await urls.store_status(connection, status)).state is enums.State.ENABLED
    await connection.close()


async def test_reserved_words_and_unusual_sql_run(database: str) -> None:
    await create(database, "hostile")
    odd, crlf = module("gen_hostile.class_"), module("gen_hostile.crlf")
    connection = await asyncpg.connect(database)
    await connection.execute("""INSERT INTO odd (id, self, _x, str) VALUES ('a"b', 's', 'x', 1)""")
    (row,) = await crlf.lambda_(connection, id='a"b')
    assert (row.self_, row.x_, row.str_) == ("s", "x", 1)
    assert row.model_dump(by_alias=True)["_x"] == "x"
    pair = await odd.set_odd(connection, _x="y", json=None, dt_=None, self_="t", id='a"b')
    assert pair.x_ == "y"
    assert (await odd.ends_with_quote(connection)).the_self == "t"
    assert await odd.triple_quotes(connection) == []
    assert await odd.backslash(connection) == []
    assert await odd.dollars(connection, value='a"b') == []
    await odd.tabs(connection, db_='a"b', row="", rows="", class_="", list_="", str=1)
    await odd.empty(connection)
    await crlf.crlf(connection, id='a"b')
    await connection.close()
