"""Conversations in PostgreSQL: owners, hostile values, faults, races, restarts."""

from __future__ import annotations

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationEntry,
    ConversationRecord,
)
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ToolReturnPart,
    UserPromptPart,
)

from agentrows import (
    AlreadyExists,
    ConfigError,
    HistoryEntry,
    InvalidValue,
    NotFound,
    OutcomeUnknown,
    PostgresClient,
    SchemaBehind,
    Settings,
    UnreadableRow,
)
from agentrows.pydantic_ai import ConversationStore, EntryNotFound
from integrations.pydantic_ai.messages import chain, conversation, question, turns
from support.postgres import as_role
from support.processes import run_module
from support.proxy import proxy_to, socket_of

if TYPE_CHECKING:
    from support.proxy import Moment

BROKEN = """
WITH RECURSIVE used AS (
    SELECT h.user_id, p.id FROM agentrows_history AS h,
        unnest(array_append(h.branches, h.head_id)) AS p (id)
    WHERE p.id IS NOT NULL
    UNION
    SELECT e.user_id, e.parent_id FROM used
    INNER JOIN agentrows_history_entry AS e ON e.user_id = used.user_id AND e.id = used.id
    WHERE e.parent_id IS NOT NULL
)
SELECT
    (
        SELECT count(*) FROM used WHERE (used.user_id, used.id) NOT IN (
            SELECT e.user_id, e.id FROM agentrows_history_entry AS e
        )
    ) AS missing,
    (
        SELECT count(*) FROM agentrows_history_entry AS e
        WHERE (e.user_id, e.id) NOT IN (SELECT used.user_id, used.id FROM used)
    ) AS unused
"""
"""The entries that a history uses and that are not stored, and those that no history uses."""


async def messages(store: ConversationStore, conversation_id: str = "c") -> list[ModelMessage]:
    loaded = await store.load(conversation_id)
    return [] if loaded is None else loaded.messages


async def test_two_users_with_one_conversation_id_have_separate_conversations(
    client: PostgresClient,
) -> None:
    mira, juno = (ConversationStore(client, user_id=user) for user in ("mira", "juno"))
    entries = await mira.save(conversation("c", "mira"))
    await juno.save(conversation("c", "juno"))

    assert await messages(mira) == turns("mira")
    assert await messages(juno) == turns("juno")
    with pytest.raises(EntryNotFound):
        await juno.read_entry(entries[0].id)
    with pytest.raises(EntryNotFound):
        await juno.read_history(entries[-1].id)
    record = ConversationRecord(conversation_id="theft", head_id=entries[-1].id)
    with pytest.raises(ConversationConflict):
        await juno.write_record(record, expected_revision=None)
    await juno.delete("c")
    assert await juno.list_conversations() == []
    assert await messages(mira) == turns("mira")


async def test_function_as_user_selects_the_owner_of_each_call(client: PostgresClient) -> None:
    user: object = "mira"
    store = ConversationStore(client, user_id=lambda: cast("str", user), anonymous_user_id="nobody")
    await store.save(conversation("c", "mira"))
    user = None
    assert await store.load("c") is None
    await store.save(conversation("c", "anonymous"))
    user = ""
    assert await messages(store) == turns("anonymous")
    user = "mira"
    assert await messages(store) == turns("mira")
    assert await messages(ConversationStore(client, user_id="nobody")) == turns("anonymous")


@pytest.mark.parametrize("user", [None, "", 7, b"mira", "\0", "\ud800", "x" * 513, "a\x1fb"])
async def test_call_without_a_valid_user_is_refused(client: PostgresClient, user: object) -> None:
    store = ConversationStore(client, user_id=lambda: cast("str", user))
    record = ConversationRecord(conversation_id="c", head_id=None)
    for call in (
        store.load("c"),
        store.list_conversations(),
        store.list_conversations(limit=0),
        store.read_history(None),
        store.read_entry("e"),
        store.write_record(record, expected_revision=None),
        store.delete_record("c", expected_revision="r"),
    ):
        with pytest.raises(InvalidValue, match="user_id"):
            await call
    with pytest.raises(InvalidValue, match="user_id"):
        ConversationStore(client, user_id=cast("str", user))


HOSTILE = ["", "\0", "a\0", "\ud800", "x" * 513, "ü" * 257, 7, ["a"]]


@pytest.mark.parametrize("value", HOSTILE, ids=repr)
async def test_hostile_ids_are_refused_by_name(client: PostgresClient, value: Any) -> None:  # noqa: ANN401
    store = ConversationStore(client, user_id="mira")
    for call, name in (
        (store.read_record(value), "conversation_id"),
        (store.delete_record(value, expected_revision="r"), "conversation_id"),
        (store.delete_record("c", expected_revision=value), "expected_revision"),
        (store.read_entry(value), "entry_id"),
        (store.read_history(value), "head_id"),
    ):
        with pytest.raises(InvalidValue, match=name):
            await call
    record = ConversationRecord(conversation_id="c", head_id=None)
    for field in ("conversation_id", "head_id", "revision"):
        broken = ConversationRecord(conversation_id="c", head_id=None)
        setattr(broken, field, value)
        with pytest.raises(InvalidValue, match=rf"record\.{field}"):
            await store.write_record(broken, expected_revision=None)
    with pytest.raises(InvalidValue, match="expected_revision"):
        await store.write_record(record, expected_revision=value)
    for entry, name in (
        (ConversationEntry(id=value, parent_id=None, message=question("x")), "id"),
        (ConversationEntry(id="e", parent_id=value, message=question("x")), "parent_id"),
    ):
        with pytest.raises(InvalidValue, match=rf"new_entries\[0\]\.{name}"):
            await store.write_record(record, new_entries=[entry], expected_revision=None)
    assert await store.list_conversations() == []


async def test_values_that_cannot_be_stored_are_refused(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    record = ConversationRecord(conversation_id="c", head_id=None)

    async def write(**changes: Any) -> None:  # noqa: ANN401  fields of the record
        entries: Any = changes.pop("entries", ())
        broken = ConversationRecord(conversation_id="c", head_id=None)
        for name, value in changes.items():
            setattr(broken, name, value)
        await store.write_record(broken, new_entries=entries, expected_revision=None)

    def entry(message: object) -> ConversationEntry:
        return ConversationEntry(parent_id=None, message=cast("ModelMessage", message))

    tool = ToolReturnPart(tool_name="t", content=object(), tool_call_id="t")
    for changes, name in (
        ({"usage": "none"}, "record"),
        ({"branches": [7]}, "record"),
        ({"branches": [""]}, "branches"),
        ({"scope": "x" * 513}, "scope"),
        ({"scope": "\0"}, "scope"),
        ({"format_version": 2}, "record"),
        ({"updated_at": datetime(2026, 1, 1)}, "updated_at"),  # noqa: DTZ001  no time zone
        ({"updated_at": "now"}, "record"),
        ({"entries": [7]}, r"new_entries\[0\]"),
        ({"entries": [entry("text")]}, r"new_entries\[0\]\.message"),
        ({"entries": [entry(question("\ud800"))]}, r"new_entries\[0\]\.message"),
        ({"entries": [entry(ModelRequest(parts=[tool]))]}, r"new_entries\[0\]\.message"),
        ({"entries": chain("a", "a")}, "entries must have different ids"),
        ({"entries": chain("a", parent="a")}, r"entries\[0\]\.parent_id"),
    ):
        with pytest.raises(InvalidValue, match=name):
            await write(**changes)
    with pytest.raises(InvalidValue, match="record must be"):
        await store.write_record(cast("ConversationRecord", {}), expected_revision=None)
    for limit in (-1, 1.5, "2", True):
        with pytest.raises(InvalidValue, match="limit"):
            await store.read_records(limit=cast("int", limit))
        with pytest.raises(InvalidValue, match="limit"):
            await store.read_history("e", limit=cast("int", limit))
    with pytest.raises(InvalidValue, match="scope"):
        await store.read_records(scope="\0")
    assert await store.list_conversations() == []
    await store.write_record(record, expected_revision=None)


async def test_entry_with_a_stored_id_is_refused(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    record = ConversationRecord(conversation_id="c", head_id="a")
    await store.write_record(record, new_entries=chain("a"), expected_revision=None)
    other = ConversationRecord(conversation_id="d", head_id="a")
    with pytest.raises(AlreadyExists):
        await store.write_record(other, new_entries=chain("a"), expected_revision=None)
    assert await store.read_record("d") is None


async def test_parent_or_branch_that_is_not_stored_is_a_conflict(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    record = ConversationRecord(conversation_id="c", head_id="b")
    with pytest.raises(ConversationConflict):
        await store.write_record(
            record, new_entries=chain("b", parent="absent"), expected_revision=None
        )
    record = ConversationRecord(conversation_id="c", head_id=None, branches=["absent"])
    with pytest.raises(ConversationConflict):
        await store.write_record(record, expected_revision=None)


async def test_bytes_of_a_tool_are_base64_as_in_the_json_of_the_framework(
    client: PostgresClient,
) -> None:
    store = ConversationStore(client, user_id="mira")
    current = conversation("c")
    tool = ToolReturnPart(tool_name="t", content=b"\xff\0", tool_call_id="t")
    current.messages = [ModelRequest(parts=[tool])]
    await store.save(current)
    [message] = await messages(store)
    [part] = message.parts
    assert isinstance(part, ToolReturnPart)
    assert part.content == "_wA="


async def test_two_processes_add_every_turn_once(client: PostgresClient, migrated: str) -> None:
    number = 8
    module = "integrations.pydantic_ai.speaker"
    async with (
        run_module(module, migrated, "one", str(number)) as one,
        run_module(module, migrated, "two", str(number)) as two,
    ):
        for program in (one, two):
            assert await program.read_line() == "ready"
        for program in (one, two):
            assert (await program.read_line()).startswith("done")

    stored = await messages(ConversationStore(client, user_id="mira"), "shared")
    questions = [
        part.content
        for message in stored
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    assert len(stored) == 2 * 2 * number
    for name in ("one", "two"):
        own = [text for text in questions if str(text).startswith(name)]
        assert own == [f"{name} {turn}" for turn in range(number)]
    assert await client.db.fetchval("SELECT count(*) FROM agentrows_history_entry") == len(stored)


async def check_references(client: PostgresClient) -> None:
    """Check that no entry of a history is missing, and that each one is used."""
    assert tuple(await client.db.fetchrow(BROKEN) or ()) == (0, 0)


async def test_deletions_beside_writers_and_forks_leave_whole_histories(migrated: str) -> None:
    settings = Settings(migrations="off", pool_max_size=12)
    chance = random.Random(24)  # noqa: S311  not for secrets
    won: dict[str, int] = dict.fromkeys(("save", "fork", "delete", "branch"), 0)

    async def act(store: ConversationStore, kind: str) -> None:
        name = f"c-{chance.randrange(4)}"
        if kind == "save":
            loaded = await store.load(name) or conversation(name)
            loaded.messages += turns(f"{chance.random()}")
            await store.save(loaded)
        elif kind == "fork":
            await store.fork(name, at=2, new_conversation_id=f"c-{chance.randrange(4)}")
        elif kind == "branch":
            record = await store.read_record(name)
            if record is not None:
                await store.branch(name, at=1, expected_revision=record.revision)
        else:
            await store.delete(name)
        won[kind] += 1

    async def work(store: ConversationStore, kind: str) -> None:
        end = time.monotonic() + 4
        while time.monotonic() < end:
            with contextlib.suppress(ConversationConflict, UserError):
                await act(store, kind)

    async with PostgresClient.open(migrated, settings=settings) as client:
        store = ConversationStore(client, user_id="mira")
        kinds = ["save", "save", "save", "fork", "fork", "branch", "delete", "delete"]
        await asyncio.gather(*(work(store, kind) for kind in kinds))
        assert min(won.values()) > 5, won
        await check_references(client)
        for record in await store.list_conversations():
            await store.delete(record.conversation_id)
        assert await client.db.fetchval("SELECT count(*) FROM agentrows_history_entry") == 0


@pytest.mark.parametrize("is_kept", [True, False], ids=["committed", "rolled back"])
async def test_deletion_waits_for_a_fork_in_a_transaction(
    client: PostgresClient, *, is_kept: bool
) -> None:
    store = ConversationStore(client, user_id="mira")
    await store.save(conversation("c", "one", "two"))
    deletions: list[asyncio.Task[None]] = []
    with contextlib.suppress(RuntimeError):
        async with client.transaction() as tx:
            await ConversationStore(tx, user_id="mira").fork("c", at=2, new_conversation_id="fork")
            deletions.append(asyncio.create_task(store.delete("c")))
            await asyncio.sleep(0.3)
            assert not deletions[0].done()
            if not is_kept:
                raise RuntimeError
    await deletions[0]

    assert await messages(store, "fork") == (turns("one") if is_kept else [])
    await check_references(client)


async def test_fork_of_a_conversation_that_is_being_deleted_is_a_conflict(
    client: PostgresClient,
) -> None:
    store = ConversationStore(client, user_id="mira")
    await store.save(conversation("c", "one"))
    async with client.transaction() as tx:
        await ConversationStore(tx, user_id="mira").delete("c")
        fork = asyncio.create_task(store.fork("c", new_conversation_id="fork"))
        await asyncio.sleep(0.3)
        assert not fork.done()
    with pytest.raises(ConversationConflict):
        await fork
    assert await store.list_conversations() == []
    await check_references(client)


async def test_history_of_10000_messages_is_read_in_one_statement(
    client: PostgresClient, migrated: str
) -> None:
    store = ConversationStore(client, user_id="mira")
    long = conversation("c")
    long.messages = turns(*(f"turn {number}" for number in range(5000)))
    await store.save(long)
    async with PostgresClient.open(as_role(migrated, "postgres"), migrations="off") as admin:
        await admin.db.execute("ANALYZE agentrows_history, agentrows_history_entry")
    started = time.monotonic()
    loaded = await store.load("c")
    assert loaded is not None
    assert loaded.messages == long.messages
    assert time.monotonic() - started < 10
    assert len(await messages(store)) == 10_000
    await store.delete("c")
    assert await client.db.fetchval("SELECT count(*) FROM agentrows_history_entry") == 0


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_save_whose_connection_is_lost_is_stored_whole_or_not(
    migrated: str, moment: Moment
) -> None:
    settings = Settings(migrations="off")
    async with (
        proxy_to(socket_of(migrated)) as proxy,
        PostgresClient.open(proxy.dsn(migrated), settings=settings) as client,
    ):
        store = ConversationStore(client, user_id="mira")
        await store.save(conversation("c", "one"))
        current = await store.load("c")
        assert current is not None
        current.messages += turns("cut here")
        plan = proxy.cut_at(b"cut here", moment)
        with pytest.raises(OutcomeUnknown):
            await store.save(current)
        assert plan.is_done
        names = ("one", "cut here") if moment == "after" else ("one",)
        assert await messages(store) == turns(*names)
        await check_references(client)


async def test_store_of_a_transaction_is_rolled_back_with_it(client: PostgresClient) -> None:
    with pytest.raises(RuntimeError, match="undo"):
        async with client.transaction() as tx:
            await ConversationStore(tx, user_id="mira").save(conversation("c", "one"))
            raise RuntimeError("undo")
    assert await ConversationStore(client, user_id="mira").load("c") is None


async def test_own_client_is_opened_by_the_first_call_and_used_again_after_a_restart(
    migrated: str,
) -> None:
    settings = Settings(migrations="off")
    for number in range(3):
        async with ConversationStore.from_dsn(migrated, user_id="mira", settings=settings) as store:
            current = await store.load("c") or conversation("c")
            assert len(current.messages) == 2 * number
            current.messages += turns(f"turn {number}")
            await store.save(current)


async def test_foreign_rows_raise_unreadable_row(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    entries = await store.save(conversation("c", "one"))
    await client.db.execute(
        "UPDATE agentrows_history_entry SET data = 'secret' WHERE id = $1", entries[0].id
    )
    with pytest.raises(UnreadableRow, match=entries[0].id) as raised:
        await store.load("c")
    assert "secret" not in str(raised.value)
    await client.db.execute("UPDATE agentrows_history_entry SET kind = 'summary'")
    with pytest.raises(UnreadableRow, match="unknown kind 'summary'"):
        await store.read_entry(entries[0].id)
    await client.db.execute("UPDATE agentrows_history SET data = '{}'")
    with pytest.raises(UnreadableRow, match="'c'"):
        await store.read_record("c")


async def test_history_with_a_missing_entry_raises_entry_not_found(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    entries = await store.save(conversation("c", "one", "two"))
    await client.db.execute("DELETE FROM agentrows_history_entry WHERE id = $1", entries[1].id)
    with pytest.raises(EntryNotFound, match=entries[1].id) as raised:
        await store.load("c")
    assert isinstance(raised.value, LookupError)
    assert isinstance(raised.value, NotFound)
    assert len(await store.load_entries("c", limit=2) or []) == 2


async def test_circle_of_messages_raises_unreadable_row(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    entries = await store.save(conversation("c", "one", "two"))
    await client.db.execute(
        "UPDATE agentrows_history_entry SET parent_id = $1 WHERE id = $2",
        entries[1].id,
        entries[0].id,
    )
    with pytest.raises(UnreadableRow, match="is its own ancestor"):
        await store.load("c")
    with pytest.raises(UnreadableRow, match="is its own ancestor"):
        await store.load("c", limit=99)
    await store.delete("c")
    assert await client.db.fetchval("SELECT count(*) FROM agentrows_history_entry") == 0


async def test_entries_are_stored_in_the_json_of_the_framework(client: PostgresClient) -> None:
    store = ConversationStore(client, user_id="mira")
    [entry, _] = await store.save(conversation("c", "one"))
    row = await client.find_history_entry(entry.id, user_id="mira")
    assert isinstance(row, HistoryEntry)
    assert row.data.startswith('{"parts":[{"content":"one?"')
    assert (row.kind, row.parent_id) == ("message", None)


async def test_database_without_tables_raises_schema_behind(database: str) -> None:
    settings = Settings(migrations="off", vector_enabled=False)
    async with PostgresClient.open(database, settings=settings) as client:
        with pytest.raises((SchemaBehind, ConfigError)):
            await ConversationStore(client, user_id="mira").load("c")


def test_import_without_the_framework_names_the_extra() -> None:
    code = """if True:
        import sys
        sys.modules["pydantic_ai"] = None
        import agentrows
        try:
            import agentrows.pydantic_ai
        except agentrows.ConfigError as error:
            print(error)
    """
    done = subprocess.run(  # noqa: S603  our own program
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("pip install 'agentrows[pydantic-ai]'")
