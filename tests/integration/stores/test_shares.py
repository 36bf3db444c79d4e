"""Shares: tokens, shared sessions and records of access."""

from __future__ import annotations

import asyncio
import base64
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio

from agentrows import NotFound, PostgresClient, SessionShare
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import count, visit
from support.watching import IN_LOCKS, watch

if TYPE_CHECKING:
    import asyncpg


@pytest_asyncio.fixture(autouse=True)
async def sessions(client: PostgresClient) -> None:
    """One id in the sessions of two users, and another session."""
    for session, user in (("s-1", "mira"), ("s-1", "juno"), ("s-2", "mira")):
        await client.store_session(session, user_id=user)


async def share(client: PostgresClient, session: str = "s-1", user: str = "mira") -> SessionShare:
    return await client.create_session_share(session, user_id=user)


async def test_a_share_is_found_by_its_token_and_listed(client: PostgresClient) -> None:
    made = await client.create_session_share("s-1", user_id="mira", read_only=False)
    assert (made.session_id, made.user_id, made.read_only) == ("s-1", "mira", False)
    assert await client.get_session_share_by_token(made.token) == made
    assert await client.list_session_shares_by_session("s-1", user_id="mira") == [made]
    assert (await share(client)).read_only is True


async def test_times_of_a_share_are_in_utc_in_any_session_time_zone(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    for zone in ("UTC", "Asia/Tokyo", "America/Lima"):
        async with client.transaction() as tx:
            await tx.db.execute(f"SET LOCAL timezone TO '{zone}'")
            made = await tx.create_session_share("s-1", user_id="mira")
            noted = await tx.record_share_access(made.token, user_id="juno")
        now = await db.fetchval("SELECT clock_timestamp()")
        for time in (made.created_at, noted.accessed_at):
            assert time.tzinfo is None
            assert abs(time.replace(tzinfo=UTC) - now) < timedelta(seconds=20)


async def test_tokens_have_256_bits_and_differ(client: PostgresClient) -> None:
    tokens = [(await share(client)).token for _ in range(50)]
    assert len(set(tokens)) == 50
    secrets = [base64.urlsafe_b64decode(token + "=") for token in tokens]
    assert {len(secret) for secret in secrets} == {32}
    # Each of the 256 bits is set in some and clear in others: none is fixed.
    numbers = [int.from_bytes(secret) for secret in secrets]
    for bit in range(256):
        assert {number >> bit & 1 for number in numbers} == {0, 1}


async def test_a_token_appears_in_no_message(client: PostgresClient) -> None:
    token = (await share(client)).token
    await client.delete_session("s-1", user_id="mira")
    for error in (
        await failure(client, token),
        await failure(client, "x" * 40),
    ):
        assert token not in str(error)
        assert "x" * 40 not in str(error)


async def failure(client: PostgresClient, token: str) -> NotFound:
    with pytest.raises(NotFound):
        await client.record_share_access(token, user_id="juno")
    with pytest.raises(NotFound) as raised:
        await client.get_session_share_by_token(token)
    return raised.value


async def test_absent_session_cannot_be_shared(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await client.delete_session("s-1", user_id="mira")
    for session, user in (("s-1", "mira"), ("s-2", "juno"), ("s-9", "mira")):
        with pytest.raises(NotFound, match=session):
            await share(client, session, user)
    assert await count(db, "session_share") == 0


async def test_the_share_of_a_deleted_session_is_not_found(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    mine, theirs = await share(client), await share(client, user="juno")
    await client.delete_session("s-1", user_id="mira")
    with pytest.raises(NotFound):
        await client.get_session_share_by_token(mine.token)
    with pytest.raises(NotFound):
        await client.record_share_access(mine.token, user_id="juno")
    assert await client.list_session_shares_by_session("s-1", user_id="mira") == []
    assert await count(db, "session_share_access") == 0
    # The session of the other user with this id is another session.
    assert await client.get_session_share_by_token(theirs.token) == theirs


async def test_the_share_of_a_session_that_was_removed_is_not_found(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    made = await share(client)
    await db.execute("DELETE FROM session WHERE user_id = 'mira'")
    with pytest.raises(NotFound):
        await client.get_session_share_by_token(made.token)


async def test_shares_are_listed_and_deleted_by_their_owner_alone(client: PostgresClient) -> None:
    mine, theirs = await share(client), await share(client, user="juno")
    await share(client, "s-2")
    assert await client.list_session_shares_by_session("s-1", user_id="mira") == [mine]
    assert await client.list_session_shares_by_session("s-1", user_id="juno") == [theirs]
    assert await client.list_session_shares_by_session("s-2", user_id="juno") == []
    assert await client.delete_session_share(mine.token, user_id="juno") is False
    assert await client.get_session_share_by_token(mine.token) == mine


async def test_deleting_a_share_deletes_its_accesses(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    mine, other = await share(client), await share(client)
    for made in (mine, other):
        await client.record_share_access(made.token, user_id="juno")
    assert await client.delete_session_share(mine.token, user_id="mira") is True
    assert await client.delete_session_share(mine.token, user_id="mira") is False
    with pytest.raises(NotFound):
        await client.get_session_share_by_token(mine.token)
    assert await client.list_session_shares_by_session("s-1", user_id="mira") == [other]
    assert await count(db, "session_share_access") == 1


async def test_access_is_recorded_once_for_each_user_with_its_last_time(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    made = await share(client)
    first = await client.record_share_access(made.token, user_id="juno")
    second = await client.record_share_access(made.token, user_id="juno")
    assert (second.user_id, second.share_id) == ("juno", made.id)
    assert second.accessed_at > first.accessed_at
    await client.record_share_access(made.token, user_id="kim")
    assert await count(db, "session_share_access") == 2
    assert await count(db, "session_share_access", "user_id = 'juno'") == 1


async def test_access_during_the_delete_of_a_share_raises_not_found(
    client: PostgresClient, migrated: str
) -> None:
    token = (await share(client)).token
    async with watch(migrated) as watcher:
        async with client.transaction() as tx:
            await tx.delete_session_share(token, user_id="mira")
            opening = asyncio.ensure_future(client.record_share_access(token, user_id="juno"))
            await watcher.until(IN_LOCKS)
        with pytest.raises(NotFound):
            await opening


async def test_twenty_tasks_that_record_one_access_leave_one_record(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    made = await share(client)
    await asyncio.gather(
        *(client.record_share_access(made.token, user_id="juno") for _ in range(20))
    )
    assert await count(db, "session_share_access") == 1


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_pages_of_shares_visit_each_row_once_over_ties_in_time(
    client: PostgresClient, db: asyncpg.Connection, limit: int
) -> None:
    made = [(await share(client)).id for _ in range(7)]
    await db.execute("UPDATE session_share SET created_at = '2024-01-01'")
    found = await visit(
        SessionShare,
        lambda after: client.list_session_shares_by_session(
            "s-1", user_id="mira", limit=limit, after=after
        ),
    )
    assert [each.id for each in found] == made


@pytest.mark.parametrize(("method", "argument"), text_arguments("shares"))
async def test_invalid_text_of_a_share_is_refused_by_name(
    client: PostgresClient, db: asyncpg.Connection, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)
    assert await count(db, "session_share") == 0


async def test_a_limit_of_shares_below_1_is_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "shares", "list_session_shares_by_session")
