"""Histories: chains that branch, revisions, deletion with the last reference, and bad input."""

from __future__ import annotations

import asyncio
import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

import pytest

from agentrows import AlreadyExists, HistoryEntry, InvalidValue, PostgresClient
from support.methods import refuse_by_name, refuse_limits, text_arguments, unchecked
from support.stores import count

if TYPE_CHECKING:
    import asyncpg

START = datetime(2026, 1, 1, tzinfo=UTC)


def chain(*ids: str, parent: str | None = None) -> list[HistoryEntry]:
    """Entries that follow each other, the first one after a parent."""
    parents = [parent, *ids]
    return [
        HistoryEntry(id=id_, parent_id=before, kind="message", data=f"data of {id_}")
        for id_, before in zip(ids, parents, strict=False)
    ]


async def save(
    client: PostgresClient,
    history_id: str,
    revision: str,
    *,
    user_id: str = "mira",
    **fields: Any,  # noqa: ANN401  arguments of the method
) -> bool:
    given: dict[str, Any] = {"updated_at": START, **fields}
    return await client.save_history(
        history_id,
        user_id=user_id,
        data=f"{history_id} {revision}",
        revision=revision,
        **given,
    )


async def read(client: PostgresClient, head_id: str, **arguments: Any) -> list[str]:  # noqa: ANN401
    given: dict[str, Any] = {"user_id": "mira", **arguments}
    rows = await client.list_history_entries(head_id, **given)
    return [row.id for row in rows]


async def stored(db: asyncpg.Connection) -> set[str]:
    return {row[0] for row in await db.fetch("SELECT id FROM agentrows_history_entry")}


async def test_history_is_read_up_to_any_entry(client: PostgresClient) -> None:
    assert await save(client, "h", "1", head_id="c", entries=chain("a", "b", "c"))
    assert await save(
        client, "h", "2", head_id="e", entries=chain("d", "e", parent="c"), expected_revision="1"
    )

    assert await read(client, "e") == ["a", "b", "c", "d", "e"]
    assert await read(client, "b") == ["a", "b"]
    assert await read(client, "e", limit=2) == ["d", "e"]
    assert await read(client, "e", limit=9) == ["a", "b", "c", "d", "e"]
    assert await read(client, "e", user_id="juno") == []
    assert await read(client, "absent") == []
    entry = await client.find_history_entry("d", user_id="mira")
    assert entry == HistoryEntry(id="d", parent_id="c", kind="message", data="data of d")
    assert await client.find_history_entry("d", user_id="juno") is None


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 60])
@pytest.mark.parametrize("before", [0, 1, 5])
async def test_chain_in_a_circle_of_another_program_ends(
    client: PostgresClient, db: asyncpg.Connection, length: int, before: int
) -> None:
    ids = [f"e-{number:02}" for number in range(length + before)]
    await save(client, "h", "1", head_id=ids[-1], entries=chain(*ids))
    await db.execute(
        "UPDATE agentrows_history_entry SET parent_id = $1 WHERE id = $2", ids[length - 1], ids[0]
    )
    found = await read(client, ids[-1])
    assert set(found) == set(ids)
    assert len(found) <= 3 * len(ids)
    assert await read(client, ids[-1], limit=1) == ids[-1:]
    assert await client.delete_history("h", user_id="mira", revision="1")
    assert await stored(db) == set()


async def test_save_replaces_only_the_expected_revision(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    assert not await save(client, "h", "1", expected_revision="0")
    assert await save(client, "h", "1", head_id="a", entries=chain("a"))
    assert not await save(client, "h", "2", head_id="b", entries=chain("b"))
    assert not await save(
        client, "h", "2", head_id="b", entries=chain("b"), expected_revision="other"
    )
    assert await save(client, "h", "2", scope="work", branches=["a"], expected_revision="1")

    history = await client.find_history("h", user_id="mira")
    assert history is not None
    assert (history.revision, history.scope, history.head_id) == ("2", "work", None)
    assert (history.branches, history.data, history.updated_at) == (["a"], "h 2", START)
    assert await stored(db) == {"a"}
    assert await client.find_history("h", user_id="juno") is None


async def test_save_after_a_deletion_does_not_create_the_history_again(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "h", "1", head_id="a", entries=chain("a"))
    assert await client.delete_history("h", user_id="mira", revision="1")
    assert not await save(client, "h", "2", head_id="a", expected_revision="1")
    assert not await save(client, "h", "2", head_id="b", entries=chain("b", parent="a"))
    for table in ("agentrows_history", "agentrows_history_entry"):
        assert await count(db, table) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"head_id": "absent"},
        {"branches": ["absent"]},
        {"head_id": "b", "entries": chain("b", parent="absent")},
    ],
    ids=["head", "branch", "parent"],
)
async def test_save_with_an_entry_that_is_not_stored_is_refused(
    client: PostgresClient, db: asyncpg.Connection, fields: dict[str, Any]
) -> None:
    await save(client, "j", "1", user_id="juno", head_id="absent", entries=chain("absent"))
    assert not await save(client, "h", "1", **fields)
    assert await save(client, "h", "1")
    assert not await save(client, "h", "2", expected_revision="1", **fields)
    assert await stored(db) == {"absent"}
    assert await count(db, "agentrows_history") == 2


async def test_entries_are_deleted_with_the_last_history_that_uses_them(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "h", "1", head_id="c", entries=chain("a", "b", "c"))
    await save(client, "fork", "1", head_id="f", entries=chain("f", parent="b"))
    await save(client, "branch", "1", branches=["g"], entries=chain("g", parent="a"))
    await save(client, "j", "1", user_id="juno", head_id="a", entries=chain("a"))

    assert not await client.delete_history("h", user_id="mira", revision="0")
    assert not await client.delete_history("h", user_id="juno", revision="1")
    assert await client.delete_history("h", user_id="mira", revision="1")
    assert await stored(db) == {"a", "b", "f", "g"}
    assert await client.delete_history("fork", user_id="mira", revision="1")
    assert await stored(db) == {"a", "g"}
    assert await client.delete_history("branch", user_id="mira", revision="1")
    assert await read(client, "a", user_id="juno") == ["a"]
    assert await read(client, "a") == []
    assert not await client.delete_history("branch", user_id="mira", revision="1")


async def test_entries_that_a_save_left_are_deleted_with_their_tree(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "h", "1", head_id="c", entries=chain("a", "b", "c"))
    await save(client, "h", "2", head_id="a", expected_revision="1")
    assert await stored(db) == {"a", "b", "c"}
    assert await client.delete_history("h", user_id="mira", revision="2")
    assert await stored(db) == set()


async def test_histories_are_listed_by_time_and_scope(client: PostgresClient) -> None:
    for number, scope in enumerate(["work", None, "work", ""]):
        moment = START + timedelta(hours=number)
        await save(client, f"h-{number}", "1", scope=scope, updated_at=moment)
    await save(client, "j", "1", user_id="juno", scope="work")

    async def ids(**arguments: Any) -> list[str]:  # noqa: ANN401  arguments of the method
        return [row.history_id for row in await client.list_histories(user_id="mira", **arguments)]

    assert await ids() == ["h-3", "h-2", "h-1", "h-0"]
    assert await ids(limit=2) == ["h-3", "h-2"]
    assert await ids(scope="work") == ["h-2", "h-0"]
    assert await ids(scope="work", limit=1) == ["h-2"]
    assert await ids(scope="") == ["h-3"]
    assert await ids(scope="absent") == []


async def test_one_of_many_writers_at_a_revision_wins(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "h", "0", head_id="a", entries=chain("a"))
    won = await asyncio.gather(
        *(
            save(
                client,
                "h",
                f"1-{n}",
                head_id=f"b-{n}",
                entries=chain(f"b-{n}", parent="a"),
                expected_revision="0",
            )
            for n in range(20)
        )
    )
    created = await asyncio.gather(*(save(client, "new", f"1-{n}") for n in range(20)))

    assert (won.count(True), created.count(True)) == (1, 1)
    history = await client.find_history("h", user_id="mira")
    assert history is not None
    assert await stored(db) == {"a", history.head_id}


async def test_stored_id_of_a_new_entry_is_refused(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await save(client, "h", "1", head_id="a", entries=chain("a"))
    with pytest.raises(AlreadyExists):
        await save(client, "other", "1", head_id="a", entries=chain("b", "a"))
    assert await stored(db) == {"a"}
    assert await count(db, "agentrows_history") == 1


async def test_deletion_in_a_transaction_needs_read_committed(client: PostgresClient) -> None:
    await save(client, "h", "1", head_id="a", entries=chain("a"))
    async with client.transaction(isolation="repeatable_read") as tx:
        with pytest.raises(InvalidValue, match="isolation must be read_committed"):
            await tx.delete_history("h", user_id="mira", revision="1")
    async with client.transaction() as tx:
        assert await tx.delete_history("h", user_id="mira", revision="1")
    assert await client.find_history("h", user_id="mira") is None


async def test_long_history_is_read_and_deleted_within_seconds(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    ids = [f"e-{number}" for number in range(10_000)]
    await save(client, "h", "1", head_id=ids[-1], entries=chain(*ids))
    await save(client, "fork", "1", head_id=ids[-2])
    await db.execute("ANALYZE agentrows_history, agentrows_history_entry")  # as autovacuum does
    started = time.monotonic()
    assert await read(client, ids[-1]) == ids
    assert await read(client, ids[-1], limit=10) == ids[-10:]
    assert await client.delete_history("h", user_id="mira", revision="1")
    assert await count(db, "agentrows_history_entry") == 9_999
    assert await client.delete_history("fork", user_id="mira", revision="1")
    assert await count(db, "agentrows_history_entry") == 0
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(("method", "argument"), text_arguments("histories"))
async def test_wrong_text_is_refused_by_name(
    client: PostgresClient, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)


async def test_wrong_scopes_are_refused(client: PostgresClient) -> None:
    for scope in ("x" * 513, "ü" * 257, "\0", 7):
        with pytest.raises(InvalidValue, match="scope"):
            await client.list_histories(user_id="mira", scope=cast("str", scope))
        with pytest.raises(InvalidValue, match="scope"):
            await save(client, "h", "1", scope=scope)


async def test_longest_scope_and_ids_fit_into_the_indexes(client: PostgresClient) -> None:
    # Random text, which the server cannot compress.
    user, history, scope, entry = (secrets.token_hex(256) for _ in range(4))
    entries = chain(entry)
    fields: dict[str, Any] = {"scope": scope, "entries": entries, "head_id": entry}
    assert await save(client, history, "1", user_id=user, **fields)
    [listed] = await client.list_histories(user_id=user, scope=scope)
    assert listed.history_id == history


async def test_wrong_limits_and_entries_are_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "histories", "list_histories", "list_history_entries")
    for entries, name in (
        (chain("a", "a"), "different ids"),
        (chain("a", parent="a"), r"entries\[0\]\.parent_id"),
        (chain("a", parent="b") + chain("b"), r"entries\[0\]\.parent_id"),
        (chain("a", "x" * 513), r"entries\[1\]\.id"),
        (
            [unchecked(HistoryEntry, id="a", parent_id=None, kind="", data="")],
            r"entries\[0\]\.kind",
        ),
        (
            [unchecked(HistoryEntry, id="a", parent_id=None, kind="k", data=7)],
            r"entries\[0\]\.data",
        ),
    ):
        with pytest.raises(InvalidValue, match=name):
            await save(client, "h", "1", entries=entries)
    with pytest.raises(InvalidValue, match=r"branches\[0\]"):
        await save(client, "h", "1", branches=[""])
    with pytest.raises(InvalidValue, match="updated_at"):
        await save(client, "h", "1", updated_at=datetime(2026, 1, 1))  # noqa: DTZ001  no time zone
    assert await client.find_history("h", user_id="mira") is None
