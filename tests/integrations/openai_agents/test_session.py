"""Sessions in PostgreSQL: users, formats, faults, clocks and event loops."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import asyncpg
import pytest
from agents import SessionSettings

from agentrows import (
    ClientClosed,
    ConfigError,
    Conflict,
    Deleted,
    InvalidValue,
    NewEvent,
    OutcomeUnknown,
    PostgresClient,
    SchemaBehind,
    Settings,
)
from agentrows.openai_agents import PostgresSession
from integrations.openai_agents.models import snapshot_of
from support.postgres import SERVICE, as_role
from support.proxy import COMMIT, proxy_to, socket_of

if TYPE_CHECKING:
    from pathlib import Path

    from agents import TResponseInputItem

    from agentrows import Stores
    from support.proxy import Moment

SECRET = "the code is 4711"  # noqa: S105  a text of a conversation


def messages(*texts: str) -> list[TResponseInputItem]:
    return [{"role": "user", "content": text} for text in texts]


async def texts(session: PostgresSession) -> list[str]:
    return [str(cast("dict[str, Any]", item)["content"]) for item in await session.get_items()]


def session_of(
    client: Stores,
    user_id: str = "mira",
    session_id: str = "s-1",
    *,
    agent_id: str = "openai-agents",
    row_security: bool = False,
) -> PostgresSession:
    return PostgresSession(
        session_id,
        client=client,
        user_id=user_id,
        agent_id=agent_id,
        row_security=row_security,
    )


async def add_policies(dsn: str) -> None:
    """Apply the track of policies to a database."""
    settings = Settings(row_security=True, migrations="apply")
    async with PostgresClient.open(as_role(dsn, "postgres"), settings=settings) as admin:
        await admin.db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {SERVICE}")


async def tables_with(dsn: str, text: str) -> list[str]:
    """Return the tables of which a row contains a text in any column."""
    connection = await asyncpg.connect(as_role(dsn, "postgres"))
    try:
        names = await connection.fetch(
            "SELECT oid::regclass::text AS name FROM pg_class "
            "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return [
            row["name"]
            for row in names
            if await connection.fetchval(
                f"SELECT 1 FROM {row['name']} AS each "  # noqa: S608  the catalog's names
                "WHERE strpos(each::text, $1) > 0 LIMIT 1",
                text,
            )
        ]
    finally:
        await connection.close()


async def test_users_with_one_session_id_have_their_own_items(client: PostgresClient) -> None:
    mira, juno = session_of(client, "mira"), session_of(client, "juno")
    await mira.add_items(messages("of mira"))
    await juno.add_items(messages("of juno"))

    assert await texts(mira) == ["of mira"]
    assert await juno.pop_item() == messages("of juno")[0]
    await juno.clear_session()
    assert await texts(mira) == ["of mira"]
    assert [each.id for each in await client.list_sessions(user_id="mira")] == ["s-1"]


async def test_no_table_contains_the_text_of_removed_items(
    client: PostgresClient, migrated: str
) -> None:
    session = session_of(client)
    await session.add_items(messages(SECRET, "kept"))
    assert await tables_with(migrated, SECRET) == ["event"]

    await session.clear_session()
    assert await tables_with(migrated, SECRET) == []

    await session.add_items(messages("kept", SECRET))
    await session.pop_item()
    assert await tables_with(migrated, SECRET) == []


async def test_session_of_another_framework_is_refused_and_unchanged(
    client: PostgresClient,
) -> None:
    for agent_id in ("travel", None):
        await client.store_session("s-adk", user_id="mira", agent_id=agent_id)
        event = NewEvent(
            id=f"e-{agent_id}",
            user_id="mira",
            session_id="s-adk",
            data='{"author": "user", "content": {"parts": [{"text": "Hi."}]}}',
        )
        await client.store_events([event])
        before = await client.list_events_for_session("s-adk", user_id="mira")
        session = session_of(client, session_id="s-adk")
        for call in (
            session.get_items(),
            session.get_items(1),
            session.add_items(messages("a")),
            session.pop_item(),
            session.clear_session(),
        ):
            with pytest.raises(Conflict, match="session 's-adk' belongs to agent"):
                await call
        assert await client.list_events_for_session("s-adk", user_id="mira") == before

    await client.create_app_session(
        "s-app", user_id="mira", app_name="openai-agents", started_at=1.0
    )
    with pytest.raises(Conflict, match="belongs to agent 'openai-agents', not"):
        await session_of(client, session_id="s-app").add_items(messages("a"))

    own = session_of(client, session_id="s-travel", agent_id="travel")
    await own.add_items(messages("a"))
    with pytest.raises(Conflict):
        await session_of(client, session_id="s-travel").get_items()
    assert await texts(own) == ["a"]


async def test_deleted_session_is_refused(client: PostgresClient) -> None:
    session = session_of(client)
    await session.add_items(messages("a"))
    await client.delete_session("s-1", user_id="mira")

    for call in (session.get_items(), session.add_items(messages("b")), session.pop_item()):
        with pytest.raises(Deleted, match="'s-1'"):
            await call


async def test_bad_arguments_are_refused_by_name(client: PostgresClient) -> None:
    for name in ("session_id", "user_id", "agent_id"):
        for bad in ("", "a\x1fb", "a\0b", "x" * 513, None):
            arguments: Any = {"session_id": "s-1", "user_id": "mira", name: bad}
            with pytest.raises(InvalidValue, match=name):
                PostgresSession(client=client, **arguments)
            with pytest.raises(InvalidValue, match=name):
                PostgresSession.from_dsn(**arguments)
    nothing: Any = None
    with pytest.raises(InvalidValue, match="client must be a PostgresClient"):
        session_of(nothing)
    async with client.transaction() as tx:
        with pytest.raises(InvalidValue, match="row_security"):
            session_of(tx, row_security=True)


async def test_items_of_a_transaction_are_stored_with_its_other_rows(
    client: PostgresClient,
) -> None:
    with pytest.raises(KeyError):
        async with client.transaction() as tx:
            session = session_of(tx)
            await session.add_items(messages("a", "b"))
            await session.pop_item()
            await tx.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
            assert await texts(session) == ["a"]
            raise KeyError
    assert await texts(session_of(client)) == []
    assert await client.list_feedback(user_id="mira") == []


async def test_replicas_with_different_clocks_return_the_order_of_arrival(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    async with (
        PostgresClient.open(migrated, migrations="off") as one,
        PostgresClient.open(migrated, migrations="off") as other,
    ):
        for number in range(6):
            is_late = number % 2
            monkeypatch.setattr(time, "time", lambda late=is_late: real() - 5 * late)
            await session_of(other if is_late else one).add_items(messages(str(number)))
        assert await texts(session_of(one)) == [*"012345"]


async def test_row_security_restricts_each_call(migrated: str) -> None:
    await add_policies(migrated)
    settings = Settings(row_security=True, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        session = session_of(client, row_security=True)
        await session.add_items(messages("a", "b", "c"))
        assert await session.pop_item() == messages("c")[0]
        assert await texts(session) == ["a", "b"]
        snapshot = await snapshot_of(session, 2)
        assert snapshot is not None
        assert await snapshot.replace_suffix(1, messages("x"))
        assert await texts(session) == ["a", "x"]
        await client.db.execute("UPDATE session SET user_id = 'juno'")
        await client.db.execute("UPDATE event SET user_id = 'juno'")
        assert await texts(session) == []
        await session.clear_session()
        assert await texts(session_of(client, "juno", row_security=True)) == ["a", "x"]
    async with PostgresClient.open(migrated, migrations="off") as client:
        with pytest.raises(ConfigError, match="AGENTROWS_ROW_SECURITY"):
            await session_of(client, row_security=True).get_items()


@pytest.mark.parametrize("row_security", [False, True])
async def test_lost_connections_store_items_once(migrated: str, *, row_security: bool) -> None:
    if row_security:
        await add_policies(migrated)
    settings = Settings(row_security=row_security, migrations="off")
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), settings=settings) as client,
    ):
        session = session_of(client, row_security=row_security)
        moments: tuple[Moment, ...] = ("before", "after")
        for number, moment in enumerate(moments):
            plan = proxy.cut_at(f"item {number}".encode(), moment)
            await session.add_items(messages(f"item {number}", "next"))
            assert plan.is_done
        plan = proxy.cut_at(COMMIT, "after")
        if row_security:
            await session.add_items(messages("last"))
            assert plan.is_done
            assert await texts(session) == ["item 0", "next", "item 1", "next", "last"]
            plan = proxy.cut_at(COMMIT, "after")
            with pytest.raises(OutcomeUnknown):
                await session.pop_item()
        plan = proxy.cut_at(COMMIT, "after")
        with pytest.raises(OutcomeUnknown):
            await session.pop_item()
        assert plan.is_done
        assert await texts(session) == ["item 0", "next", "item 1"]
        plan = proxy.cut_at(COMMIT, "after")
        await session.clear_session()
        assert plan.is_done
        assert await texts(session) == []


async def test_terminated_sessions_under_load_lose_no_batch(migrated: str) -> None:
    admin = await asyncpg.connect(as_role(migrated, "postgres"))
    async with PostgresClient.open(migrated, migrations="off") as client:

        async def write(writer: int) -> None:
            for batch in range(10):
                await session_of(client).add_items(messages(f"{writer}-{batch}", "end"))

        writing = asyncio.gather(*(write(writer) for writer in range(20)))
        for _ in range(5):
            await asyncio.sleep(0.03)
            await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await writing
        stored = await texts(session_of(client))
    await admin.close()
    assert stored[1::2] == ["end"] * 200
    assert sorted(stored[::2]) == sorted(f"{w}-{b}" for w in range(20) for b in range(10))
    for writer in range(20):
        own = [text for text in stored[::2] if text.startswith(f"{writer}-")]
        assert own == [f"{writer}-{batch}" for batch in range(10)]


async def test_database_without_tables_raises_schema_behind(database: str) -> None:
    settings = Settings(migrations="off", vector_enabled=False)
    async with PostgresClient.open(database, settings=settings) as client:
        session = session_of(client)
        for call in (session.get_items(), session.add_items(messages("a")), session.pop_item()):
            with pytest.raises(SchemaBehind, match="agentrows migrate up"):
                await call


async def test_session_from_dsn_opens_one_client_at_first_use(migrated: str) -> None:
    settings = Settings(migrations="off", pool_max_size=2)
    limit = SessionSettings(limit=2)
    async with PostgresSession.from_dsn(
        "s-1", migrated, user_id="mira", settings=settings, session_settings=limit
    ) as session:
        await asyncio.gather(*(session.add_items(messages(str(n))) for n in range(5)))
        assert len(await session.get_items(9)) == 5
        assert len(await session.get_items()) == 2
    with pytest.raises(ClientClosed, match="`from_dsn` is closed"):
        await session.get_items()
    wrong = PostgresSession.from_dsn(
        "s-1", migrated + "&sslmode=bad", user_id="mira", settings=settings
    )
    for _ in range(2):
        with pytest.raises(ConfigError, match="sslmode"):
            await wrong.get_items()
    await wrong.close()


# The sockets of a closed event loop are closed by the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_session_from_dsn_is_reopened_in_a_new_event_loop(migrated: str) -> None:
    session = PostgresSession.from_dsn(
        "s-1", migrated, user_id="mira", settings=Settings(migrations="off")
    )
    for number in range(3):
        asyncio.run(session.add_items(messages(str(number))))
    assert asyncio.run(texts(session)) == ["0", "1", "2"]

    async def use_elsewhere() -> None:
        await session.get_items()
        with pytest.raises(ConfigError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, session.get_items())
        await session.close()

    asyncio.run(use_elsewhere())
    gc.collect()


async def test_session_is_closed_while_the_server_is_down() -> None:
    session = PostgresSession.from_dsn(
        "s-1",
        "postgresql://mira@127.0.0.1:1/shop",
        user_id="mira",
        settings=Settings(migrations="off"),
    )
    reading = asyncio.create_task(session.get_items())
    await asyncio.sleep(0.2)
    assert not reading.done()

    async with asyncio.timeout(5):
        await session.close()
        with pytest.raises(ClientClosed, match="`from_dsn` is closed"):
            await reading


async def test_session_is_closed_from_another_event_loop(migrated: str) -> None:
    session = PostgresSession.from_dsn(
        "s-1", migrated, user_id="mira", settings=Settings(migrations="off")
    )
    await session.add_items(messages("a"))

    await asyncio.to_thread(asyncio.run, session.close())

    with pytest.raises(ClientClosed, match="`from_dsn` is closed"):
        await session.get_items()


def test_session_works_in_another_event_loop_while_that_of_the_client_runs(migrated: str) -> None:
    async def use_elsewhere() -> PostgresSession:
        async with PostgresClient.open(migrated, migrations="off") as client:
            session = session_of(client)
            await asyncio.to_thread(asyncio.run, session.add_items(messages("a", "b")))
            assert await asyncio.to_thread(asyncio.run, session.pop_item()) == messages("b")[0]
            assert await texts(session) == ["a"]
            return session

    session = asyncio.run(use_elsewhere())
    with pytest.raises(ClientClosed, match="event loop in which the client was opened"):
        asyncio.run(session.get_items())


@pytest.mark.parametrize("shadow", ["raise ModuleNotFoundError('x', name='agents')", "value = 1"])
def test_import_without_the_sdk_names_the_extra(tmp_path: Path, shadow: str) -> None:
    (tmp_path / "agents.py").write_text(f"{shadow}\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import agentrows.openai_agents"

    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=False, capture_output=True, text=True
    )

    assert "ConfigError: the OpenAI Agents SDK is not installed" in done.stderr
    assert "agentrows[openai-agents]" in done.stderr
