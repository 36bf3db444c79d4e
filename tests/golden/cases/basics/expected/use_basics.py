"""The types that a user of the package sees; checked by mypy and pyright, never run."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import assert_type
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pgvector import Vector
from pydantic import JsonValue

from gen_basics import enums, models, notes
from gen_basics.dbtx import DBTX, CursorDBTX


def a_connection_is_enough(
    connection: asyncpg.Connection[asyncpg.Record],
) -> tuple[DBTX, CursorDBTX]:
    """Take a connection for both protocols."""
    return connection, connection


def a_proxy_is_enough(proxy: PoolConnectionProxy[asyncpg.Record]) -> tuple[DBTX, CursorDBTX]:
    """Take a pool's proxy for both protocols."""
    return proxy, proxy


def a_pool_is_enough(pool: asyncpg.Pool[asyncpg.Record]) -> DBTX:
    """Take a pool, which has no cursor."""
    return pool


async def results(db: DBTX, key: UUID) -> None:
    """Check the type of each kind of result."""
    assert_type(await notes.get_note(db, id=key), models.Note | None)
    assert_type(await notes.get_title(db, id=key), str | None)
    assert_type(await notes.get_mood(db, id=key), enums.Mood | None)
    assert_type(await notes.get_embedding(db, id=key), Vector | None)
    assert_type(await notes.get_data(db, id=key), JsonValue | None)
    assert_type(await notes.last_price(db), Decimal | None)
    assert_type(await notes.count_notes(db, user_id=1), int)
    assert_type(await notes.ensure_note(db, id=key), str)
    assert_type(await notes.ensure_note_row(db, id=key), models.Title)
    assert_type(await notes.summary(db), models.NoteSummary)
    assert_type(await notes.summary_of_user(db, user_id=1), models.NoteSummary)
    assert_type(await notes.list_titles(db), list[str])
    assert_type(await notes.list_moods(db), list[enums.Mood | None])
    assert_type(await notes.list_mood_lists(db), list[list[enums.Mood]])
    assert_type(await notes.list_notes(db, since=None), list[models.Note])
    assert_type(await notes.list_users_only(db), list[models.AppUser])
    assert_type(await notes.rename_note(db, title="", id=key), int)
    assert_type(await notes.delete_notes(db), str)
    found = await notes.list_notes_with_users(db)
    assert_type(found[0].notes, models.Note)
    assert_type(found[0].level, enums.AppLevel | None)
    scored = await notes.search_notes(db, query=Vector([1.0]), limit=None)
    assert_type(scored[0].score, float | None)


def iterators(db: CursorDBTX) -> None:
    """Check the types of iterators."""
    assert_type(notes.iter_list_notes(db, since=None), AsyncIterator[models.Note])
    assert_type(notes.iter_list_titles(db), AsyncIterator[str])
