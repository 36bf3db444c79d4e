"""For the type checkers: executors satisfy every protocol of generated code."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    from agentrows import PostgresClient, Transaction
    from agentrows.gen.dbtx import DBTX, CursorDBTX


def a_dbtx(db: DBTX) -> DBTX:
    return db


def a_cursor_dbtx(db: CursorDBTX) -> CursorDBTX:
    return db


def check(
    client: PostgresClient,
    tx: Transaction,
    pool: asyncpg.Pool,
    connection: asyncpg.Connection,
    proxy: PoolConnectionProxy,
) -> None:
    a_dbtx(client.db)
    a_dbtx(client.db.repeatable)
    a_dbtx(tx.db)
    a_dbtx(pool)
    a_dbtx(connection)
    a_dbtx(proxy)
    a_cursor_dbtx(client.db)
    a_cursor_dbtx(tx.db)
    a_cursor_dbtx(connection)
    a_cursor_dbtx(proxy)
    a_cursor_dbtx(pool)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
