"""Every method on older core versions: it works, or raises an error with the migration.

Here every method is called once on each version. `make matrix` runs all tests of the stores on some
of them, by `pytest tests/integration/stores --core 3`.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import (
    ConfigError,
    Conflict,
    InvalidReference,
    InvalidValue,
    NotFound,
    PostgresClient,
    SchemaBehind,
    Settings,
    Stores,
    init_connection,
    migrate,
)
from agentrows.migrate import Migrator
from support.methods import METHODS, call, in_order
from support.older_schemas import (
    CORES,
    LACKS_OURS,
    NEEDED,
    NEEDS_SHARES,
    tracks_at,
    why_expected,
)
from support.stores import towards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Server

ROOT: Final = Path(__file__).parents[2]
"""Stores that no version of core changes: their arguments or their tables do not allow it."""
MOVED: Final = {
    "agents": 3,
    "app sessions": 6,
    "tasks": 7,
    "task versions": 7,
    "push configs": 7,
    "push notifications": 7,
    "shares": 6,
    "threads": 6,
    "users": 7,
}
"""The core version that brought a column or table to a store's methods."""
EXCEPT: Final = {
    "delete_agent": 1,
    "list_uncovered_tables": 1,
    "prune_expired_sessions": 7,
    "purge_app_session": 7,
    "purge_session": 7,
}
"""Methods that require another version than the others of their store."""
WITH_EMBEDDINGS: Final = ("memory", "memory copies", "store vectors")
"""Stores that require pgvector."""
OF_OUR_TRACKS: Final = {
    *("histories", "store items", "store vectors", "threads", "thread imports", "transcripts"),
}
"""Stores with tables of the track agentrows, which `tracks_at` applies from core 6 on."""
NO_VECTOR: Final = Settings(vector_enabled=False)


def needed(store: str, method: str) -> int:
    if store in OF_OUR_TRACKS:
        return NEEDS_SHARES
    return EXCEPT.get(method, MOVED.get(store, 1))


def test_every_store_method_is_covered() -> None:
    public = {name for name in dir(Stores) if not name.startswith("_")}
    known = {method for methods in METHODS.values() for method in methods}
    assert public - {"db", "with_timeout"} == known, (
        "add arguments for each new method to METHODS in tests/support/methods.py; a method that "
        "needs more than core 1 also needs MOVED or EXCEPT"
    )


def behind(version: int, database: int) -> SchemaBehind:
    return SchemaBehind(
        f"this needs migration {version} of track 'core', the database is at {database}; run …"
    )


def test_store_test_is_skipped_only_for_newer_migration() -> None:
    missing = asyncpg.UndefinedTableError('relation "session_share" does not exist')
    assert why_expected(behind(7, 5), 5) == "the method needs core 7"
    assert why_expected(missing, 5) == "the test's own SQL needs core 6"
    assert why_expected(ExceptionGroup("two", [behind(7, 5), missing]), 5)
    for error in (
        behind(5, 5),
        behind(3, 5),
        behind(7, 3),
        SchemaBehind('relation "session_share" does not exist'),
        asyncpg.UndefinedTableError('relation "session" does not exist'),
        asyncpg.UndefinedColumnError('column "protocol_version" of relation "task" …'),
        AssertionError(),
        TimeoutError(),
        ExceptionGroup("two", [behind(7, 5), AssertionError()]),
    ):
        assert why_expected(error, 5) is None


@pytest.fixture(params=CORES, ids=lambda core: f"core {core}")
def older(
    server: Server, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[int, str]]:
    """A core version, and the DSN of a database at that version, with the other tracks."""
    core: int = request.param
    name = server.create_database()
    asyncio.run(Migrator(server.dsn(name), tracks_at(core, tmp_path)).up())
    yield core, server.dsn(name)
    server.drop_database(name)


async def outcomes(client: Stores, *, of_store: str | None = None) -> dict[str, int | None]:
    """Call every method once; return the core version in its error, or None if it works."""
    found: dict[str, int | None] = {}
    for method, arguments in in_order(of_store=of_store):
        found[method] = None
        try:
            await call(client, method, arguments)
        except (Conflict, InvalidReference, NotFound):
            pass  # it ran; its row is missing, or was stored in an earlier round
        except SchemaBehind as error:
            match = NEEDED.search(str(error))
            if match is None and not LACKS_OURS.search(str(error)):
                pytest.fail(f"{method}: {error}")
            found[method] = NEEDS_SHARES if match is None else int(match[1])
    return found


async def test_every_method_works_or_names_the_required_migration(
    older: tuple[int, str],
) -> None:
    core, dsn = older
    expected = {
        method: needed(store, method) if needed(store, method) > core else None
        for store, methods in METHODS.items()
        for method in methods
    }
    async with PostgresClient.open(dsn, migrations="off") as client:
        assert await outcomes(client) == expected, (
            "MOVED and EXCEPT, or the require(…) of a method, name another version of core"
        )
        assert await outcomes(client.with_timeout(10)) == expected
        async with client.transaction() as tx:
            assert await outcomes(tx, of_store="shares") == {
                method: version for method, version in expected.items() if "share" in method
            }
    async with asyncpg.create_pool(dsn, min_size=1, max_size=2, init=init_connection) as pool:
        assert await outcomes(await PostgresClient.from_pool(pool)) == expected


async def test_client_opened_after_migration_has_every_method(
    older: tuple[int, str],
) -> None:
    _, dsn = older
    async with PostgresClient.open(dsn, migrations="apply") as client:
        assert set((await outcomes(client)).values()) == {None}


async def test_verify_refuses_older_schema_and_names_the_track(older: tuple[int, str]) -> None:
    core, dsn = older
    if core == max(CORES):
        async with PostgresClient.open(dsn, migrations="verify") as client:
            await client.ping()
    else:
        with pytest.raises(SchemaBehind, match="core"):
            async with PostgresClient.open(dsn, migrations="verify"):
                pytest.fail("an older schema was taken")


async def test_missing_vector_track_disables_only_methods_with_embeddings(
    database: str,
) -> None:
    await Migrator(database, migrate.builtin_tracks(vector=False)).up()
    async with PostgresClient.open(database, settings=NO_VECTOR, migrations="verify") as client:
        for store in METHODS:
            if store not in WITH_EMBEDDINGS:
                assert set((await outcomes(client, of_store=store)).values()) == {None}
        for store in WITH_EMBEDDINGS:
            for method, arguments in in_order(of_store=store):
                with pytest.raises((SchemaBehind, ConfigError), match=r"vector|memory"):
                    await call(client, method, arguments)


async def test_client_without_vectors_serves_or_clearly_refuses_memories(
    migrated: str,
) -> None:
    async with PostgresClient.open(migrated, settings=NO_VECTOR, migrations="off") as client:
        try:
            await client.store_agent_memory(
                agent_name="travel", user_id="mira", content="x", embedding=towards(1)
            )
            found = await client.search_agent_memory(
                agent_name="travel", user_id="mira", embedding=towards(1), with_embeddings=True
            )
        except (SchemaBehind, ConfigError) as error:
            assert re.search("vector|memory", str(error))  # noqa: PT017  one of two good ends
        else:
            embeddings = [hit.embedding for hit in found]
            assert [each and each.to_list() for each in embeddings] == [towards(1)]


async def test_arguments_are_checked_on_every_schema(older: tuple[int, str]) -> None:
    core, dsn = older
    async with PostgresClient.open(dsn, migrations="off") as client:
        for store, methods in METHODS.items():
            for method, arguments in methods.items():
                if "user_id" in arguments and needed(store, method) <= core:
                    with pytest.raises(InvalidValue, match="user_id"):
                        await call(client, method, {**arguments, "user_id": ""})
