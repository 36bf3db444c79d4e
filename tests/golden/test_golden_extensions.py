"""hstore, citext and ltree, on Debian's server: the embedded one does not have them."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from golden.golden_cases import CASES_FOLDER, assert_managed_is_the_same
from sqlc_gen_asyncpg import protocol
from sqlc_gen_asyncpg.build.package import build
from sqlc_gen_asyncpg.check.annotations import contradictions
from sqlc_gen_asyncpg.check.command import capture
from support.servers import DEBIANS_15, own_server, skip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

CASE = CASES_FOLDER / "extensions"
EXTENSIONS = DEBIANS_15.parents[3] / "share/postgresql/15/extension"


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A server with the extensions."""
    if not (DEBIANS_15 / "initdb").exists() or not (EXTENSIONS / "hstore.control").exists():
        skip("needs the Debian package postgresql-15")
    with own_server(DEBIANS_15) as server:
        yield server.dsn()


@pytest_asyncio.fixture
async def connection(
    dsn: str, monkeypatch: pytest.MonkeyPatch, expected_packages: Path
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    monkeypatch.syspath_prepend(expected_packages)
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA IF EXISTS ext CASCADE; DROP SCHEMA public CASCADE")
    await connection.execute("CREATE SCHEMA public")
    await connection.execute((CASE / "schema.sql").read_text())
    await connection.set_builtin_type_codec("hstore", codec_name="pg_contrib.hstore")
    yield connection
    await connection.close()


async def test_extension_types_round_trip(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    products = importlib.import_module("gen_extensions.products")
    full = {
        "features": {"colour": "red", "size": None},
        "more": [{"a": "b"}, {}],
        "code": "AbC",
        "place": "top.shelf",
        "places": ["top", "top.shelf"],
    }
    stored = await products.add_product(connection, id=1, **full)
    assert {name: getattr(stored, name) for name in full} == full
    empty = await products.add_product(connection, id=2, **dict.fromkeys(full))
    assert {getattr(empty, name) for name in full} == {None}
    matches = await products.find_products(connection, features={"colour": "red"}, code="AbC")
    assert [(each.id, each.colour) for each in matches] == [(1, "red")]
    assert await products.list_places(connection) == ["top.shelf", None]
    rows = [products.SetFeaturesParams(features={"x": None}, id=2)]
    await products.set_features(connection, rows=rows)
    assert await connection.fetchval("SELECT features FROM product WHERE id = 2") == {"x": None}


async def test_server_contradicts_no_annotation_of_extension_types(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    (request,) = capture(directory=CASE)
    assert await contradictions(connection, build(protocol.decode(request), str(CASE))) == []


def test_extensions_package_is_the_same_with_a_managed_database(dsn: str, tmp_path: Path) -> None:
    assert_managed_is_the_same("extensions", dsn, tmp_path)
