"""Sessions: key, upsert, and order and pages of the lists."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

import pytest

from agentrows import AlreadyExists, Deleted, InvalidValue, NotFound, Session
from support.stores import BEFORE_ALL, EARLY, TIMES, count, event, spread, versions, visit

if TYPE_CHECKING:
    import asyncpg

    from agentrows import PostgresClient

Order = Literal["activity", "created"]
ORDERS: tuple[Order, ...] = ("activity", "created")
COLUMN = {"activity": "updated_at", "created": "created_at"}
OTHER = {"activity": "created_at", "created": "updated_at"}


def newest_first() -> list[int]:
    """The places in TIMES from the newest to the oldest, ties by the larger number."""
    places = range(len(TIMES))
    return sorted(places, key=lambda n: (TIMES[n] or BEFORE_ALL, n), reverse=True)


async def test_a_stored_session_is_returned_as_it_is_read_again(client: PostgresClient) -> None:
    stored = await client.store_session(
        "s-1", user_id="mira", name="Lisbon", agent_id="travel", source="user"
    )
    assert (stored.name, stored.agent_id, stored.source) == ("Lisbon", "travel", "user")
    assert stored.created_at is not None
    assert stored.created_at == stored.updated_at
    assert await client.get_session("s-1", user_id="mira") == stored


async def test_omitted_argument_keeps_the_value_of_a_session(client: PostgresClient) -> None:
    first = await client.store_session(
        "s-1", user_id="mira", name="Lisbon", agent_id="travel", source="user"
    )
    second = await client.store_session("s-1", user_id="mira")
    assert second == first.model_copy(update={"updated_at": second.updated_at})
    assert second.updated_at is not None
    assert first.updated_at is not None
    assert second.updated_at > first.updated_at


@pytest.mark.parametrize("field", ["name", "agent_id", "source"])
async def test_none_clears_one_field_of_a_session_and_keeps_the_others(
    client: PostgresClient, field: Literal["name", "agent_id", "source"]
) -> None:
    first = await client.store_session("s-1", user_id="mira", name="a", agent_id="b", source="c")
    second = await {
        "name": lambda: client.store_session("s-1", user_id="mira", name=None),
        "agent_id": lambda: client.store_session("s-1", user_id="mira", agent_id=None),
        "source": lambda: client.store_session("s-1", user_id="mira", source=None),
    }[field]()
    assert second == first.model_copy(update={field: None, "updated_at": second.updated_at})


async def test_an_unknown_session_is_not_found(client: PostgresClient) -> None:
    with pytest.raises(NotFound, match="s-1"):
        await client.get_session("s-1", user_id="mira")
    assert await client.delete_session("s-1", user_id="mira") is False
    assert await client.list_sessions(user_id="mira") == []
    assert await client.list_sessions_for_agent("travel", user_id="mira") == []
    assert await client.list_sessions_for_agent_all_users("travel") == []


async def test_session_of_another_user_is_not_found_and_not_described(
    client: PostgresClient,
) -> None:
    await client.store_session("s-1", user_id="noor", name="secret plan", agent_id="travel")
    with pytest.raises(NotFound) as unknown:
        await client.get_session("s-2", user_id="mira")
    with pytest.raises(NotFound) as foreign:
        await client.get_session("s-1", user_id="mira")
    assert str(foreign.value) == str(unknown.value).replace("s-2", "s-1")
    assert await client.list_sessions(user_id="mira") == []
    assert await client.list_sessions_for_agent("travel", user_id="mira") == []


async def test_a_session_of_another_user_is_not_deleted(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("s-1", user_id="noor")
    written = await versions(db, "session")
    assert await client.delete_session("s-1", user_id="mira") is False
    assert await versions(db, "session") == written


async def test_two_users_may_have_sessions_with_the_same_id(client: PostgresClient) -> None:
    hers = await client.store_session("s-1", user_id="noor", name="hers")
    await client.store_session("s-1", user_id="mira", name="mine")
    await client.create_session("s-2", user_id="noor")
    await client.create_session("s-2", user_id="mira")
    assert await client.get_session("s-1", user_id="noor") == hers
    assert await client.delete_session("s-1", user_id="mira") is True
    assert await client.get_session("s-1", user_id="noor") == hers


async def test_id_of_a_deleted_session_cannot_be_reused(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.store_session("s-1", user_id="mira", name="Lisbon", agent_id="travel")
    assert await client.delete_session("s-1", user_id="mira") is True
    written = await versions(db, "session")
    with pytest.raises(Deleted, match="s-1"):
        await client.store_session("s-1", user_id="mira", name="Porto")
    with pytest.raises(Deleted, match="s-1"):
        await client.create_session("s-1", user_id="mira")
    with pytest.raises(NotFound):
        await client.get_session("s-1", user_id="mira")
    assert await client.delete_session("s-1", user_id="mira") is False
    assert await versions(db, "session") == written


async def test_a_deleted_session_is_in_no_list(client: PostgresClient) -> None:
    await client.store_session("s-1", user_id="mira", agent_id="travel")
    await client.delete_session("s-1", user_id="mira")
    for order in ORDERS:
        assert await client.list_sessions(user_id="mira", order=order) == []
        found = await client.list_sessions_for_agent("travel", user_id="mira", order=order)
        assert found == []
        assert await client.list_sessions_for_agent_all_users("travel", order=order) == []


async def test_creating_a_session_that_exists_is_refused_and_changes_nothing(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    created = await client.create_session("s-1", user_id="mira", name="Lisbon")
    assert await client.get_session("s-1", user_id="mira") == created
    written = await versions(db, "session")
    with pytest.raises(AlreadyExists, match="s-1"):
        await client.create_session("s-1", user_id="mira", name="Porto")
    assert await versions(db, "session") == written


async def test_of_twenty_tasks_that_create_the_same_session_one_succeeds(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    outcomes = await asyncio.gather(
        *(client.create_session("s-1", user_id="mira", name=f"n-{n}") for n in range(20)),
        return_exceptions=True,
    )
    created = [outcome for outcome in outcomes if isinstance(outcome, Session)]
    assert created == [await client.get_session("s-1", user_id="mira")]
    assert sum(isinstance(outcome, AlreadyExists) for outcome in outcomes) == 19
    assert await count(db, "session") == 1


async def test_twenty_tasks_may_store_the_same_session(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    stored = await asyncio.gather(
        *(client.store_session("s-1", user_id="mira", name=f"n-{n}") for n in range(20))
    )
    assert [session.name for session in stored] == [f"n-{n}" for n in range(20)]
    assert await count(db, "session") == 1


async def test_storing_a_session_moves_it_first_by_activity_not_by_creation(
    client: PostgresClient,
) -> None:
    for number in range(3):
        await client.store_session(f"s-{number}", user_id="mira")
    await client.store_session("s-0", user_id="mira")
    active = await client.list_sessions(user_id="mira")
    created = await client.list_sessions(user_id="mira", order="created")
    assert [session.id for session in active] == ["s-0", "s-2", "s-1"]
    assert [session.id for session in created] == ["s-2", "s-1", "s-0"]


@pytest.mark.parametrize("on_duplicate", ["raise", "skip"])
async def test_storing_events_moves_their_sessions_to_the_top(
    client: PostgresClient, on_duplicate: Literal["raise", "skip"]
) -> None:
    for number in range(3):
        await client.store_session(f"s-{number}", user_id="mira", agent_id="travel")
    await client.store_session("s-0", user_id="noor", agent_id="travel")
    hers = await client.get_session("s-0", user_id="noor")
    await client.store_events([event("e-1", session_id="s-0")], on_duplicate=on_duplicate)
    for found in (
        await client.list_sessions(user_id="mira"),
        await client.list_sessions_for_agent("travel", user_id="mira"),
    ):
        assert [session.id for session in found] == ["s-0", "s-2", "s-1"]
    top = (await client.list_sessions_for_agent_all_users("travel"))[0]
    assert (top.id, top.user_id) == ("s-0", "mira")
    assert await client.get_session("s-0", user_id="noor") == hers


async def test_lists_for_an_agent_leave_out_sessions_that_an_agent_started(
    client: PostgresClient,
) -> None:
    await client.store_session("s-none", user_id="mira", agent_id="travel")
    await client.store_session("s-user", user_id="mira", agent_id="travel", source="user")
    await client.store_session("s-agent", user_id="mira", agent_id="travel", source="agent")
    await client.store_session("s-elsewhere", user_id="mira", agent_id="other")
    await client.store_session("s-noor", user_id="noor", agent_id="travel")
    for order in ORDERS:
        mine = await client.list_sessions_for_agent("travel", user_id="mira", order=order)
        assert [session.id for session in mine] == ["s-user", "s-none"]
        every = await client.list_sessions_for_agent_all_users("travel", order=order)
        assert [session.id for session in every] == ["s-noor", "s-user", "s-none"]
    assert len(await client.list_sessions(user_id="mira")) == 4


@pytest.mark.parametrize("order", ORDERS)
async def test_pages_of_sessions_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, order: Order
) -> None:
    for number in range(len(TIMES)):
        await client.store_session(f"s-{number}", user_id="mira", agent_id="travel")
    await spread(db, "session", COLUMN[order])
    await spread(db, "session", OTHER[order], [EARLY] * len(TIMES))
    expected = [f"s-{number}" for number in newest_first()]
    for limit in (1, 2, 4, 100):
        lists = (
            await visit(
                Session,
                lambda after, limit=limit: client.list_sessions(  # type: ignore[misc]
                    user_id="mira", limit=limit, after=after, order=order
                ),
            ),
            await visit(
                Session,
                lambda after, limit=limit: client.list_sessions_for_agent(  # type: ignore[misc]
                    "travel", user_id="mira", limit=limit, after=after, order=order
                ),
            ),
            await visit(
                Session,
                lambda after, limit=limit: client.list_sessions_for_agent_all_users(  # type: ignore[misc]
                    "travel", limit=limit, after=after, order=order
                ),
            ),
        )
        for found in lists:
            assert [session.id for session in found] == expected


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_pages_over_all_users_go_on_between_equal_times_and_ids(
    client: PostgresClient, db: asyncpg.Connection, order: Order, limit: int
) -> None:
    for user in ("mira", "noor", "omar"):
        for number in range(3):
            await client.store_session(f"s-{number}", user_id=user, agent_id="travel")
    await spread(db, "session", "created_at", [EARLY] * 6 + [None] * 3)
    await spread(db, "session", "updated_at", [EARLY] * 6 + [None] * 3)
    expected = [(f"s-{n}", user) for n in (1, 0, 2) for user in ("omar", "noor", "mira")]
    async with client.transaction(readonly=True) as tx:
        for scans in ("on", "off"):
            # Without an index only the ORDER BY of the statement determines the order.
            await tx.db.execute(f"SET LOCAL enable_indexscan = {scans}")
            await tx.db.execute(f"SET LOCAL enable_bitmapscan = {scans}")
            found = await visit(
                Session,
                lambda after: tx.list_sessions_for_agent_all_users(
                    "travel", limit=limit, after=after, order=order
                ),
            )
            assert [(session.id, session.user_id) for session in found] == expected


async def test_an_unknown_order_of_sessions_is_refused_by_name(client: PostgresClient) -> None:
    with pytest.raises(InvalidValue, match="order"):
        await client.list_sessions(user_id="mira", order="name")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_rows_of_a_failed_transaction_are_gone(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    async def store_and_fail() -> None:
        async with client.transaction() as tx:
            await tx.store_session("s-1", user_id="mira")
            await tx.store_events([event("e-1")])
            await tx.create_session("s-1", user_id="mira")

    with pytest.raises(AlreadyExists):
        await store_and_fail()
    assert await count(db, "session") + await count(db, "event") == 0


async def test_update_changes_only_the_columns_that_are_passed(client: PostgresClient) -> None:
    stored = await client.store_session("s-1", user_id="mira", name="Rome", agent_id="travel")

    updated = await client.update_session("s-1", user_id="mira", name="Oslo")
    assert (updated.name, updated.agent_id, updated.source) == ("Oslo", "travel", None)
    assert updated.created_at == stored.created_at
    assert updated.updated_at is not None
    assert stored.updated_at is not None
    assert updated.updated_at > stored.updated_at
    cleared = await client.update_session("s-1", user_id="mira", name=None, source="user")
    assert (cleared.name, cleared.agent_id, cleared.source) == (None, "travel", "user")
    assert await client.get_session("s-1", user_id="mira") == cleared


async def test_update_of_a_missing_session_raises_and_creates_none(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    with pytest.raises(NotFound, match="s-1"):
        await client.update_session("s-1", user_id="mira", name="Rome")
    assert await count(db, "session") == 0

    await client.store_session("s-1", user_id="noor", name="Hers")
    with pytest.raises(NotFound, match="s-1"):
        await client.update_session("s-1", user_id="mira", name="Rome")
    assert (await client.get_session("s-1", user_id="noor")).name == "Hers"

    await client.delete_session("s-1", user_id="noor")
    with pytest.raises(NotFound, match="s-1"):
        await client.update_session("s-1", user_id="noor", name="Rome")
