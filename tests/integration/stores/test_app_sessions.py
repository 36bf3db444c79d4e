"""Sessions of applications: states, versions, keys of several applications, removal."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest

from agentrows import (
    AlreadyExists,
    AppSession,
    Deleted,
    InvalidValue,
    NewChannelValue,
    NewCheckpointWrite,
    NotFound,
    OutcomeUnknown,
    PostgresClient,
    SchemaBehind,
    Settings,
    Stale,
)
from agentrows.gen import app_sessions as queries
from agentrows.migrate import Migrator, builtin_tracks
from support.methods import call
from support.stores import count, event

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PrunedSessions, Stores
    from agentrows.db.executor import Isolation

KEY: Final[dict[str, Any]] = {"user_id": "mira", "app_name": "my-app"}
SESSION: Final[dict[str, Any]] = {"session_id": "s-1", **KEY}
SECRET = "secretsecret"  # noqa: S105  a text to search for


async def create(client: Stores, id: str = "s-1", **more: Any) -> AppSession:  # noqa: A002, ANN401
    values: dict[str, Any] = {**KEY, "started_at": 1.0, **more}
    return await client.create_app_session(id, **values)


async def append(client: Stores, id: str, version: int, **more: Any) -> int:  # noqa: A002, ANN401
    values: dict[str, Any] = {
        **SESSION,
        "version": version,
        "data": f'"{id}"',
        "occurred_at": 2.0,
        **more,
    }
    return await client.append_app_event(id, **values)


async def find(client: Stores, id: str = "s-1", **more: Any) -> AppSession:  # noqa: A002, ANN401
    session = await client.find_app_session(id, **{**KEY, **more})
    assert session is not None
    return session


async def test_states_are_merged_by_key_and_read_with_the_last_events(
    client: PostgresClient,
) -> None:
    created = await create(client, state={"a": 1}, user_state={"u": 1}, app_state={"g": None})
    assert created == await find(client)
    assert (created.version, created.last_event_at, created.events) == (1, 1.0, [])
    values = {"state": {"a": {"x": 1}, "b": None}, "user_state": {"v": 2}, "app_state": {"g": 2}}
    assert await append(client, "e-1", 1, **values) == 2
    assert await append(client, "e-2", 2, state={"a": {"y": 1}}, occurred_at=1.5) == 3
    session = await find(client)
    assert session.model_dump() == {
        "id": "s-1",
        "user_id": "mira",
        "version": 3,
        "last_event_at": 1.5,
        "state": {"a": {"y": 1}, "b": None},
        "user_state": {"u": 1, "v": 2},
        "app_state": {"g": 2},
        "events": ['"e-1"', '"e-2"'],
    }
    assert (await find(client, last=1)).events == ['"e-2"']
    assert (await find(client, last=0)).events == []
    other = await create(client, "s-2", user_id="juno")
    assert (other.user_state, other.app_state) == ({}, {"g": 2})
    assert await client.find_user_state(**KEY) == {"u": 1, "v": 2}
    assert await client.find_user_state(user_id="mira", app_name="my_app") is None


async def test_lists_are_ordered_by_last_event_then_user_and_id(client: PostgresClient) -> None:
    for id_, user, at in (("b", "mira", 2.0), ("B", "mira", 2.0), ("c", "juno", 1.0)):
        await create(client, id_, user_id=user, started_at=at, state={"of": id_})
    await create(client, "other", app_name="my_app")
    mine = await client.list_app_sessions(**KEY)
    assert [(each.id, each.state) for each in mine] == [("B", {"of": "B"}), ("b", {"of": "b"})]
    everybody = await client.list_app_sessions_all_users("my-app")
    assert [(each.user_id, each.id) for each in everybody] == [
        ("juno", "c"),
        ("mira", "B"),
        ("mira", "b"),
    ]


async def test_same_id_in_two_applications_is_two_sessions(client: PostgresClient) -> None:
    for app in ("my-app", "my_app"):
        await create(client, app_name=app, state={"of": app}, user_state={"of": app})
        with pytest.raises(AlreadyExists):
            await create(client, app_name=app)
    for app in ("my-app", "my_app"):
        await append(client, "e-1", 1, app_name=app, data=f'"{app}"')
    for app in ("my-app", "my_app"):
        session = await find(client, app_name=app)
        assert session.state == session.user_state == {"of": app}
        assert session.events == [f'"{app}"']
        assert [each.id for each in await client.list_app_sessions(user_id="mira", app_name=app)]
    assert await client.purge_app_session("s-1", **KEY)
    assert await client.find_app_session("s-1", **KEY) is None
    assert (await find(client, app_name="my_app")).events == ['"my_app"']
    with pytest.raises(AlreadyExists):  # its row keeps the qualified key
        await create(client, app_name="my_app")
    assert (await create(client)).version == 1


async def test_same_event_id_in_two_sessions_is_two_events(client: PostgresClient) -> None:
    for id_ in ("s-1", "s-2"):
        await create(client, id_)
        await append(client, "e-1", 1, session_id=id_, data=f'"{id_}"')
    for id_ in ("s-1", "s-2"):
        assert (await find(client, id_)).events == [f'"{id_}"']


async def test_repeated_append_stores_nothing_twice(client: PostgresClient) -> None:
    await create(client)
    assert await append(client, "e-1", 1) == 2
    assert await append(client, "e-1", 1) == 2  # the reply was lost
    assert await append(client, "e-1", 2) == 2  # delivered again
    assert await append(client, "e-2", 2) == 3
    assert await append(client, "e-1", 1) == 2  # another writer was next
    with pytest.raises(AlreadyExists):
        await append(client, "e-1", 3, data="{}")
    assert (await find(client)).events == ['"e-1"', '"e-2"']


async def test_stale_version_stores_nothing(client: PostgresClient, db: asyncpg.Connection) -> None:
    await create(client)
    for version in (0, 2, 7):
        with pytest.raises(Stale, match=f"at version 1, not {version}: read it again"):
            values: dict[str, Any] = {
                "state": {"a": 1},
                "user_state": {"a": 1},
                "app_state": {"a": 1},
            }
            await append(client, "e-1", version, **values)
    session = await find(client)
    assert (session.version, session.state, session.user_state, session.app_state) == (
        1,
        {},
        {},
        {},
    )
    assert await count(db, "event") == 0
    for key in ({"session_id": "s-2"}, {"user_id": "juno"}, {"app_name": "my_app"}):
        with pytest.raises(NotFound):
            await append(client, "e-1", 1, **key)


async def test_of_concurrent_writers_at_one_version_exactly_one_stores(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client)
    for version in range(1, 11):
        results = await asyncio.gather(
            *(append(client, f"e-{version}-{n}", version, state={str(n): 1}) for n in range(4)),
            return_exceptions=True,
        )
        assert sorted(map(type, results), key=str) == [*[Stale] * 3, int]
    session = await find(client)
    assert session.version == 11
    stored = await db.fetch("SELECT data FROM event ORDER BY created_at")
    assert session.events == [row[0] for row in stored]
    assert len(session.events) == 10


async def test_concurrent_writers_of_shared_states_lose_no_key(client: PostgresClient) -> None:
    async def write(number: int) -> None:
        session = await create(client, f"s-{number}", user_id=f"u-{number % 2}")
        for step in range(5):
            values = {f"{number}-{step}": step}
            await append(
                client,
                f"e-{step}",
                session.version + step,
                session_id=session.id,
                user_id=session.user_id,
                user_state=values,
                app_state=values,
            )

    await asyncio.gather(*(write(number) for number in range(16)))
    for user in ("u-0", "u-1"):
        state = await client.find_user_state(user_id=user, app_name="my-app")
        assert state is not None
        assert len(state) == 40
    (session, *_) = await client.list_app_sessions_all_users("my-app")
    assert isinstance(session.app_state, dict)
    assert len(session.app_state) == 80


async def test_of_concurrent_creators_of_one_id_exactly_one_succeeds(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client, "first")
    for number in range(5):
        results = await asyncio.gather(
            *(
                create(client, f"s-{number}", app_name=app, app_state={"a": 1})
                for app in ("my-app", "my_app")
                for _ in range(4)
            ),
            return_exceptions=True,
        )
        created = [each for each in results if isinstance(each, AppSession)]
        assert len(created) == 2
        assert sum(isinstance(each, AlreadyExists) for each in results) == 6
    assert await count(db, "session") == await count(db, "agentrows_session_state") == 11


async def test_events_stay_in_the_order_of_arrival_after_the_clock_was_set_back(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client)
    for number in range(4):
        await append(client, f"e-{number}", number + 1, occurred_at=10.0 - 5 * (number % 2))
        # As if the clock of the server had been a minute ahead until now.
        for table, column in (("event", "created_at"), ("session", "updated_at")):
            await db.execute(f"UPDATE {table} SET {column} = {column} + interval '1 minute'")  # noqa: S608
    assert (await find(client)).events == [f'"e-{number}"' for number in range(4)]


async def test_session_of_another_program_goes_on_with_its_folded_state(
    client: PostgresClient,
) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="my-app")
    await client.store_events([event("e-1", data='"theirs"')])
    session = await find(client)
    assert (session.version, session.state, session.events) == (0, {}, ['"theirs"'])
    with pytest.raises(AlreadyExists):
        await create(client)
    with pytest.raises(Stale):
        await append(client, "e-2", 1)
    results = await asyncio.gather(
        *(append(client, f"e-{n}", 0, base_state={"a": 1, "b": 1}, state={"b": n}) for n in (2, 3)),
        return_exceptions=True,
    )
    assert sorted(map(type, results), key=str) == [Stale, int]
    session = await find(client)
    assert isinstance(session.state, dict)
    assert (session.version, session.state["a"], len(session.events)) == (1, 1, 2)


async def test_session_marked_as_deleted_is_absent_until_it_is_purged(
    client: PostgresClient,
) -> None:
    await create(client)
    assert await client.delete_session("s-1", user_id="mira")
    assert await client.find_app_session("s-1", **KEY) is None
    assert await client.list_app_sessions(**KEY) == []
    with pytest.raises(NotFound):
        await append(client, "e-1", 1)
    with pytest.raises(Deleted, match="purge_app_session"):
        await create(client)
    assert await client.purge_app_session("s-1", **KEY)
    assert not await client.purge_app_session("s-1", **KEY)
    assert (await create(client)).version == 1


async def test_state_left_behind_by_an_older_release_does_not_block_its_id(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client, state={"old": 1})
    await db.execute("DELETE FROM session")
    assert (await create(client)).state == {}
    await db.execute("DELETE FROM session")
    assert not await client.purge_app_session("s-1", **KEY)
    assert await count(db, "agentrows_session_state") == 0


async def fill(client: PostgresClient, id: str, *, user_id: str, text: str) -> None:  # noqa: A002
    """Store rows in every table that belong to a session of an application."""
    session: dict[str, Any] = {"session_id": id, "user_id": user_id}
    thread: dict[str, Any] = {"thread_id": id, "user_id": user_id}
    await client.create_app_session(
        id, user_id=user_id, app_name="my-app", started_at=1.0, state={text: text}
    )
    await client.append_app_event(
        f"e-{id}", **session, app_name="my-app", version=1, data=text, occurred_at=2.0
    )
    await client.store_events([event(f"gone-{id}", data=text, **session)])
    await client.delete_event(f"gone-{id}", user_id=user_id)
    await client.store_task(f"k-{user_id}-{id}", data=text, **session)
    await client.store_push_notification(
        f"c-{id}", task_id=f"k-{user_id}-{id}", user_id=user_id, data=text
    )
    await client.store_checkpoint(
        checkpoint_ns="",
        checkpoint_id="p-1",
        parent_checkpoint_id=None,
        checkpoint=text,
        checkpoint_type="json",
        metadata={"of": text},
        **thread,
    )
    await client.store_checkpoint_writes(
        checkpoint_ns="",
        checkpoint_id="p-1",
        task_id="w-1",
        writes=[NewCheckpointWrite(idx=0, channel="c", value_type="json", value=text)],
        **thread,
    )
    await client.store_thread_checkpoint(
        id,
        user_id=user_id,
        checkpoint_id="p-2",
        checkpoint=text.encode(),
        checkpoint_type="json",
        metadata={},
        values=[NewChannelValue(channel="c", type="json", value=text.encode())],
        versions={"c": "1"},
    )
    await client.store_crewai_memory(memory_data=f'"{text}"', **thread)
    await client.store_crewai_flow_state(method_name="m", state_data=f'"{text}"', **thread)
    share = await client.create_session_share(id, user_id=user_id)
    await client.record_share_access(share.token, user_id=user_id)


async def everything(db: asyncpg.Connection) -> dict[str, list[str]]:
    """Return every row of every table, as text."""
    tables = await db.fetch(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname !~ 'schema_migrations'"
        " AND relnamespace = 'public'::regnamespace"
    )
    return {
        table: sorted(
            str(row[0])
            for row in await db.fetch(f"SELECT each::text FROM {table} AS each")  # noqa: S608
        )
        for (table,) in tables
    }


async def test_purge_removes_every_row_of_the_session_and_no_other(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await fill(client, "s-2", user_id="mira", text="kept")
    await fill(client, "s-1", user_id="juno", text="kept")
    before = await everything(db)
    await fill(client, "s-1", user_id="mira", text=SECRET)
    tables = {table for table, rows in (await everything(db)).items() if SECRET in repr(rows)}
    assert tables >= {
        "agentrows_session_state",
        "crewai_agent_memory",
        "crewai_flow_state",
        "event",
        "lg_checkpoint_write",
        "lg_checkpoint",
        "push_notification",
        "task",
    }
    removed = await client.purge_session("s-1", user_id="mira")
    assert await everything(db) == before
    assert dict(removed) == {**dict.fromkeys(dict(removed), 1), "events": 2, "checkpoints": 2}
    assert not any(dict(await client.purge_session("s-1", user_id="mira")).values())
    assert (await create(client)).events == []


async def test_purge_hides_a_task_that_may_belong_to_another_user(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for user in ("mira", "juno"):
        await client.store_session("both", user_id=user)
    await client.store_session("only", user_id="mira")
    for id_ in ("only", "both"):
        await client.store_task(id_, user_id="x", data="{}", session_id=id_)
    await db.execute("UPDATE task SET user_id = NULL")
    assert (await client.purge_session("only", user_id="mira")).tasks == 1
    assert (await client.purge_session("both", user_id="mira")).tasks == 0
    assert [tuple(row) for row in await db.fetch("SELECT id, user_id FROM task")] == [("both", "")]


async def test_purge_waits_for_a_writer_and_removes_its_event(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client)
    async with client.transaction() as tx:
        await append(tx, "e-1", 1)
        purging = asyncio.ensure_future(client.purge_app_session("s-1", **KEY))
        async with asyncio.timeout(10):
            while not await db.fetchval(
                "SELECT true FROM pg_stat_activity WHERE datname = current_database()"
                " AND wait_event_type = 'Lock'"
            ):
                await asyncio.sleep(0.01)
    assert await purging
    assert await count(db, "event") == await count(db, "agentrows_session_state") == 0
    levels: tuple[Isolation, ...] = ("repeatable_read", "serializable")
    for isolation in levels:
        with pytest.raises(InvalidValue, match="isolation must be read_committed"):
            async with client.transaction(isolation=isolation) as tx:
                await tx.purge_session("s-1", user_id="mira")


async def test_purge_leaves_a_task_that_is_stored_meanwhile_whole(
    client: PostgresClient, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def save(id_: str) -> None:
        task: dict[str, Any] = {"user_id": "mira", "data": "{}", "session_id": "no-row"}
        await client.save_task(id_, **task, state="TASK_STATE_WORKING", event=b"saved")
        await client.store_push_config("c", task_id=id_, user_id="mira", data=b"hook")

    async def purge_after_a_save(*arguments: Any, **more: Any) -> PrunedSessions:  # noqa: ANN401
        await save("later")
        return await purge_session(*arguments, **more)

    await save("earlier")
    purge_session = queries.purge_session
    monkeypatch.setattr(queries, "purge_session", purge_after_a_save)
    assert (await client.purge_session("no-row", user_id="mira")).tasks == 1
    for table in ("task", "agentrows_task_event", "agentrows_push_config"):
        column = "id" if table == "task" else "task_id"
        rows = await db.fetch(f"SELECT {column} FROM {table}")  # noqa: S608
        assert [row[0] for row in rows] == ["later"], table


async def test_purges_beside_writers_and_creators_leave_whole_sessions_or_none(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await create(client, "first")

    async def write(number: int) -> None:
        version = 1
        with contextlib.suppress(AlreadyExists):
            await create(client)
        for step in range(10):
            values = {"state": {"a": step}, "user_state": {"a": step}, "app_state": {"a": step}}
            try:
                version = await append(client, f"e-{number}-{step}", version, **values)
            except (NotFound, Stale):
                session = await client.find_app_session("s-1", **KEY)
                version = session.version if session else 1

    async def purge() -> None:
        for _ in range(10):
            await client.purge_app_session("s-1", **KEY)

    await asyncio.gather(*(write(number) for number in range(4)), purge(), purge())
    orphans = await db.fetchval(
        "SELECT count(*) FROM event"
        " WHERE (session_id, user_id) NOT IN (SELECT id, user_id FROM session)"
    )
    assert orphans == 0
    assert await count(db, "session") == await count(db, "agentrows_session_state")
    session = await client.find_app_session("s-1", **KEY)
    assert session is None or session.version == len(session.events) + 1


async def test_prune_removes_the_states_of_pruned_sessions_alone(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for app in ("my-app", "my_app"):
        await create(client, app_name=app)
    await create(client, "s-2")
    old = "UPDATE session SET created_at = '2020-01-01', updated_at = '2020-01-01'"
    await db.execute(f"{old} WHERE id <> 's-2' AND agent_id = 'my_app'")
    assert (await client.prune_expired_sessions(timedelta(days=1))).sessions == 1
    left = await db.fetch("SELECT app_name, session_id FROM agentrows_session_state ORDER BY 2")
    assert [tuple(row) for row in left] == [("my-app", "s-1"), ("my-app", "s-2")]


async def test_append_and_other_rows_commit_or_roll_back_together(client: PostgresClient) -> None:
    await create(client)

    class Undone(Exception):
        pass

    with pytest.raises(Undone):
        async with client.transaction() as tx:
            await append(tx, "e-1", 1, user_state={"a": 1})
            with pytest.raises(Stale):  # the transaction stays usable
                await append(tx, "e-2", 1)
            await tx.store_feedback(user_id="mira", is_positive=True, feedback_text="Good.")
            raise Undone
    assert (await find(client)).version == 1
    assert await client.find_user_state(**KEY) is None


@pytest.mark.parametrize("is_stored", [True, False])
async def test_lost_reply_of_create_returns_the_stored_session(
    client: PostgresClient, monkeypatch: pytest.MonkeyPatch, *, is_stored: bool
) -> None:
    runner = type(client.db)
    fetchrow = runner.fetchrow

    async def lose(self: Any, query: str, *args: object, **more: Any) -> Any:  # noqa: ANN401
        if "CreateAppSession" not in query:
            return await fetchrow(self, query, *args, **more)
        if is_stored:
            await fetchrow(self, query, *args, **more)
        raise OutcomeUnknown("the reply was lost")

    monkeypatch.setattr(runner, "fetchrow", lose)
    if is_stored:
        assert await create(client, state={"a": 1}) == await find(client)
    else:
        with pytest.raises(OutcomeUnknown):
            await create(client)


async def test_unusable_arguments_are_refused_by_name(client: PostgresClient) -> None:
    await create(client)
    good: dict[str, Any] = {**SESSION, "id": "e", "version": 1, "data": "", "occurred_at": 1.0}
    for name in ("session_id", "user_id", "app_name", "id"):
        with pytest.raises(InvalidValue, match=rf"^{name} contains U\+001F"):
            await call(client, "append_app_event", {**good, name: "a\x1f"})
    for value in ("a\0b", float("nan"), "\ud800", object()):
        for name in ("state", "user_state", "app_state"):
            with pytest.raises(InvalidValue, match=rf"^{name}\['bad'\]"):
                await append(client, "e-1", 1, **{name: {"good": 1, "bad": value}})
    for name, value in (("version", -1), ("version", "1"), ("occurred_at", "1"), ("data", None)):
        with pytest.raises(InvalidValue, match=name):
            await call(client, "append_app_event", {**good, name: value})
    with pytest.raises(InvalidValue, match="state must be a JSON object"):
        await append(client, "e-1", 1, state=["a"])
    with pytest.raises(InvalidValue, match="last"):
        await client.find_app_session("s-1", **KEY, last=-1)
    assert (await find(client)).version == 1


async def test_database_without_the_track_raises_schema_behind(database: str) -> None:
    tracks = [dataclasses.replace(track) for track in builtin_tracks() if track.name == "core"]
    await Migrator(database, tracks).up()
    settings = Settings(vector_enabled=False)
    async with PostgresClient.open(database, settings=settings, migrations="off") as client:
        await client.store_session("s-1", user_id="mira", agent_id="my-app")
        for attempt in (
            create(client, "s-2"),
            client.find_app_session("s-1", **KEY),
            client.list_app_sessions(**KEY),
            append(client, "e-1", 0),
            client.purge_session("s-1", user_id="mira"),
        ):
            with pytest.raises(SchemaBehind, match=r"agentrows_\w+.*migrate up"):
                await attempt
        assert (await client.get_session("s-1", user_id="mira")).agent_id == "my-app"
        assert (await client.erase_user("mira")).sessions == 1
        assert (await client.prune_expired_sessions(timedelta(days=1))).sessions == 0
