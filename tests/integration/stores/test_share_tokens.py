"""Tokens of shares: hashed on request, compared in constant time, useless to table readers."""

from __future__ import annotations

import hashlib
import inspect
import re
from typing import TYPE_CHECKING, Final

import pytest
import pytest_asyncio

from agentrows import InvalidValue, NotFound, PostgresClient, Settings
from agentrows.gen import shares as queries
from agentrows.stores import shares
from agentrows.stores.shares import ShareStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import asyncpg

HASHING: Final = Settings(hash_share_tokens=True)
STORED: Final = "SELECT token FROM session_share"
OF_GO: Final = "SELECT * FROM session_share WHERE token = $1 LIMIT 1"
"""The query of kagent's controller for the token of the header X-Share-Token."""


@pytest_asyncio.fixture
async def hashing(migrated: str, client: PostgresClient) -> AsyncIterator[PostgresClient]:
    """A client that hashes tokens, beside one that does not, and a session to share."""
    await client.store_session("s-1", user_id="mira")
    async with PostgresClient.open(migrated, settings=HASHING, migrations="off") as hashing:
        yield hashing


def hashed(token: str) -> str:
    return f"\x1fsha256:{hashlib.sha256(token.encode()).hexdigest()}"


async def test_token_is_stored_as_plain_text_unless_the_settings_hash_it(
    client: PostgresClient, hashing: PostgresClient, db: asyncpg.Connection
) -> None:
    plain = await client.create_session_share("s-1", user_id="mira")
    assert await db.fetchval(STORED) == plain.token
    assert await db.fetchrow(OF_GO, plain.token)
    await db.execute("DELETE FROM session_share")
    secret = await hashing.create_session_share("s-1", user_id="mira")
    assert await db.fetchval(STORED) == hashed(secret.token)
    assert not await db.fetchval(
        "SELECT true FROM session_share AS s WHERE s::text ~ $1", secret.token
    )


async def test_plain_and_hashed_tokens_work_with_either_setting(
    client: PostgresClient, hashing: PostgresClient
) -> None:
    for maker in (client, hashing):
        for reader in (client, hashing):
            made = await maker.create_session_share("s-1", user_id="mira", read_only=False)
            assert await reader.get_session_share_by_token(made.token) == made
            assert (
                await reader.record_share_access(made.token, user_id="juno")
            ).share_id == made.id
            assert not await reader.delete_session_share(made.token, user_id="juno")
            assert await reader.delete_session_share(made.token, user_id="mira")
            with pytest.raises(NotFound):
                await reader.get_session_share_by_token(made.token)


async def test_stored_digest_of_a_hashed_token_opens_no_session(
    client: PostgresClient, hashing: PostgresClient, db: asyncpg.Connection
) -> None:
    made = await hashing.create_session_share("s-1", user_id="mira")
    stored = await db.fetchval(STORED)
    (listed,) = await hashing.list_session_shares_by_session("s-1", user_id="mira")
    assert listed.token == stored != made.token
    for reader in (client, hashing):
        for guess in (stored, stored[1:], stored.removeprefix("\x1fsha256:"), hashed(stored)):
            with pytest.raises(NotFound):
                await reader.get_session_share_by_token(guess)
            with pytest.raises(NotFound):
                await reader.record_share_access(guess, user_id="juno")
    assert await db.fetchval("SELECT count(*) FROM session_share_access") == 0


async def test_owner_deletes_a_share_by_the_listed_digest(
    hashing: PostgresClient,
) -> None:
    await hashing.create_session_share("s-1", user_id="mira")
    (listed,) = await hashing.list_session_shares_by_session("s-1", user_id="mira")
    assert not await hashing.delete_session_share(listed.token, user_id="juno")
    assert await hashing.delete_session_share(listed.token, user_id="mira")


async def test_stored_digest_is_not_valid_in_an_http_header(
    hashing: PostgresClient, db: asyncpg.Connection
) -> None:
    """A Go controller compares the header with the column, so it never receives a stored digest."""
    made = await hashing.create_session_share("s-1", user_id="mira")
    stored: str = await db.fetchval(STORED)
    assert not await db.fetchrow(OF_GO, made.token)
    # RFC 9110, 5.5: a field value has no control character but the tab.
    assert ord(stored[0]) < 0x20
    assert stored[0] != "\t"


async def test_tokens_are_hashed_in_transactions_and_with_timeouts(
    hashing: PostgresClient, db: asyncpg.Connection
) -> None:
    async with hashing.transaction() as tx:
        await tx.create_session_share("s-1", user_id="mira")
        await tx.with_timeout(5).create_session_share("s-1", user_id="mira")
    await hashing.with_timeout(5).create_session_share("s-1", user_id="mira")
    await ShareStore(hashing.db).create_session_share("s-1", user_id="mira")
    stored = [row[0] for row in await db.fetch(STORED)]
    assert len(stored) == 4
    assert all(token.startswith("\x1fsha256:") for token in stored)


async def test_share_look_up_compares_hashes_and_never_token_text(
    db: asyncpg.Connection,
) -> None:
    """PostgreSQL compares 64-bit hashes that a caller cannot choose; Python compares the tokens."""
    sql = queries.FIND_SESSION_SHARES.partition("WHERE")[2]
    assert sql.count("token") == 1
    assert "hashtextextended(share.token, " in sql
    assert "hmac.compare_digest" in inspect.getsource(shares)
    await db.execute(
        "INSERT INTO session (id, user_id)"
        " SELECT 's-' || n, 'mira' FROM generate_series(1, 1000) n;"
        "INSERT INTO session_share (token, session_id, user_id)"
        " SELECT 't-' || n, 's-' || n, 'mira' FROM generate_series(1, 1000) n;"
        "ANALYZE session, session_share; SET enable_seqscan = off"
    )
    await db.execute(f"PREPARE look_up AS {queries.FIND_SESSION_SHARES}")
    plan = await db.fetch("EXPLAIN EXECUTE look_up ('a', 'b')")
    assert "agentrows_share_token_digest" in str(plan)
    assert "session_share_token_key" not in str(plan)


async def test_one_of_two_tokens_with_the_same_hash_is_found(
    hashing: PostgresClient, client: PostgresClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        await maker.create_session_share("s-1", user_id="mira") for maker in (client, hashing) * 2
    ]
    every = re.sub(
        r"hash.* IN \(.*?\n    \)", "$1 || $2 <> ''", queries.FIND_SESSION_SHARES, flags=re.DOTALL
    )
    monkeypatch.setattr(queries, "FIND_SESSION_SHARES", every)
    for share in made:
        assert await client.get_session_share_by_token(share.token) == share
    with pytest.raises(NotFound):
        await client.get_session_share_by_token("unknown")


async def test_invalid_token_is_refused_by_name(client: PostgresClient) -> None:
    for token in ("", "\0", "\ud800", "x" * 513):
        with pytest.raises(InvalidValue, match="token"):
            await client.get_session_share_by_token(token)
        with pytest.raises(InvalidValue, match="token"):
            await client.delete_session_share(token, user_id="mira")
        with pytest.raises(InvalidValue, match="token"):
            await client.record_share_access(token, user_id="mira")
