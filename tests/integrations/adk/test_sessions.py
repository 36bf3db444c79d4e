"""The session service beyond the contract: keys, order, versions, removal, opening, policies."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import pytest
from google.adk.errors import StaleSessionError
from google.adk.errors.already_exists_error import AlreadyExistsError
from google.adk.errors.session_not_found_error import SessionNotFoundError
from google.adk.sessions import Session
from google.adk.sessions.base_session_service import GetSessionConfig

from agentrows import (
    ClientClosed,
    ConfigError,
    InvalidValue,
    NewEvent,
    PostgresClient,
    SchemaBehind,
    Settings,
    UnreadableRow,
    migrate,
)
from agentrows.adk import SessionService
from agentrows.adk.versions import ATTRIBUTE, read_version, write_version
from agentrows.migrate import Migrator
from integrations.adk.events import APP, USER, create, event, find, get, texts
from support.postgres import OWNER, SERVICE, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from support.postgres import Server

SECRET: Final = "the secret word"  # noqa: S105  a text to search for
TABLES: Final = """
    SELECT format('%I.%I', nspname, relname) FROM pg_class
    JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema')
"""


def test_version_is_kept_by_a_session_and_its_copies() -> None:
    """ADK has no public place for it: this test notices a change of the private attribute."""
    session = Session(id="s-1", app_name=APP, user_id=USER)
    assert ATTRIBUTE in Session.__private_attributes__
    assert read_version(session) is None
    write_version(session, 7)
    for copied in (session, session.model_copy(deep=True), session.model_copy()):
        assert read_version(copied) == 7
    assert read_version(Session.model_validate(session.model_dump())) is None
    setattr(session, ATTRIBUTE, "2026-01-01T00:00:00.000000")  # that of another service
    assert read_version(session) is None


async def test_apps_with_similar_names_share_nothing(ours: SessionService) -> None:
    apps = ("my-app", "my_app", "my app", "My_app")
    for app in apps:
        state = {"of": app, "user:of": app, "app:of": app}
        session = await create(ours, app_name=app, state=state)
        await ours.append_event(session, event(app, id="e-1"))
    for app in apps:
        session = await get(ours, app_name=app)
        assert session.state == {"of": app, "user:of": app, "app:of": app}
        assert texts(session) == [app]
        assert session.events[0].id == "e-1"
        assert await ours.get_user_state(app_name=app, user_id=USER) == {"of": app}
        (listed,) = (await ours.list_sessions(app_name=app)).sessions
        assert (listed.id, listed.app_name) == ("s-1", app)
    await ours.delete_session(app_name="my-app", user_id=USER, session_id="s-1")
    assert await find(ours, app_name="my-app") is None
    assert texts(await get(ours, app_name="my_app")) == ["my_app"]


async def test_same_event_id_in_two_sessions_is_two_events(ours: SessionService) -> None:
    """`adk run --resume` appends the events of a file under their ids to a new session."""
    for session_id in ("s-1", "s-2"):
        session = await create(ours, session_id)
        for number in range(3):
            await ours.append_event(session, event(f"{session_id} {number}", id=f"e-{number}"))
    for session_id in ("s-1", "s-2"):
        stored = await get(ours, session_id)
        assert texts(stored) == [f"{session_id} {number}" for number in range(3)]
        assert [each.id for each in stored.events] == ["e-0", "e-1", "e-2"]


async def test_event_id_with_another_content_is_refused(ours: SessionService) -> None:
    session = await create(ours)
    await ours.append_event(session, event("one", id="e-1"))
    with pytest.raises(AlreadyExistsError):
        await ours.append_event(session, event("other", id="e-1"))
    await ours.append_event(session, event("next"))
    assert texts(await get(ours)) == texts(session) == ["one", "next"]


async def test_two_replicas_with_different_clocks_read_the_order_of_arrival(
    migrated: str, ours: SessionService
) -> None:
    now = 1_750_000_000.0
    await create(ours)
    async with SessionService.from_dsn(migrated, settings=Settings(migrations="off")) as replica:
        for number in range(6):
            service, clock = (ours, now) if number % 2 == 0 else (replica, now - 5)
            await service.append_event(
                await get(service), event(str(number), timestamp=clock + number / 10)
            )
        for service in (ours, replica):
            assert texts(await get(service)) == [str(number) for number in range(6)]
            recent = await get(service, config=GetSessionConfig(num_recent_events=2))
            assert texts(recent) == ["4", "5"]


async def test_of_two_writers_on_one_session_one_gets_stale_session_error(
    ours: SessionService,
) -> None:
    await create(ours)
    for turn in range(10):
        loaded = [await get(ours) for _ in range(2)]
        results = await asyncio.gather(
            *(
                ours.append_event(session, event(f"{turn}-{n}", delta={f"{turn}": n}))
                for n, session in enumerate(loaded)
            ),
            return_exceptions=True,
        )
        (stale,) = (each for each in results if isinstance(each, BaseException))
        assert isinstance(stale, StaleSessionError)
        assert "modified in storage" in str(stale)
        winner = next(n for n, each in enumerate(results) if not isinstance(each, BaseException))
        assert (await get(ours)).state[str(turn)] == winner
        assert texts(loaded[1 - winner]) == texts(loaded[winner])[:-1]
    assert len((await get(ours)).events) == 10


async def test_append_with_reload_stores_the_events_of_all_writers(ours: SessionService) -> None:
    await create(ours)
    sessions = [await get(ours) for _ in range(4)]
    for session in sessions:
        session.state["temp:kept"] = 1
    await asyncio.gather(
        *(
            ours.append_with_reload(session, event(str(n), delta={f"n{n}": n, "temp:own": n}))
            for n, session in enumerate(sessions)
        )
    )
    stored = await get(ours)
    assert sorted(texts(stored)) == ["0", "1", "2", "3"]
    assert stored.state == {f"n{n}": n for n in range(4)}
    assert all(session.state["temp:own"] == n for n, session in enumerate(sessions))
    assert all(session.state["temp:kept"] == 1 for session in sessions)
    await ours.delete_session(app_name=APP, user_id=USER, session_id="s-1")
    with pytest.raises(SessionNotFoundError):
        await ours.append_with_reload(stored, event())


async def test_session_without_a_version_appends_if_its_last_event_is_the_stored_one(
    ours: SessionService,
) -> None:
    session = await create(ours)
    await ours.append_event(session, event("one", timestamp=2.0e9))

    def remade(**more: Any) -> Session:  # noqa: ANN401
        return Session(id="s-1", app_name=APP, user_id=USER, **more)

    await ours.append_event(remade(events=session.events), event("two", timestamp=2.1e9))
    with pytest.raises(StaleSessionError):
        await ours.append_event(remade(events=session.events[:1]), event("three"))
    with pytest.raises(StaleSessionError):
        await ours.append_event(remade(), event("three"))
    missing = Session(id="s-2", app_name=APP, user_id=USER)
    with pytest.raises(SessionNotFoundError):
        await ours.append_event(missing, event("three"))
    assert texts(await get(ours)) == ["one", "two"]


async def test_session_of_another_program_can_go_on(
    client: PostgresClient, ours: SessionService
) -> None:
    await client.store_session("s-1", user_id=USER, agent_id=APP)
    deltas: list[dict[str, Any]] = [{"a": 1, "b": 1, "user:c": 1}, {"b": None}]
    for number, delta in enumerate(deltas):
        theirs = event(str(number), delta=delta, id=f"e-{number}")
        data = theirs.model_dump_json(by_alias=number == 0)
        row = NewEvent(id=theirs.id, user_id=USER, session_id="s-1", data=data)
        await client.store_events([row])
    session = await get(ours)
    assert (texts(session), session.state) == (["0", "1"], {"a": 1, "b": None})
    recent = await get(ours, config=GetSessionConfig(num_recent_events=1))
    assert (texts(recent), recent.state) == (["1"], {"a": 1, "b": None})
    with pytest.raises(AlreadyExistsError):
        await create(ours)
    await ours.append_event(recent, event("2", delta={"d": 4}))
    with pytest.raises(StaleSessionError):
        await ours.append_event(session, event("3"))
    session = await get(ours)
    assert (texts(session), session.state) == (["0", "1", "2"], {"a": 1, "b": None, "d": 4})
    await ours.append_event(session, event("3"))
    (listed,) = (await ours.list_sessions(app_name=APP, user_id=USER)).sessions
    assert listed.state == session.state


async def test_row_that_is_no_event_of_adk_is_named(
    client: PostgresClient, ours: SessionService
) -> None:
    await client.store_session("s-1", user_id=USER, agent_id=APP)
    for data in (event().model_dump_json(), SECRET):
        row = NewEvent(id=data[:20], user_id=USER, session_id="s-1", data=data)
        await client.store_events([row])
    with pytest.raises(UnreadableRow, match=r"event 2 of 2 .* session 's-1'") as raised:
        await get(ours)
    assert SECRET not in str(raised.value)


async def test_no_row_of_any_table_contains_a_deleted_session(
    superuser: str, ours: SessionService
) -> None:
    connection = await asyncpg.connect(superuser)

    async def holders() -> set[str]:
        return {
            table
            for (table,) in await connection.fetch(TABLES)
            if await connection.fetchval(
                f"SELECT count(*) FROM {table} AS each WHERE strpos(each::text, $1) > 0",  # noqa: S608
                SECRET,
            )
        }

    session = await create(ours, state={"a": SECRET})
    await ours.append_event(session, event(SECRET, delta={"b": {"deep": [SECRET]}}))
    assert await holders() == {"public.event", "public.agentrows_session_state"}
    await ours.delete_session(app_name=APP, user_id=USER, session_id="s-1")
    assert await holders() == set()
    await connection.close()


async def test_twenty_creators_and_writers_lose_nothing(ours: SessionService) -> None:
    async def use(number: int) -> None:
        user = f"u-{number % 5}"
        session = await create(ours, f"s-{number}", user_id=user, state={f"user:c{number}": 1})
        for step in range(3):
            delta = {f"app:{number}-{step}": step, f"user:{number}-{step}": step}
            await ours.append_event(session, event(delta=delta))

    await asyncio.gather(*(use(number) for number in range(20)))
    assert len((await ours.list_sessions(app_name=APP)).sessions) == 20
    state = await ours.get_user_state(app_name=APP, user_id="u-0")
    assert len(state) == 4 * (1 + 3)
    session = await create(ours, "last", user_id="other")
    assert len(session.state) == 60


async def test_unusable_values_are_named_and_nothing_is_stored(ours: SessionService) -> None:
    session = await create(ours)
    for value in ("a\0b", "\ud800", float("nan"), {"x": ["\0"]}):
        with pytest.raises(ValueError, match=r"^state(_delta)?\['bad'\]"):
            await ours.append_event(session, event(delta={"good": 1, "bad": value}))
        with pytest.raises(ValueError, match=r"^user_state\['bad'\]"):
            await create(ours, "s-2", state={"user:bad": value})
    assert (await get(ours)).state == {}
    assert await find(ours, "s-2") is None
    await ours.append_event(session, event("NUL \0 in a text"))  # as its escape, in JSON text
    assert texts(await get(ours)) == ["NUL \0 in a text"]
    with pytest.raises(InvalidValue, match="event cannot be written as JSON"):
        await ours.append_event(session, event("\ud800"))


async def test_unusable_ids_are_refused_by_name(ours: SessionService) -> None:
    bad: Any
    for bad in ("", None, "x" * 513, "a\x1fb", 7):
        with pytest.raises(InvalidValue, match="user_id"):
            await create(ours, user_id=bad)
        with pytest.raises(InvalidValue, match="app_name"):
            await create(ours, app_name=bad)
    with pytest.raises(InvalidValue, match=r"id contains U\+001F"):
        await create(ours, "s\x1fother")
    with pytest.raises(InvalidValue, match=r"id contains U\+001F"):
        await ours.append_event(await create(ours), event(id="e\x1fs-2"))
    with pytest.raises(InvalidValue, match="user_id"):
        await ours.list_sessions(app_name=APP, user_id="")
    assert await find(ours, "") is None


async def test_event_and_other_rows_commit_together(client: PostgresClient) -> None:
    async with client.transaction() as tx:
        service = SessionService(tx)
        await service.append_event(await create(service), event())
        await tx.store_feedback(user_id=USER, is_positive=True, feedback_text="Good.")
        assert await find(SessionService(client)) is None
    assert len((await get(SessionService(client))).events) == 1
    async with client.transaction() as tx:
        with pytest.raises(InvalidValue, match="row_security needs a client"):
            SessionService(tx, row_security=True)


async def test_function_in_a_state_is_logged(
    ours: SessionService, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="agentrows"):
        await create(ours, state={"f": print})
    assert [record.levelname for record in caplog.records if record.name == "agentrows"] == [
        "WARNING"
    ]


async def test_database_without_the_track_raises_schema_behind(database: str) -> None:
    tracks = [dataclasses.replace(t) for t in migrate.builtin_tracks() if t.name == "core"]
    await Migrator(database, tracks).up()
    settings = Settings(vector_enabled=False, migrations="off")
    async with SessionService.from_dsn(database, settings=settings) as service:
        for call in (create(service), find(service), service.list_sessions(app_name=APP)):
            with pytest.raises(SchemaBehind, match="agentrows migrate up"):
                await call


async def test_conversation_of_another_framework_stays_apart(client: PostgresClient) -> None:
    """The OpenAI adapter stores its sessions under an agent id of this form."""
    key = {"user_id": USER, "agent_id": f"{APP}\x1fitems"}
    await client.append_items("s-1", items=['{"role": "user"}'], **key)
    service = SessionService(client)

    assert await service.get_session(app_name=APP, user_id=USER, session_id="s-1") is None
    session = await create(service, "s-1")
    await service.append_event(session, event("own"))

    assert texts(await get(service)) == ["own"]
    assert [
        item.data for item in await client.list_items("s-1", user_id=USER, agent_id=key["agent_id"])
    ] == ['{"role": "user"}']


# Opening.


async def test_service_of_a_dsn_opens_one_client_at_first_use(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    connect = PostgresClient.connect

    async def counted(*args: Any, **more: Any) -> PostgresClient:  # noqa: ANN401
        opened.append(args)
        return await connect(*args, **more)

    monkeypatch.setattr(PostgresClient, "connect", counted)
    service = SessionService.from_dsn(migrated, settings=Settings(migrations="off"))
    assert opened == []
    await asyncio.gather(*(create(service, f"s-{number}") for number in range(5)))
    assert len(opened) == 1
    await service.close()
    await service.close()
    with pytest.raises(ClientClosed, match="`from_dsn` is closed"):
        await get(service)
    assert len(opened) == 1


async def test_service_opens_after_an_earlier_failure(
    migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AGENTROWS_DATABASE_URL", raising=False)
    service = SessionService.from_dsn(settings=Settings(migrations="off"))
    for _ in range(2):
        with pytest.raises(ConfigError, match="AGENTROWS_DATABASE_URL"):
            await create(service)
    await service.close()
    service = SessionService.from_dsn(settings=Settings(migrations="off", database_url=migrated))
    assert (await create(service)).id == "s-1"
    await service.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_service_works_in_a_new_loop_after_the_first_one_ended(migrated: str) -> None:
    service = SessionService.from_dsn(migrated, settings=Settings(migrations="off"))

    async def use(number: int) -> None:
        await create(service, f"s-{number}")
        if number == 2:
            await service.close()

    asyncio.run(use(1))
    asyncio.run(use(2))
    gc.collect()  # a client cannot be closed after its loop


def test_import_without_the_framework_names_the_extra() -> None:
    code = """if True:
        import sys
        sys.modules["google.adk"] = None
        import agentrows
        try:
            import agentrows.adk
        except agentrows.ConfigError as error:
            print(error)
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("pip install 'agentrows[adk]'")


# Row security.


@pytest.fixture
def guarded_dsn(server: Server, template: str) -> Iterator[str]:
    """The DSN of a database with the policies, for a role that they apply to."""
    name = server.create_database(template)
    tracks = migrate.builtin_tracks(row_security=True)
    asyncio.run(Migrator(as_role(server.dsn(name), OWNER), tracks).up())
    yield as_role(server.dsn(name), SERVICE)
    server.drop_database(name)


@pytest.fixture
async def guarded(guarded_dsn: str) -> AsyncIterator[PostgresClient]:
    settings = Settings(row_security=True)
    async with PostgresClient.open(guarded_dsn, settings=settings, migrations="off") as client:
        yield client


async def test_row_security_restricts_each_call_to_the_user(guarded: PostgresClient) -> None:
    service = SessionService(guarded, row_security=True)
    for user in (USER, "juno"):
        session = await create(service, user_id=user, state={"user:of": user, "app:a": 1})
        await service.append_event(session, event(user, delta={"b": 1}))
    for user in (USER, "juno"):
        assert texts(await get(service, user_id=user)) == [user]
        assert await service.get_user_state(app_name=APP, user_id=user) == {"of": user}
        (listed,) = (await service.list_sessions(app_name=APP, user_id=user)).sessions
        assert listed.state == {"user:of": user, "app:a": 1, "b": 1}
    assert len((await service.list_sessions(app_name=APP)).sessions) == 2  # outside of it
    async with guarded.as_user(USER) as tx:
        for table in ("agentrows_session_state", "agentrows_user_state", "event"):
            found = await tx.db.fetch(f"SELECT user_id FROM {table}")  # noqa: S608
            assert [row[0] for row in found] == [USER]
    with pytest.raises(AlreadyExistsError):
        await create(service)
    stale = await get(service)
    await service.append_event(await get(service), event())
    with pytest.raises(StaleSessionError):
        await service.append_event(stale, event())
    await service.delete_session(app_name=APP, user_id=USER, session_id="s-1")
    assert await find(service) is None
    assert texts(await get(service, user_id="juno")) == ["juno"]


async def test_call_with_row_security_survives_a_lost_connection(
    guarded: PostgresClient, guarded_dsn: str
) -> None:
    service = SessionService(guarded, row_security=True)
    session = await create(service)
    killer = await asyncpg.connect(as_role(guarded_dsn, "postgres"))
    for number in range(3):
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await service.append_event(session, event(str(number)))
    await killer.close()
    assert texts(await get(service)) == ["0", "1", "2"]
