"""Transcripts: entries in order, each once, summaries by position, deletion, and bad input."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agentrows import InvalidValue, NewTranscriptEntry, PostgresClient
from support.methods import refuse_by_name, refuse_limits, text_arguments
from support.stores import count

if TYPE_CHECKING:
    import asyncpg


def entries(*ids: str) -> list[NewTranscriptEntry]:
    return [NewTranscriptEntry(id=each, data=f"data of {each}") for each in ids]


async def append(client: PostgresClient, *ids: str, subpath: str | None = None) -> tuple[int, int]:
    """Append entries, and return the last position and the number of new entries."""
    appended = await client.append_transcript(
        "s-1", entries(*ids), project_key="p", user_id="mira", subpath=subpath
    )
    return appended.last_position, appended.stored


async def read(client: PostgresClient, *, after: int = 0, limit: int | None = None) -> list[str]:
    rows = await client.list_transcript_entries(
        "s-1", project_key="p", user_id="mira", after=after, limit=limit
    )
    return [row.data.removeprefix("data of ") for row in rows]


async def test_entries_are_listed_in_order_and_stored_once(client: PostgresClient) -> None:
    assert await append(client, "b", "a") == (2, 2)
    assert await append(client, "a", "c", "c") == (5, 1)
    assert await append(client, "a") == (6, 0)
    assert await append(client, "d") == (7, 1)

    assert await read(client) == ["b", "a", "c", "d"]
    assert await read(client, after=2) == ["c", "d"]
    assert await read(client, limit=3) == ["b", "a", "c"]


async def test_batches_of_concurrent_writers_are_next_to_each_other(client: PostgresClient) -> None:
    await asyncio.gather(*(append(client, f"{n}-a", f"{n}-b", f"{n}-c") for n in range(30)))

    ids = await read(client)
    assert len(ids) == 90
    for start in range(0, 90, 3):
        number = ids[start].partition("-")[0]
        assert ids[start : start + 3] == [f"{number}-a", f"{number}-b", f"{number}-c"]


async def test_summary_is_replaced_only_at_the_expected_position(client: PostgresClient) -> None:
    await append(client, "a", "b")
    [transcript] = await client.list_transcripts("p", user_id="mira")
    assert (transcript.summary, transcript.summary_position) == (None, 0)

    async def update(position: int, expected: int, user_id: str = "mira") -> bool:
        return await client.update_transcript_summary(
            transcript.id,
            user_id=user_id,
            summary=f"of {position}",
            position=position,
            expected_position=expected,
        )

    assert await update(1, 0)
    assert not await update(2, 0)
    assert not await update(2, 1, user_id="juno")
    assert await update(2, 1)
    [transcript] = await client.list_transcripts("p", user_id="mira")
    assert (transcript.summary, transcript.summary_position) == ("of 2", 2)
    with pytest.raises(InvalidValue, match="position must not be less"):
        await update(1, 2)


async def test_summary_of_a_deleted_transcript_is_not_given_to_its_successor(
    client: PostgresClient,
) -> None:
    await append(client, "a")
    [deleted] = await client.list_transcripts("p", user_id="mira")
    assert await client.delete_transcripts("s-1", project_key="p", user_id="mira")
    await append(client, "b")
    assert not await client.update_transcript_summary(
        deleted.id, user_id="mira", summary="old", position=1, expected_position=0
    )


async def test_session_is_deleted_with_the_transcripts_of_its_subagents(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    await append(client, "a")
    for subpath in ("subagents/b", "subagents/a"):
        await append(client, "a", subpath=subpath)
    key = {"session_id": "s-1", "project_key": "p", "user_id": "mira"}
    assert await client.list_transcript_subpaths(**key) == ["subagents/a", "subagents/b"]
    assert await client.delete_transcripts(**key, subpath="subagents/a")
    assert not await client.delete_transcripts(**key, subpath="subagents/a")
    assert await client.list_transcript_subpaths(**key) == ["subagents/b"]
    assert not await client.delete_transcripts("s-1", project_key="p", user_id="juno")
    assert await read(client) == ["a"]
    assert await client.delete_transcripts(**key)
    assert not await client.delete_transcripts(**key)
    for table in ("agentrows_transcript", "agentrows_transcript_entry"):
        assert await count(db, table) == 0


async def test_appends_beside_deletions_leave_no_entry_without_a_transcript(
    client: PostgresClient, db: asyncpg.Connection
) -> None:
    async def write(writer: int) -> None:
        for number in range(15):
            await append(client, f"{writer}-{number}")

    async def delete() -> None:
        for _ in range(15):
            await client.delete_transcripts("s-1", project_key="p", user_id="mira")
            await asyncio.sleep(0.001)

    await asyncio.gather(write(1), write(2), delete())
    orphans = await db.fetchval(
        "SELECT count(*) FROM agentrows_transcript_entry WHERE transcript_id NOT IN "
        "(SELECT id FROM agentrows_transcript)"
    )
    assert orphans == 0


@pytest.mark.parametrize(("method", "argument"), text_arguments("transcripts"))
async def test_wrong_text_is_refused_by_name(
    client: PostgresClient, method: str, argument: str
) -> None:
    await refuse_by_name(client, method, argument)


async def test_wrong_limits_and_batches_are_refused(client: PostgresClient) -> None:
    await refuse_limits(client, "transcripts", "list_transcript_entries")
    with pytest.raises(InvalidValue, match="entries must have at least one"):
        await append(client)
    with pytest.raises(InvalidValue, match=r"entries\[1\]\.id"):
        await append(client, "a", "x" * 513)
    assert await read(client) == []
