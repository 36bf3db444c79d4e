"""The contract of a conversation store, for the framework's own store and the one in PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from pydantic_ai import Agent, BinaryContent, UserError
from pydantic_ai.conversation_store import (
    ConversationConflict,
    ConversationRecord,
    ConversationStore,
    InMemoryConversationStore,
)
from pydantic_ai.messages import ModelRequest, ToolCallPart, UserPromptPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import DeferredToolRequests
from pydantic_ai.usage import RunUsage

import agentrows.pydantic_ai
from agentrows import PostgresClient, Settings
from integrations.pydantic_ai.messages import answer, chain, conversation, question, turns
from support.postgres import SERVICE, as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pydantic_ai.conversation import Conversation


@pytest.fixture(params=["memory", "postgres", "row security"])
async def store(request: pytest.FixtureRequest, migrated: str) -> AsyncIterator[ConversationStore]:
    if request.param == "memory":
        yield InMemoryConversationStore()
        return
    has_policies = request.param == "row security"
    if has_policies:
        settings = Settings(row_security=True, migrations="apply")
        async with PostgresClient.open(as_role(migrated, "postgres"), settings=settings) as admin:
            await admin.db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {SERVICE}")
    settings = Settings(row_security=has_policies, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        yield agentrows.pydantic_ai.ConversationStore(
            client, user_id="mira", row_security=has_policies
        )


async def load(store: ConversationStore, conversation_id: str = "c") -> Conversation:
    loaded = await store.load(conversation_id)
    assert loaded is not None
    return loaded


async def entry_ids(store: ConversationStore, conversation_id: str = "c") -> list[str]:
    entries = await store.load_entries(conversation_id)
    assert entries is not None
    return [entry.id for entry in entries]


async def stored(store: ConversationStore, ids: list[str]) -> list[bool]:
    """Return whether each of these entries is stored."""

    async def is_stored(entry_id: str) -> bool:
        try:
            await store.read_entry(entry_id)
        except LookupError:
            return False
        return True

    return [await is_stored(entry_id) for entry_id in ids]


async def test_absent_conversation_is_none(store: ConversationStore) -> None:
    assert await store.load("c") is None
    assert await store.load_entries("c") is None
    assert await store.read_record("c") is None
    assert await store.list_conversations() == []
    await store.delete("c")
    with pytest.raises(LookupError):
        await store.read_entry("absent")
    with pytest.raises(LookupError):
        await store.read_history("absent")
    with pytest.raises(ConversationConflict):
        await store.delete_record("c", expected_revision="absent")
    with pytest.raises(UserError, match="not in the store"):
        await store.fork("c")


async def test_agent_continues_over_several_turns(store: ConversationStore) -> None:
    agent = Agent(TestModel(custom_output_text="Yes."))
    current = conversation("c")
    for turn in range(1, 5):
        result = await agent.run(f"Question {turn}?", conversation=current)
        new = await store.save(result)
        assert [entry.message for entry in new] == result.new_messages()
        current = await load(store)
        assert current.messages == result.all_messages()
        assert current.usage == result.conversation.usage
    assert len(await entry_ids(store)) == 8
    assert current.usage.requests == 4
    assert len(set(await entry_ids(store))) == 8


async def test_save_stores_only_new_messages(store: ConversationStore) -> None:
    current = conversation("c", "one")
    first = await store.save(current)
    assert await store.save(current) == []
    current.messages += turns("two")
    second = await store.save(current)
    assert [entry.message for entry in first + second] == turns("one", "two")
    assert await entry_ids(store) == [entry.id for entry in first + second]
    assert second[0].parent_id == first[-1].id
    assert (await load(store)).revision == current.revision


async def test_one_of_two_writers_wins(store: ConversationStore) -> None:
    await store.save(conversation("c", "one"))
    first, second = await load(store), await load(store)
    first.messages += turns("two")
    second.messages += turns("three")
    await store.save(first)
    with pytest.raises(ConversationConflict):
        await store.save(second)
    assert (await load(store)).messages == turns("one", "two")
    again = await load(store)
    again.messages += turns("three")
    await store.save(again)
    assert (await load(store)).messages == turns("one", "two", "three")


async def test_one_of_many_concurrent_writers_wins(store: ConversationStore) -> None:
    await store.save(conversation("c", "one"))
    copies = [await load(store) for _ in range(10)]
    for number, each in enumerate(copies):
        each.messages += turns(f"writer {number}")
    results = await asyncio.gather(*map(store.save, copies), return_exceptions=True)
    losers = [result for result in results if isinstance(result, ConversationConflict)]
    assert len(losers) == len(copies) - 1
    created = await asyncio.gather(
        *(store.save(conversation("new", f"writer {n}")) for n in range(10)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, ConversationConflict) for result in created) == 9
    assert len((await load(store)).messages) == 4
    assert len((await load(store, "new")).messages) == 2


async def test_stored_id_cannot_be_created_again(store: ConversationStore) -> None:
    await store.save(conversation("c", "one"))
    with pytest.raises(ConversationConflict):
        await store.save(conversation("c", "two"))
    await store.save(conversation("other", "one"))
    with pytest.raises(ConversationConflict):
        await store.fork("other", new_conversation_id="c")
    assert (await load(store)).messages == turns("one")


async def test_deleted_conversation_is_not_saved_again(store: ConversationStore) -> None:
    await store.save(conversation("c", "one"))
    copy = await load(store)
    await store.delete("c")
    copy.messages += turns("two")
    with pytest.raises(ConversationConflict):
        await store.save(copy)
    assert await store.load("c") is None
    await store.save(conversation("c", "three"))
    with pytest.raises(ConversationConflict):
        await store.save(copy)
    assert (await load(store)).messages == turns("three")


async def test_rewritten_history_leaves_a_branch(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two"))
    old = await entry_ids(store)
    current = await load(store)
    rewritten = conversation("c", "one", "three")
    rewritten.revision = current.revision
    await store.save(rewritten)
    assert (await load(store)).messages == turns("one", "three")
    record = await store.read_record("c")
    assert record is not None
    assert record.branches == [old[-1]]
    assert await stored(store, old) == [True] * 4

    back = await store.branch("c", from_entry=old[-1], expected_revision=record.revision)
    assert back.messages == turns("one", "two")
    assert await entry_ids(store) == old


async def test_branch_continues_from_an_earlier_message(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two"))
    current = await load(store)
    with pytest.raises(ConversationConflict):
        await store.branch("c", at=2, expected_revision="other")
    branched = await store.branch("c", at=2, expected_revision=current.revision)
    branched.messages += turns("three")
    await store.save(branched)
    assert (await load(store)).messages == turns("one", "three")
    emptied = await store.branch("c", at=0, expected_revision=branched.revision)
    assert emptied.messages == (await load(store)).messages == []


async def test_fork_shares_the_entries(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two"), scope="work")
    ids = await entry_ids(store)
    whole = await store.fork("c", new_conversation_id="whole")
    part = await store.fork("c", at=2, new_conversation_id="part", scope="home")
    assert whole.messages == turns("one", "two")
    part.messages += turns("three")
    await store.save(part)
    assert await entry_ids(store, "whole") == ids
    assert (await entry_ids(store, "part"))[:2] == ids[:2]
    assert (await load(store)).messages == turns("one", "two")
    record = await store.read_record("part")
    assert record is not None
    assert (record.forked_from, record.forked_at, record.scope) == ("c", ids[1], "home")


async def test_messages_are_deleted_with_their_last_reference(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two"))
    ids = await entry_ids(store)
    await store.fork("c", at=2, new_conversation_id="fork")
    await store.save(conversation("other", "one"))
    other = await entry_ids(store, "other")

    await store.delete("c")
    assert await store.load("c") is None
    assert await stored(store, ids) == [True, True, False, False]
    assert (await load(store, "fork")).messages == turns("one")
    await store.delete("fork")
    assert await stored(store, ids) == [False] * 4
    assert await stored(store, other) == [True, True]


async def test_branches_keep_their_messages_until_the_deletion(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two"))
    ids = await entry_ids(store)
    current = await load(store)
    await store.branch("c", at=1, expected_revision=current.revision)
    fork = await store.fork("c", from_entry=ids[-1], new_conversation_id="fork")
    assert fork.messages == turns("one", "two")
    await store.delete("fork")
    assert await stored(store, ids) == [True] * 4
    await store.delete("c")
    assert await stored(store, ids) == [False] * 4


async def test_scope_hides_conversations(store: ConversationStore) -> None:
    await store.save(conversation("c", "one"), scope="work")
    await store.save(conversation("d", "one"))
    assert await store.load("c", scope="home") is None
    assert await store.load("c", scope="work") is not None
    assert await store.load("d", scope="work") is None
    copy = await load(store)
    with pytest.raises(ConversationConflict):
        await store.save(copy, scope="home")
    await store.save(copy)
    await store.delete("c", scope="home")
    assert [each.scope for each in await store.list_conversations(scope="work")] == ["work"]
    assert await store.list_conversations(scope="home") == []


async def test_list_has_the_last_saved_first(store: ConversationStore) -> None:
    for name in ("a", "b", "c"):
        await store.save(conversation(name, "one"), scope="s")
    again = await load(store, "a")
    again.messages += turns("two")
    await store.save(again)

    async def names(*, scope: str | None = None, limit: int | None = None) -> list[str]:
        records = await store.list_conversations(scope=scope, limit=limit)
        return [record.conversation_id for record in records]

    assert await names() == await names(scope="s") == ["a", "c", "b"]
    assert await names(limit=2) == await names(scope="s", limit=2) == ["a", "c"]
    assert await names(limit=0) == await names(scope="s", limit=0) == []
    with pytest.raises(UserError):
        await names(limit=-1)


async def test_window_of_the_last_messages_is_continued(store: ConversationStore) -> None:
    await store.save(conversation("c", "one", "two", "three"))
    window = await store.load("c", limit=2)
    assert window is not None
    assert window.messages == turns("three")
    window.messages += turns("four")
    await store.save(window)
    assert (await load(store)).messages == turns("one", "two", "three", "four")
    for limit, number in ((0, 0), (1, 1), (8, 8), (99, 8)):
        entries = await store.load_entries("c", limit=limit)
        assert entries is not None
        assert len(entries) == number
    with pytest.raises(UserError):
        await store.load("c", limit=-1)


async def test_histories_up_to_no_entry_are_empty(store: ConversationStore) -> None:
    await store.save(conversation("c"))
    assert (await load(store)).messages == []
    assert await store.read_history(None) == []
    assert await store.read_history(None, limit=0) == []


async def test_record_with_a_head_that_is_not_stored_is_a_conflict(
    store: ConversationStore,
) -> None:
    record = ConversationRecord(conversation_id="c", head_id="absent")
    with pytest.raises(ConversationConflict):
        await store.write_record(record, new_entries=chain("a"), expected_revision=None)
    assert await store.read_record("c") is None
    assert await stored(store, ["a"]) == [False]


async def test_record_and_messages_are_returned_as_they_were_saved(
    store: ConversationStore,
) -> None:
    requests = DeferredToolRequests(
        calls=[ToolCallPart(tool_name="book", args={"n": 1}, tool_call_id="t-1")],
        approvals=[ToolCallPart(tool_name="pay", args="{}", tool_call_id="t-2")],
        metadata={"t-1": {"reason": "slow", "n": [1, 2.5, None]}},
    )
    current = conversation("c")
    current.messages = [
        ModelRequest(
            parts=[
                UserPromptPart(
                    content=["a\0b ü 😀", BinaryContent(data=b"\0\xff", media_type="audio/wav")]
                )
            ],
            metadata={"trace": "x"},
        ),
        answer("x" * 100_000),
        question(""),
    ]
    current.usage = RunUsage(requests=3, input_tokens=70, output_tokens=7, details={"cached": 5})
    current.deferred_tool_requests = requests
    await store.save(current, scope="")

    loaded = await load(store)
    assert loaded.messages == current.messages
    assert loaded.usage == current.usage
    assert loaded.deferred_tool_requests == requests
    record = await store.read_record("c")
    assert record is not None
    assert (record.scope, record.format_version) == ("", 1)
    [listed] = await store.list_conversations()
    assert listed == record


async def test_changes_of_returned_objects_are_not_stored(store: ConversationStore) -> None:
    current = conversation("c", "one")
    await store.save(current)
    current.messages.clear()
    (await load(store)).messages.clear()
    record = await store.read_record("c")
    assert record is not None
    record.branches.append("changed")
    record.usage.requests = 99
    unchanged = await store.read_record("c")
    assert unchanged is not None
    assert (unchanged.branches, unchanged.usage.requests) == ([], 0)
    assert (await load(store)).messages == turns("one")
