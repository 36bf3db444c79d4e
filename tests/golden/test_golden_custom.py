"""JSON as types, converters, vectors as lists, and types that need a binary codec."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg
import pytest
from asyncpg import BitString, Range
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from golden.golden_cases import CASES_FOLDER, run, write_project
from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.annotations import contradictions
from sqlc_gen_asyncpg.check.command import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from types import ModuleType

CASES = ("binary", "custom", "texts")
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
NAIVE = dt.datetime(2026, 1, 1)  # noqa: DTZ001  # that is the point
FOREVER = dt.datetime.max  # noqa: DTZ901  # what the driver reads for infinity
NULLS = ("limits", "other", "note", "steps", "pin", "paid", "during", "off")
EMPTY = (
    *("spot", "spots", "extra", "cells", "matrix", "cube", "times", "price", "flags", "more"),
    *("free", "open", "days", "sums"),
)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    """Make the packages and the types of their applications importable."""
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("gen_") or name.endswith("_types"):
            del sys.modules[name]


def module(name: str) -> ModuleType:
    """Import a generated module; the type checkers read it in test_golden.py."""
    return importlib.import_module(name)


async def connect(dsn: str, case: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect with the codecs that an application of this case registers."""
    connection = await asyncpg.connect(dsn)
    await connection.execute((CASES_FOLDER / case / "schema.sql").read_text())
    if case == "custom":
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads
            )
    elif case == "binary":
        await connection.set_type_codec(
            "jsonb",
            schema="pg_catalog",
            encoder=lambda value: b"\1" + json.dumps(value).encode(),
            decoder=lambda value: json.loads(value[1:]),
            format="binary",
        )
    return connection


@pytest.mark.parametrize("case", CASES)
async def test_server_contradicts_no_annotation(case: str, database: str) -> None:
    (request,) = capture(directory=CASES_FOLDER / case)
    connection = await connect(database, case)
    package = build(protocol.decode(request), str(CASES_FOLDER / case))
    assert await contradictions(connection, package) == []
    await connection.close()


async def test_json_is_a_model_as_argument_and_as_result(database: str) -> None:
    accounts, types = module("gen_custom.accounts"), module("shop_types")
    connection = await connect(database, "custom")
    prefs = types.Prefs(theme="dark", since=NOW, key=UUID(int=1))
    history = [types.Change(at=dt.date(2026, 1, 1), what="made")]
    full = {
        "prefs": prefs,
        "history": history,
        "limits": {"a": 1},
        "other": prefs,
        "note": {"x": [None]},
        "balance": types.Money(7),
        "steps": [types.Money(1), types.Money(2)],
        "pin": "1234",
        "paid": module("gen_custom.models").Price(amount=1, at=NOW),
        "during": Range(NOW, FOREVER),
        "off": [Range(NOW, None)],
    }
    stored = await accounts.add_account(connection, id=1, **full)
    assert {name: getattr(stored, name) for name in full} == full
    row = await connection.fetchrow("SELECT prefs, balance, pin FROM account")
    assert row is not None
    assert dict(row) == {
        "prefs": {
            "colour-theme": "dark",
            "since": "2026-01-02T03:04:05Z",
            "key": str(UUID(int=1)),
        },
        "balance": 7,
        "pin": "4321",
    }
    assert stored.model_validate_json(stored.model_dump_json(by_alias=True)).prefs == prefs
    assert await accounts.get_prefs(connection, id=1) == prefs
    assert await accounts.get_limits(connection, id=1) == {"a": 1}
    (listed,) = await accounts.list_history(connection)
    assert (listed.history, listed.balance) == (history, types.Money(7))
    assert await accounts.list_balances(connection) == [types.Money(7)]
    async with connection.transaction():
        rows = [
            each
            async for each in accounts.iter_find_accounts(connection, balances=[types.Money(7)])
        ]
    assert rows == [stored]
    await connection.close()


async def test_null_is_none_with_json_types_and_converters(database: str) -> None:
    accounts, types = module("gen_custom.accounts"), module("shop_types")
    connection = await connect(database, "custom")
    stored = await accounts.add_account(
        connection,
        id=1,
        prefs=types.Prefs(theme="t"),
        history=[],
        balance=types.Money(0),
        **dict.fromkeys(NULLS),
    )
    assert {getattr(stored, name) for name in NULLS} == {None}
    assert await accounts.get_limits(connection, id=1) is None
    await accounts.write_note(connection, note=None, id=1)
    read = await accounts.read_note(connection, id=1)
    assert (read.note, read.total) == (None, types.Money(1))
    await accounts.write_note(connection, note={"x": 3}, id=1)
    read = await accounts.read_note(connection, id=1)
    assert (read.note, read.x) == ({"x": 3}, "3")
    assert await accounts.get_prefs(connection, id=2) is None
    await connection.close()


async def test_batches_and_copies_encode_their_arguments(database: str) -> None:
    accounts, types = module("gen_custom.accounts"), module("shop_types")
    models = module("gen_custom.models")
    connection = await connect(database, "custom")
    prefs = types.Prefs(theme="t", since=NOW)
    for key in (1, 2):
        await accounts.add_account(
            connection,
            id=key,
            prefs=prefs,
            history=[],
            balance=types.Money(0),
            **dict.fromkeys(NULLS),
        )
    later = types.Prefs(theme="later")
    params = accounts.SetBalancesParams(balance=types.Money(9), prefs=later, limits={"l": 1}, id=1)
    await accounts.set_balances(connection, rows=[params])
    rows = [accounts.FindPrefsParams(balance=types.Money(n)) for n in (9, 0, 5)]
    assert await accounts.find_prefs(connection, rows=rows) == [later, prefs, None]
    await connection.execute(
        'ALTER TABLE account ALTER prefs SET DEFAULT \'{"colour-theme": "d"}\''
    )
    pins = [accounts.CopyPinsParams(id=n, balance=types.Money(n), pin="ab") for n in (5, 6)]
    assert await accounts.copy_pins(connection, rows=pins) == 2
    assert await connection.fetchval("SELECT pin FROM account WHERE id = 5") == "ba"
    friends = [models.NewFriend(a=1, b=2, prefs=prefs), models.NewFriend(a=2, b=9)]
    assert await accounts.add_friends(connection, friends=friends) == 2
    first, second = await accounts.list_friends(connection)
    assert (first.one.id, first.other.id, first.prefs) == (1, 2, prefs)
    assert (second.one.id, second.other, second.prefs) == (2, None, None)
    turned = [accounts.TurnPrefsParams(patch={"colour-theme": "p"}, id=n) for n in (1, 99)]
    of_one = types.PreferencesOfOneAccount(theme="p")
    assert await accounts.turn_prefs(connection, rows=turned) == [[of_one], []]
    total = await accounts.patch_prefs(connection, patch={"since": None}, id=1)
    assert total == types.Money(9)
    with pytest.raises(ValidationError):
        accounts.SetBalancesParams(balance=9, prefs=later, id=1)
    await connection.close()


async def test_values_of_another_type_are_refused_as_argument_and_result(database: str) -> None:
    accounts, types = module("gen_custom.accounts"), module("shop_types")
    connection = await connect(database, "custom")
    with pytest.raises(PydanticSerializationError, match=r"^prefs: (?s:.*)Expected `Prefs`"):
        await accounts.set_prefs(connection, prefs={"theme": 1}, pin=None, id=1)
    with pytest.raises(AttributeError, match="about the argument balances"):
        await accounts.find_accounts(connection, balances=[types.Money(0), "much"])
    await accounts.add_account(
        connection,
        id=1,
        prefs=types.Prefs(theme="t"),
        history=[],
        balance=types.Money(0),
        **dict.fromkeys(NULLS),
    )
    await connection.execute("""UPDATE account SET prefs = '{"colour-theme": "t", "x": 1}'""")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        await accounts.get_prefs(connection, id=1)
    plain = await asyncpg.connect(database)
    with pytest.raises(ValidationError, match="set a codec for json on the connection"):
        await accounts.get_prefs(plain, id=1)
    await plain.close()
    await connection.close()


async def test_naive_time_is_refused_inside_arrays_ranges_and_composites(database: str) -> None:
    accounts, places = module("gen_custom.accounts"), module("gen_binary.places")
    types, models = module("shop_types"), module("gen_custom.models")
    connection = await connect(database, "custom")
    known: dict[str, object] = {
        "prefs": types.Prefs(theme="t"),
        "history": [],
        "balance": types.Money(0),
    }
    for name, value in (
        ("during", Range(NAIVE, NOW)),
        ("off", [Range(NOW, NOW), Range(NOW, NAIVE)]),
    ):
        with pytest.raises(ValueError, match=f"{name} must have a time zone"):
            await accounts.add_account(
                connection, id=1, **known, **{**dict.fromkeys(NULLS), name: value}
            )
    with pytest.raises(ValidationError, match="must have a time zone"):
        models.Price(at=NAIVE)
    empty = dict.fromkeys(EMPTY)
    facts = module("place_types").Facts(name="n")
    with pytest.raises(ValueError, match="times must have a time zone"):
        await places.add_place(connection, id=1, facts=facts, **{**empty, "times": [[NOW, NAIVE]]})
    with pytest.raises(ValidationError, match="timezone"):
        places.CopyPlacesParams(id=1, facts=facts, times=[[NAIVE]])
    await connection.close()


@pytest.fixture
async def texts(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """A connection without any codec."""
    connection = await connect(database, "texts")
    yield connection
    await connection.close()


async def test_json_and_vectors_are_sent_as_text_without_codecs(
    texts: asyncpg.Connection[asyncpg.Record],
) -> None:
    docs, head = module("gen_texts.docs"), module("doc_types").Head
    full = {
        "head": head(title="t", at=NOW),
        "heads": [head(title="u", at=NOW)],
        "body": "a text",
        "rest": {"a": [1, None]},
        "more": [1],
        "mood": "glad",
        "place": [1.0, 2.5, 3.0],
        "places": [[1.0, 0.0, 0.0]],
        "half": [0.5, 1.0],
        "few": "{1:1,5:2}/5",
    }
    stored = await docs.add_doc(texts, id=1, **full)
    assert {name: getattr(stored, name) for name in full} == full
    assert await docs.get_body(texts, id=1) == "a text"
    nothing = dict.fromkeys(name for name in full if name not in {"head", "body"})
    empty = await docs.add_doc(texts, id=2, head=full["head"], body=None, **nothing)
    assert {getattr(empty, name) for name in nothing} == {None}
    assert empty.body is None
    assert await texts.fetchval("SELECT body::text FROM doc WHERE id = 2") == "null"
    rows = [docs.CopyDocsParams(id=n, head=full["head"], body=n, rest={"n": n}) for n in (3, 4)]
    assert await docs.copy_docs(texts, rows=rows) == 2
    assert await docs.contains(texts, part={"n": 4}) == [4]
    await docs.set_places(texts, rows=[docs.SetPlacesParams(place=[0, 0, 0], id=3)])
    near = await docs.near(texts, wanted=[0.0, 0.0, 1.0])
    assert (near[0].id, near[0].distance) == (3, 1.0)
    async with texts.transaction():
        assert [each async for each in docs.iter_near(texts, wanted=[0.0, 0.0, 1.0])] == near


async def test_every_driver_type_round_trips_with_values_and_nulls(database: str) -> None:
    places, models = module("gen_binary.places"), module("gen_binary.models")
    connection = await connect(database, "binary")
    facts = module("place_types").Facts(name="n", height=1.5)
    spot = models.Mark(x=1, tags=["a"], extra={"k": [1]}, at=NOW)
    full = {
        "spot": spot,
        "spots": [spot, models.Mark(at=FOREVER)],
        "extra": {"a": None},
        "cells": [1, 2],
        "matrix": [[1, 2], [3, 4]],
        "cube": [[["a"], ["b"]]],
        "times": [[NOW, FOREVER]],
        "price": "$1,234.50",
        "flags": BitString.from_int(5, 3),
        "more": BitString.from_int(1, 1),
        "free": [Range(1, 3), Range(5, 7)],
        "open": [Range(NOW, None)],
        "days": Range(dt.date(2026, 1, 1), dt.date(2026, 1, 3)),
        "sums": [Range(Decimal("1.5"), None)],
    }
    stored = await places.add_place(connection, id=1, facts=facts, **full)
    assert {name: getattr(stored, name) for name in full} == full
    assert stored.facts == facts
    empty = await places.add_place(connection, id=2, facts=facts, **dict.fromkeys(EMPTY))
    assert {getattr(empty, name) for name in EMPTY} == {None}
    hollow: dict[str, list[object]] = {
        name: [] for name in ("spots", "cells", "matrix", "cube", "times", "sums")
    }
    stored = await places.add_place(
        connection, id=3, facts=facts, **{**dict.fromkeys(EMPTY), **hollow, "free": []}
    )
    assert {name: getattr(stored, name) for name in hollow} == hollow
    copied = places.CopyPlacesParams(
        id=4,
        spot=spot,
        facts=facts,
        extra={"k": 1},
        matrix=[[1]],
        times=[[NOW]],
        flags="111",
        free=[Range(1, 2)],
    )
    assert await places.copy_places(connection, rows=[copied]) == 1
    listed = await places.list_places(connection)
    assert [each.id for each in listed] == [1, 2, 3, 4]
    assert (listed[3].spot, listed[3].facts, listed[3].flags) == (
        spot,
        facts,
        BitString.from_int(7, 3),
    )
    params = [places.FindByFlagsParams(flags=flags) for flags in ("101", "000")]
    (place,), nothing = await places.find_by_flags(connection, rows=params)
    assert (place.id, place.matrix, nothing) == (1, [[1, 2], [3, 4]], [])
    dumped = json.loads(listed[0].model_dump_json())
    assert (dumped["flags"], dumped["spot"]["extra"]) == ("101", {"k": [1]})
    await connection.close()


JSON_SCHEMA = "CREATE TABLE gen_item (id int PRIMARY KEY, body jsonb, facts json NOT NULL);"
JSON_QUERIES = """
-- name: AddItem :one
INSERT INTO gen_item (id, body, facts) VALUES (@id, @body, @facts) RETURNING *;
-- name: CopyItems :copyfrom
INSERT INTO gen_item (id, body, facts) VALUES (@id, @body, @facts);
-- name: ListBodies :many
SELECT body FROM gen_item ORDER BY id;
"""


async def test_json_needs_no_codec_without_an_option(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"package": "gen_default"}
    write_project(tmp_path, query=JSON_QUERIES, schema=JSON_SCHEMA, options=options)
    assert run(tmp_path, "sqlc", "generate").returncode == 0
    tmp_path.joinpath("gen").rename(tmp_path / "gen_default")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    query = module("gen_default.query")
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(JSON_SCHEMA)
        item = await query.add_item(connection, id=1, body={"a": 1}, facts=[None, "x"])
        rows = [
            query.CopyItemsParams(id=2, body=[1.5], facts={}),
            query.CopyItemsParams(id=3, facts=1),
        ]
        assert await query.copy_items(connection, rows=rows) == 2
        assert await query.list_bodies(connection) == [{"a": 1}, [1.5], None]
    finally:
        await connection.close()

    assert (item.body, item.facts) == ({"a": 1}, [None, "x"])
