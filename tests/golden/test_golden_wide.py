"""Every query of the widest case runs on rows of NULLs, and no annotation is wrong."""

from __future__ import annotations

import datetime as dt
import importlib
import re
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from asyncpg import BitString, Range
from pgvector import HalfVector, SparseVector

from golden.golden_cases import CASES_FOLDER, run
from golden.test_golden_runs import prepare
from sqlc_gen_asyncpg import ir, protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.annotations import agrees, contradictions
from sqlc_gen_asyncpg.check.command import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path
    from types import ModuleType

CASE = "wide"
NOW = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
KEY = UUID(int=1)
FILLED = """
INSERT INTO customer (mail, nick, born, tags, prefs, extra) VALUES
    ('a@b.c', NULL, NULL, '{}', '{}', NULL),
    ('a@b.d', 'nick', '2000-01-01', '{a,b}', '{"a": 1, "b": null, "list": [1]}', '{"a": 1}');
INSERT INTO shop.orders (id, customer_id, cents, placed) VALUES
    ('00000000-0000-0000-0000-000000000001', 1, 0, '2026-01-01'),
    ('00000000-0000-0000-0000-000000000002', NULL, 7, 'infinity');
INSERT INTO shop.line (order_id, position, item, amount, price) VALUES
    ('00000000-0000-0000-0000-000000000001', 1, NULL, 1, 2.5),
    ('00000000-0000-0000-0000-000000000001', 2, 'x', 2, 'NaN');
INSERT INTO tree VALUES (1, NULL, 'root'), (2, 1, 'leaf');
INSERT INTO loose VALUES (NULL, NULL);
"""
SAMPLES: dict[str, Any] = {
    "address": {"street": "s", "zip": 1},
    "bit": BitString.from_int(5, 3),
    "bool": True,
    "email": "x@y.z",
    "float4": 1.0,
    "float8": 1.0,
    "halfvec": HalfVector([1, 2, 3]),
    "int2": 1,
    "int4": 1,
    "int4multirange": [Range(1, 3)],
    "int8": 1,
    "cents": 1,
    "jsonb": {"a": 1},
    "numeric": Decimal(1),
    "sparsevec": SparseVector([1, 0, 0, 0, 2]),
    "state": "new",
    "text": "x",
    "timestamp": dt.datetime(2026, 1, 1),  # noqa: DTZ001  # the column has no time zone
    "timestamptz": NOW,
    "tstzrange": Range(NOW, NOW),
    "uuid": KEY,
    "varchar": "x",
}


@pytest.fixture(scope="module")
def package() -> ir.Package:
    (request,) = capture(directory=CASES_FOLDER / CASE)
    return build(protocol.decode(request), str(CASES_FOLDER / CASE))


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    yield
    for name in [each for each in sys.modules if each.startswith(f"gen_{CASE}")]:
        del sys.modules[name]


@pytest_asyncio.fixture
async def connection(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    await connection.execute((CASES_FOLDER / CASE / "schema.sql").read_text() + FILLED)
    await prepare(connection)
    yield connection
    await connection.close()


async def test_server_contradicts_no_annotation(
    connection: asyncpg.Connection[asyncpg.Record], package: ir.Package
) -> None:
    assert await contradictions(connection, package) == []


async def sample(
    connection: asyncpg.Connection[asyncpg.Record], function: ir.Function, module: ModuleType
) -> dict[str, Any]:
    """Return an argument of each type that the server requires."""
    statement = await connection.prepare(function.sql)
    values: dict[str, Any] = {}
    for bind, kind in zip(function.binds, statement.get_parameters(), strict=True):
        name = kind.name.removeprefix("_").removesuffix("[]")
        value = SAMPLES[name]
        values[bind.argument] = [value] if kind.kind == "array" else value
    if not function.params:
        return values
    model = getattr(module, function.params.name)
    fields = {each.name: each.field.name for each in function.arguments}
    return {"rows": [model(**{fields[name]: value for name, value in values.items()})]}


async def test_every_query_runs_on_rows_of_nulls(
    connection: asyncpg.Connection[asyncpg.Record], package: ir.Package
) -> None:
    failed: list[str] = []
    for generated in package.modules:
        module = importlib.import_module(f"gen_{CASE}.{generated.name}")
        for function in generated.functions:
            arguments = await sample(connection, function, module)
            transaction = connection.transaction()
            await transaction.start()
            try:
                await getattr(module, function.name)(connection, **arguments)
            except asyncpg.IntegrityConstraintViolationError:
                pass  # the sample row may exist already
            except Exception as error:  # noqa: BLE001  # all of them are shown
                failed.append(f"{function.query}: {error!r}")
            await transaction.rollback()
    assert failed == []


async def test_outer_embed_is_none_only_without_a_match(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    reads = importlib.import_module(f"gen_{CASE}.reads")
    first, second = await reads.embed_outer(connection)
    assert first.orders is not None
    assert (first.orders.id, first.orders.rate) == (KEY, None)
    assert second.orders is None


async def test_bit_distances_select_the_nearest_rows(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    reads = importlib.import_module(f"gen_{CASE}.reads")
    for number, flags in ((3, 0b011), (4, 0b111), (5, 0b100)):
        await connection.execute(
            "INSERT INTO shop.orders (id, cents, placed, flags) VALUES ($1, 1, $2, $3)",
            UUID(int=number),
            dt.datetime(2026, 1, 1),  # noqa: DTZ001  # the column has no time zone
            BitString.from_int(flags, 3),
        )
    rows = await reads.nearest_bits(connection, flags=BitString.from_int(0b110, 3), most=3)
    assert [(each.id.int, each.hamming, round(each.jaccard, 2), each.alike) for each in rows] == [
        (4, 1, 0.33, Decimal("0.67")),
        (5, 1, 0.5, Decimal("0.50")),
        (3, 2, 0.67, Decimal("0.33")),
    ]
    assert await reads.hamming_to(connection, flags=BitString.from_int(0b111, 3)) == [0, 1, 2]
    with pytest.raises(asyncpg.DataError, match="different bit lengths"):
        await reads.hamming_to(connection, flags=BitString.from_int(1, 1))


async def test_composite_value_is_a_model_as_argument_and_as_result(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    reads = importlib.import_module(f"gen_{CASE}.reads")
    writes = importlib.import_module(f"gen_{CASE}.writes")
    models = importlib.import_module(f"gen_{CASE}.models")
    address = models.ShopAddress(street="s", states=["new"])
    assert await writes.ship(connection, ship=address, former=[]) == 2
    assert await writes.ship(connection, ship=None, former=[address]) == 2
    await writes.ship(connection, ship=address, former=[])
    assert {each.ship == address for each in await reads.ships(connection)} == {True}
    assert {each.zip for each in await reads.ships(connection)} == {None}


async def test_rows_are_copied_from_sync_and_async_iterables(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    writes = importlib.import_module(f"gen_{CASE}.writes")

    async def labels() -> AsyncIterator[object]:
        for text in "abc":
            yield writes.CopyLabelsParams(a=text)

    assert await writes.copy_labels(connection, rows=labels()) == 3
    rows = (writes.CopyTwiceParams(id=number, label="n") for number in (8, 9))
    assert await writes.copy_twice(connection, rows=rows) == 2
    assert await writes.copy_twice(connection, rows=[]) == 0
    copied = await connection.fetch("SELECT id, parent FROM tree WHERE label = 'n'")
    assert [tuple(row) for row in copied] == [(8, 8), (9, 9)]


async def test_batch_returns_one_result_per_row(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    writes = importlib.import_module(f"gen_{CASE}.writes")
    nicks = [writes.SetNicksParams(nick=name, id=1) for name in ("first", "last")]
    await writes.set_nicks(connection, rows=nicks)
    mails = [writes.FindCustomersParams(mail=mail) for mail in ("no@one.z", "a@b.c")]
    missing, customer = await writes.find_customers(connection, rows=mails)
    assert missing is None
    assert customer.nick == "last"
    parents = [writes.NamesOfParams(parent=number) for number in (1, 5)]
    assert await writes.names_of(connection, rows=parents) == [["leaf"], []]


async def test_wrong_annotation_is_reported(
    connection: asyncpg.Connection[asyncpg.Record], package: ir.Package
) -> None:
    await connection.execute("ALTER TABLE loose ALTER COLUMN a TYPE integer USING 1")
    reported = await contradictions(connection, package)
    line = next(line for line in reported if "CopyLabels" in line)
    assert re.fullmatch(r".*writes\.sql:\d+:1: CopyLabels: a is str \| None, .* has int4", line)
    kind = (await connection.prepare("SELECT 1")).get_attributes()[0].type
    assert agrees("int", kind)
    assert not agrees("str", kind)


def test_check_command_accepts_the_package(database: str, tmp_path: Path) -> None:
    completed = run(tmp_path, "sqlc-gen-asyncpg", "check", "--dsn", database)
    assert completed.returncode == 2
    assert "sqlc" in completed.stderr
    completed = run(CASES_FOLDER / CASE, "sqlc-gen-asyncpg", "check", "--dsn", database)
    assert completed.returncode == 1
    assert re.search(r"reads\.sql:\d+:1: Lowered: the server refuses it", completed.stdout)
    assert "problems" in completed.stdout.splitlines()[-1]
