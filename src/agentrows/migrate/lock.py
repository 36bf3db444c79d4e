"""One runner at a time: golang-migrate's advisory locks, polled and never waited for.

golang-migrate derives a lock's id from the schema, the tracking table and the database's name.
Its command line calls the database `/name` (it comes from the URL's path) and programs that embed
it call it `name`, so the two do not exclude each other. We hold both ids of every track.

`pg_advisory_lock` would wait inside a statement, whose snapshot a CREATE INDEX CONCURRENTLY of the
holder waits for in turn: a deadlock. `pg_try_advisory_lock` in a loop does not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import LockTimeout
from agentrows.migrate import catalog

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from agentrows.migrate.ledger import Place

logger = logging.getLogger(__name__)

SALT: Final = 1486364155
FIRST_PAUSE_S: Final = 0.05
LONGEST_PAUSE_S: Final = 1.0


def lock_id(*names: str) -> int:
    """Return golang-migrate's lock id for these names, the database's last."""
    return (zlib.crc32("\0".join(names).encode()) * SALT) & 0xFFFFFFFF


def lock_ids(database: str, places: Iterable[Place]) -> tuple[int, ...]:
    """Return both ids of every track, in the one order that all runners take them."""
    return tuple(
        sorted(
            lock_id(place.schema, place.table, name)
            for place in places
            for name in (database, f"/{database}")
        )
    )


@dataclass(slots=True)
class Held:
    """The locks that a run holds; it may give some of them back before its end."""

    db: asyncpg.Connection
    ids: tuple[int, ...]

    async def keep(self, ids: Iterable[int]) -> None:
        """Give back all but these."""
        kept = set(ids)
        freed = [one for one in self.ids if one not in kept]
        if freed:
            await catalog.unlock(self.db, freed)
        self.ids = tuple(one for one in self.ids if one in kept)


@contextlib.asynccontextmanager
async def hold(
    db: asyncpg.Connection, ids: Sequence[int], *, timeout_s: float, ddl_lock_timeout_s: float
) -> AsyncGenerator[Held]:
    """Hold all of these locks, or none: LockTimeout names who has one at the deadline.

    From then on a statement waits `ddl_lock_timeout_s` at most for a table in use.
    """
    await _acquire(db, ids, time.monotonic() + timeout_s, ddl_lock_timeout_s)
    held = Held(db, tuple(ids))
    try:
        yield held
    finally:
        # A connection that is gone has given its locks back already.
        with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await held.keep(())


async def _acquire(
    db: asyncpg.Connection, ids: Sequence[int], deadline: float, ddl_lock_timeout_s: float
) -> None:
    started, pause = time.monotonic(), FIRST_PAUSE_S
    while not await catalog.try_locks(db, ids, lock_timeout_s=ddl_lock_timeout_s):
        left = deadline - time.monotonic()
        if left <= 0:
            holders = ", ".join(map(str, await catalog.lock_holders(db, ids)))
            raise LockTimeout(
                f"another runner held the migration lock for {time.monotonic() - started:.1f} s: "
                f"{holders or 'it has just gone'}. Nothing was done"
            )
        if pause == FIRST_PAUSE_S:
            logger.info("another runner holds the migration lock; waiting")
        await asyncio.sleep(min(left, pause * random.uniform(0.5, 1.5)))  # noqa: S311  jitter
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
