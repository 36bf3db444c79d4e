"""The advisory locks of golang-migrate, which allow one runner at a time.

golang-migrate derives the id of a lock from the schema, the tracking table and the name of the
database. Its command line uses the name `/name`, the path of the URL, and programs that embed it
use `name`, so these two do not exclude each other. A run takes both locks of every track.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import zlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from agentrows.errors import LockTimeout
from agentrows.migrate import server
from agentrows.migrate.cleanup import await_cleanup

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    import asyncpg

    from agentrows.migrate.ledger import TableNames

logger = logging.getLogger(__name__)

SALT: Final = 1486364155
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


def lock_id(*names: str) -> int:
    """Return golang-migrate's lock id for these names, the database's last."""
    return (zlib.crc32("\0".join(names).encode()) * SALT) & 0xFFFFFFFF


def lock_ids(database: str, names_per_track: Iterable[TableNames]) -> tuple[int, ...]:
    """Return both ids of every track, in the order in which every runner takes them."""
    return tuple(
        sorted(
            lock_id(names.schema, names.table, name)
            for names in names_per_track
            for name in (database, f"/{database}")
        )
    )


@dataclass(slots=True)
class HeldLocks:
    """The locks of a run, which may release some of them before its end."""

    db: asyncpg.Connection
    ids: tuple[int, ...]

    async def release_except(self, ids: Iterable[int]) -> None:
        """Release every lock but these."""
        needed = set(ids)
        released = [lock for lock in self.ids if lock not in needed]
        if released:
            await server.unlock(self.db, released)
        self.ids = tuple(lock for lock in self.ids if lock in needed)


@contextlib.asynccontextmanager
async def hold_locks(
    db: asyncpg.Connection, ids: Sequence[int], *, timeout_s: float
) -> AsyncGenerator[HeldLocks]:
    """Take all of these locks for a block.

    Raises LockTimeout, which names the lock holder, if they are not free after `timeout_s`.
    """
    await _acquire(db, ids, timeout_s)
    held = HeldLocks(db, tuple(ids))
    try:
        yield held
    finally:
        await await_cleanup(db, partial(held.release_except, ()))


async def _acquire(db: asyncpg.Connection, ids: Sequence[int], timeout_s: float) -> None:
    """Poll the locks; log the lock holder at the first wait, and again when it changes."""
    # pg_advisory_lock would wait inside of a statement, and a CREATE INDEX CONCURRENTLY of the lock
    # holder waits for the snapshot of that statement: a deadlock.
    started, pause = time.monotonic(), FIRST_PAUSE_S
    logged: list[int] = []
    while not await server.try_locks(db, ids):
        waited = time.monotonic() - started
        holders = await server.lock_holders(db, ids)
        names = ", ".join(map(str, holders))
        if waited >= timeout_s:
            raise LockTimeout(
                f"another runner had the migration lock for {waited:.1f} s: "
                f"{names or 'it released the lock meanwhile'}. Nothing was done"
            )
        pids = [holder.pid for holder in holders]
        if pids and pids != logged:
            logged = pids
            logger.info(
                "another runner has the migration lock: %s; waiting up to %.0f s",
                *(names, timeout_s - waited),
            )
        await asyncio.sleep(min(timeout_s - waited, pause * random.uniform(0.5, 1.5)))  # noqa: S311  jitter
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
