"""Rows of other writers that no model can contain raise an error that names them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import UnreadableRow
from support.leaks import full_text
from support.postgres import SUPERUSER, as_role

if TYPE_CHECKING:
    from agentrows import PostgresClient

DIGITS = "7" * 5000


@pytest.mark.parametrize(
    ("config", "created_at", "words"),
    [
        ("[]", "10000-01-01", "created_at of the row with id 'odd': its year"),
        ("[]", "0044-03-15 BC", "created_at of the row with id 'odd': its year"),
        ("[" * 300 + "]" * 300, "2026-01-01", "config of the row with id 'odd': JSON has more"),
        ("[" * 3000 + "]" * 3000, "2026-01-01", "config of the row with id 'odd': JSON has more"),
        (DIGITS, "2026-01-01", "config of the row with id 'odd': JSON has a number"),
    ],
    ids=["year 10000", "BC", "300 levels", "3000 levels", "5000 digits"],
)
async def test_unreadable_row_is_named_without_its_content(
    client: PostgresClient, migrated: str, config: str, created_at: str, words: str
) -> None:
    await client.store_agent("plain", type="secret-type")
    admin = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await admin.execute(
        f"INSERT INTO agent (id, type, config, created_at)"  # noqa: S608
        f" VALUES ('odd', 'secret-type', '{config}', '{created_at}')"
    )
    await admin.close()

    for call in (client.list_agents(), client.get_agent("odd")):
        with pytest.raises(UnreadableRow, match=words) as caught:
            await call
        assert "row of agent" in str(caught.value)
        text = full_text(caught.value)
        assert "secret-type" not in text
        assert DIGITS[:100] not in text

    async with client.transaction() as tx:
        with pytest.raises(UnreadableRow, match="row of agent"):
            await tx.get_agent("odd")
        assert (await tx.get_agent("plain")).id == "plain"
    assert (await client.get_agent("plain")).id == "plain"


async def test_json_of_250_levels_with_brackets_in_strings_is_returned(
    client: PostgresClient, migrated: str
) -> None:
    text = "[" * 250 + '"' + "[{" * 500 + '\\"{"' + "]" * 250
    admin = await asyncpg.connect(as_role(migrated, SUPERUSER))
    await admin.execute("INSERT INTO agent (id, type, config) VALUES ('deep', 't', $1)", text)
    await admin.close()

    assert (await client.get_agent("deep")).id == "deep"


async def test_the_time_limit_of_a_call_includes_the_search_for_the_row(
    client: PostgresClient,
) -> None:
    now = asyncio.get_running_loop().time
    started = now()

    with pytest.raises(UnreadableRow):
        await client.db.with_timeout(4.0).repeatable.fetchrow(
            "SELECT '10000-01-01'::timestamptz AS time, pg_sleep(3)"
        )

    assert now() - started < 6.0  # two whole runs


async def test_a_key_without_a_value_is_not_named(client: PostgresClient) -> None:
    with pytest.raises(UnreadableRow, match="time of the row with id 'odd': its year"):
        await client.db.repeatable.fetchrow(
            "SELECT 'odd' AS id, NULL AS agent_id, '10000-01-01'::timestamptz AS time"
        )
