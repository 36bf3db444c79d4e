"""Sessions in PostgreSQL: owners, hostile values, faults, writers at the same time, restarts."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
from claude_agent_sdk import (
    InMemorySessionStore,
    delete_session_via_store,
    fork_session_via_store,
    get_session_messages_from_store,
    list_sessions_from_store,
    list_subagents_from_store,
    project_key_for_directory,
    rename_session_via_store,
    tag_session_via_store,
)

from agentrows import (
    ConfigError,
    InvalidValue,
    NewTranscriptEntry,
    PostgresClient,
    SchemaBehind,
    Settings,
    Unavailable,
    UnreadableRow,
)
from agentrows.claude import SessionStore
from integrations.claude.appender import KEY, entry
from support.processes import run_module
from support.proxy import proxy_to, socket_of

if TYPE_CHECKING:
    from claude_agent_sdk import SessionKey, SessionStoreEntry
    from claude_agent_sdk import SessionStore as BaseSessionStore

    from support.proxy import Moment

SUBAGENT: SessionKey = {**KEY, "subpath": "subagents/agent-1"}
SESSION_ID = "0195b7a0-0000-7000-8000-000000000001"


async def load(store: SessionStore, key: SessionKey = KEY) -> list[SessionStoreEntry]:
    return await store.load(key) or []


async def test_two_users_with_one_session_id_have_separate_sessions(client: PostgresClient) -> None:
    mira, juno = (SessionStore(client, user_id=user) for user in ("mira", "juno"))
    for store, name in ((mira, "mira"), (juno, "juno")):
        await store.append(KEY, [entry(uuid="u-1", of=name, customTitle=name)])
        await store.append(SUBAGENT, [entry(uuid="u-1", of=f"agent of {name}")])

    await juno.delete(SUBAGENT)
    assert await load(mira) == [entry(uuid="u-1", of="mira", customTitle="mira")]
    assert await load(mira, SUBAGENT) == [entry(uuid="u-1", of="agent of mira")]
    [summary] = await juno.list_session_summaries("proj")
    assert summary["data"]["custom_title"] == "juno"
    await juno.delete(KEY)
    assert await juno.load(KEY) is None
    assert await juno.list_sessions("proj") == []
    assert [session["session_id"] for session in await mira.list_sessions("proj")] == ["shared"]
    assert await mira.list_subkeys({"project_key": "proj", "session_id": "shared"}) == [
        "subagents/agent-1"
    ]


async def test_function_as_user_selects_the_owner_of_each_call(client: PostgresClient) -> None:
    user: object = "mira"
    store = SessionStore(client, user_id=lambda: cast("str", user), anonymous_user_id="nobody")
    await store.append(KEY, [entry(uuid="u-1")])
    user = None
    assert await store.load(KEY) is None
    await store.append(KEY, [entry(uuid="u-2")])
    user = ""
    assert await load(store) == [entry(uuid="u-2")]
    user = "mira"
    assert await load(store) == [entry(uuid="u-1")]
    assert await load(SessionStore(client, user_id="nobody")) == [entry(uuid="u-2")]


@pytest.mark.parametrize("user", [None, "", 7, b"mira", "\0", "\ud800", "x" * 513, "a\x1fb"])
async def test_call_without_a_valid_user_is_refused(client: PostgresClient, user: object) -> None:
    store = SessionStore(client, user_id=lambda: cast("str", user))
    with pytest.raises(InvalidValue, match="user_id"):
        await store.append(KEY, [entry(uuid="u-1")])
    with pytest.raises(InvalidValue, match="user_id"):
        await store.list_sessions("proj")
    with pytest.raises(InvalidValue, match="user_id"):
        await store.list_session_summaries("proj")
    if not callable(user):
        with pytest.raises(InvalidValue, match="user_id"):
            SessionStore(client, user_id=cast("str", user))


async def test_user_with_the_id_of_the_anonymous_owner_is_refused(client: PostgresClient) -> None:
    store = SessionStore(client, user_id=lambda: "nobody", anonymous_user_id="nobody")
    with pytest.raises(InvalidValue, match="anonymous"):
        await store.load(KEY)


async def test_arguments_that_do_not_fit_together_are_refused(client: PostgresClient) -> None:
    async def find_user() -> str:
        return "mira"

    wrong: Any = find_user
    with pytest.raises(InvalidValue, match="plain function"):
        SessionStore(client, user_id=wrong)
    with pytest.raises(InvalidValue, match="anonymous_user_id needs a function"):
        SessionStore(client, user_id="mira", anonymous_user_id="nobody")
    with pytest.raises(InvalidValue, match=r"^client must be"):
        SessionStore(cast("PostgresClient", "postgresql://"), user_id="mira")
    async with client.transaction() as tx:
        with pytest.raises(InvalidValue, match="row_security needs a client"):
            SessionStore(tx, user_id="mira", row_security=True)


HOSTILE = ["", "\0", "a\0", "\ud800", "x" * 513, "ü" * 257, "a\x1fb", 7, None, ["a"]]


@pytest.mark.parametrize("name", ["project_key", "session_id", "subpath"])
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
async def test_hostile_parts_of_a_key_are_refused_by_name(
    client: PostgresClient, name: str, value: object
) -> None:
    store = SessionStore(client, user_id="mira")
    key = cast("SessionKey", {**KEY, name: value})
    if name == "subpath" and value is None:
        await store.append(key, [entry(uuid="u-1")])
        assert await load(store) == [entry(uuid="u-1")]
        return
    for call in (store.append(key, [entry(uuid="u-1")]), store.load(key), store.delete(key)):
        with pytest.raises(InvalidValue, match=rf"key\['{name}'\]"):
            await call
    if name == "project_key":
        with pytest.raises(InvalidValue, match=r"^project_key"):
            await store.list_sessions(cast("str", value))


@pytest.mark.parametrize("uuid", [value for value in HOSTILE if value not in (None, "a\x1fb")])
async def test_hostile_uuid_is_refused_and_nothing_is_stored(
    client: PostgresClient, uuid: object
) -> None:
    store = SessionStore(client, user_id="mira")
    with pytest.raises(InvalidValue, match=r"entries\[1\]\['uuid'\]"):
        await store.append(KEY, [entry(uuid="u-1"), entry(uuid=uuid)])
    assert await store.load(KEY) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, b"x"], ids=repr)
async def test_entry_without_json_form_is_refused(client: PostgresClient, value: object) -> None:
    store = SessionStore(client, user_id="mira")
    with pytest.raises(InvalidValue, match=r"entries\[0\]"):
        await store.append(KEY, [entry(value=value)])
    with pytest.raises(InvalidValue, match=r"entries\[0\] must be a JSON object"):
        await store.append(KEY, cast("list[SessionStoreEntry]", ["text"]))


async def test_entries_keep_nul_surrogates_and_large_numbers(client: PostgresClient) -> None:
    store, reference = SessionStore(client, user_id="mira"), InMemorySessionStore()
    prompt = "a\0b \ud83d ü \x1f 😀"
    entries = [
        entry(uuid="u-1", message={"content": prompt}, n=2**70, f=1e300, none=None, deep=[[1]]),
        entry(uuid=None, customTitle="t\0\ud800"),
        entry(),
        entry(),
    ]
    for each in (store, reference):
        await each.append(KEY, entries)

    assert await store.load(KEY) == entries
    [ours], [theirs] = [await each.list_session_summaries("proj") for each in (store, reference)]
    assert ours["data"] == theirs["data"]
    assert ours["data"]["first_prompt"] == prompt


async def test_entry_with_a_stored_uuid_is_left_out(client: PostgresClient) -> None:
    store = SessionStore(client, user_id="mira")
    await store.append(KEY, [entry(uuid="a", n=1), entry(uuid="b", n=1)])
    await store.append(KEY, [entry(uuid="b", n=2), entry(uuid="c"), entry(uuid="c", n=2), entry()])
    await store.append(SUBAGENT, [entry(uuid="a", n=3)])
    await store.append(KEY, [entry()])

    assert await load(store) == [
        entry(uuid="a", n=1),
        entry(uuid="b", n=1),
        entry(uuid="c"),
        entry(),
        entry(),
    ]
    assert await load(store, SUBAGENT) == [entry(uuid="a", n=3)]


async def test_batches_of_two_processes_are_whole_and_in_the_order_of_each(
    client: PostgresClient, migrated: str
) -> None:
    number = 25
    module = "integrations.claude.appender"
    async with (
        run_module(module, migrated, "one", str(number)) as one,
        run_module(module, migrated, "two", str(number)) as two,
    ):
        for program in (one, two):
            assert await program.read_line() == "ready"
        for program in (one, two):
            assert await program.read_line() == "done"

    store = SessionStore(client, user_id="mira")
    stored = cast("list[dict[str, Any]]", await load(store))
    own = [each for each in stored if not str(each.get("uuid", "")).startswith("shared")]
    assert len(stored) == number + 2 * 3 * number
    for writer in ("one", "two"):
        batches = [each["batch"] for each in own if each.get("writer") == writer]
        assert batches == list(range(number))
    for start in range(0, len(own), 3):
        begin, end, last = own[start : start + 3]
        name = f"{last['writer']}-{last['batch']}"
        assert (begin["uuid"], end["uuid"]) == (name, f"{name}-end")
    # The summary has the entries of both processes, in the order in which they are stored.
    reference = InMemorySessionStore()
    await reference.append(KEY, cast("list[SessionStoreEntry]", stored))
    [ours], [theirs] = [await each.list_session_summaries("proj") for each in (store, reference)]
    assert ours["data"] == theirs["data"]


@pytest.mark.parametrize("mark", [b"cut here", b"custom_title"], ids=["entries", "summary"])
@pytest.mark.parametrize("moment", ["before", "after"])
async def test_append_whose_connection_is_lost_stores_each_entry_once(
    migrated: str, mark: bytes, moment: Moment
) -> None:
    settings = Settings(migrations="off")
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), settings=settings) as client,
    ):
        store = SessionStore(client, user_id="mira")
        await store.append(KEY, [entry(uuid="u-0")])
        plan = proxy.cut_at(mark, moment)
        await store.append(KEY, [entry(text="cut here"), entry(customTitle="title of")])
        assert plan.is_done
        assert await load(store) == [
            entry(uuid="u-0"),
            entry(text="cut here"),
            entry(customTitle="title of"),
        ]
        [summary] = await store.list_session_summaries("proj")
        assert summary["data"]["custom_title"] == "title of"


async def test_batch_that_the_sdk_appends_again_after_an_error_is_stored_once(
    migrated: str,
) -> None:
    settings = Settings(migrations="off", retry_timeout_s=0)
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), settings=settings) as client,
    ):
        store = SessionStore(client, user_id="mira")
        batch = [entry(text="cut here"), entry(uuid="u-1")]
        plan = proxy.cut_at(b"cut here", "after")
        with pytest.raises(Unavailable):
            await store.append(KEY, batch)
        assert plan.is_done
        await store.append(KEY, [*batch])
        assert await load(store) == batch
        await store.append(KEY, [*batch])  # another batch, which has no error to recover from
        assert await load(store) == [*batch, entry(text="cut here")]


async def test_summary_without_the_last_entries_is_completed_by_a_list(
    client: PostgresClient,
) -> None:
    store = SessionStore(client, user_id="mira")
    await store.append(KEY, [entry(uuid="u-0", customTitle="first")])
    rows = [
        NewTranscriptEntry(id=f"n-{number}", data=json.dumps(entry(lastPrompt=f"p {number}")))
        for number in range(2500)
    ]
    await client.append_transcript("shared", rows, project_key="proj", user_id="mira")

    [summary] = await store.list_session_summaries("proj")
    assert summary["data"]["custom_title"] == "first"
    assert summary["data"]["last_prompt"] == "p 2499"
    [transcript] = await client.list_transcripts("proj", user_id="mira")
    assert transcript.summary_position == transcript.last_position == 2501
    assert json.loads(transcript.summary or "") == summary["data"]


async def test_summaries_and_sessions_have_one_clock(client: PostgresClient) -> None:
    store = SessionStore(client, user_id="mira")
    for number in range(3):
        await store.append(
            {"project_key": "proj", "session_id": f"s-{number}"}, [entry(timestamp="2020-01-01")]
        )
    listed = await store.list_sessions("proj")
    summaries = await store.list_session_summaries("proj")
    assert [(each["session_id"], each["mtime"]) for each in listed] == [
        (each["session_id"], each["mtime"]) for each in summaries
    ]
    assert [each["session_id"] for each in listed] == ["s-2", "s-1", "s-0"]


async def test_helpers_of_the_sdk_return_the_same_for_its_own_store(
    client: PostgresClient,
) -> None:
    key: SessionKey = {"project_key": project_key_for_directory(), "session_id": SESSION_ID}
    message = {"role": "user", "content": "A train to Rome?"}

    async def work(store: BaseSessionStore) -> list[object]:
        await store.append(key, [entry(uuid="u-1", sessionId=SESSION_ID, message=message)])
        agent = entry(uuid="u-2", sessionId=SESSION_ID, message=message, isSidechain=True)
        await store.append({**key, "subpath": "subagents/agent-1"}, [agent])
        await rename_session_via_store(store, SESSION_ID, "Rome")
        await tag_session_via_store(store, SESSION_ID, "travel")
        found = [(each.summary, each.tag) for each in await list_sessions_from_store(store)]
        messages = await get_session_messages_from_store(store, SESSION_ID)
        fork = await fork_session_via_store(store, SESSION_ID)
        forked = await get_session_messages_from_store(store, fork.session_id)
        subagents = await list_subagents_from_store(store, SESSION_ID)
        await delete_session_via_store(store, SESSION_ID)
        left = await list_sessions_from_store(store)
        is_fork = [each.session_id == fork.session_id for each in left]
        contents = [[each.message for each in some] for some in (messages, forked)]
        return [found, *contents, subagents, is_fork]

    ours = await work(SessionStore(client, user_id="mira"))
    assert ours == await work(InMemorySessionStore())
    assert ours == [[("Rome", "travel")], [message], [message], ["1"], [True]]


async def test_store_of_a_transaction_is_rolled_back_with_it(client: PostgresClient) -> None:
    with pytest.raises(RuntimeError, match="undo"):
        async with client.transaction() as tx:
            await SessionStore(tx, user_id="mira").append(KEY, [entry(uuid="u-1")])
            raise RuntimeError("undo")
    assert await SessionStore(client, user_id="mira").load(KEY) is None


async def test_own_client_is_opened_by_the_first_call_and_used_again_after_a_restart(
    migrated: str,
) -> None:
    settings = Settings(migrations="off")
    async with SessionStore.from_dsn(migrated, user_id="mira", settings=settings) as store:
        await asyncio.gather(*(store.append(KEY, [entry(uuid=f"u-{n}")]) for n in range(5)))
    async with SessionStore.from_dsn(migrated, user_id="mira", settings=settings) as store:
        assert len(await load(store)) == 5


async def test_foreign_rows_raise_unreadable_row(client: PostgresClient) -> None:
    store = SessionStore(client, user_id="mira")
    await client.append_transcript(
        "shared", [NewTranscriptEntry(id="n", data="no JSON")], project_key="proj", user_id="mira"
    )
    with pytest.raises(UnreadableRow, match="position 1"):
        await store.load(KEY)


async def test_deleted_session_leaves_no_row(client: PostgresClient) -> None:
    store = SessionStore(client, user_id="mira")
    for key in (KEY, SUBAGENT):
        await store.append(key, [entry(uuid="u-1", text="4711")])
    await store.delete(KEY)
    for table in ("agentrows_transcript", "agentrows_transcript_entry"):
        assert await client.db.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608


async def test_database_without_tables_raises_schema_behind(database: str) -> None:
    settings = Settings(migrations="off", vector_enabled=False)
    async with PostgresClient.open(database, settings=settings) as client:
        with pytest.raises((SchemaBehind, ConfigError)):
            await SessionStore(client, user_id="mira").load(KEY)


def test_import_without_the_sdk_names_the_extra() -> None:
    code = """if True:
        import sys
        sys.modules["claude_agent_sdk"] = None
        import agentrows
        try:
            import agentrows.claude
        except agentrows.ConfigError as error:
            print(error)
    """
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("pip install 'agentrows[claude]'")
