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
from functools import partial
from typing import TYPE_CHECKING, Final

from agentrows.errors import LockTimeout
from agentrows.migrate import server
from agentrows.migrate.cleanup import within_limit

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    import asyncpg

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
            await server.unlock(self.db, freed)
        self.ids = tuple(one for one in self.ids if one in kept)


@contextlib.asynccontextmanager
async def hold(
    db: asyncpg.Connection, ids: Sequence[int], *, timeout_s: float
) -> AsyncGenerator[Held]:
    """Hold all of these locks, or none: LockTimeout names the holder at the deadline."""
    await _acquire(db, ids, timeout_s)
    held = Held(db, tuple(ids))
    try:
        yield held
    finally:
        await within_limit(db, partial(held.keep, ()))


async def _acquire(db: asyncpg.Connection, ids: Sequence[int], timeout_s: float) -> None:
    """Poll the locks; log their holder at the first wait, and again when it is another one."""
    started, pause = time.monotonic(), FIRST_PAUSE_S
    logged: list[int] = []
    while not await server.try_locks(db, ids):
        waited = time.monotonic() - started
        holders = await server.lock_holders(db, ids)
        names = ", ".join(map(str, holders))
        if waited >= timeout_s:
            raise LockTimeout(
                f"another runner held the migration lock for {waited:.1f} s: "
                f"{names or 'it has just gone'}. Nothing was done"
            )
        pids = [holder.pid for holder in holders]
        if pids and pids != logged:
            logged = pids
            logger.info(
                "another runner holds the migration lock: %s; waiting up to %.0f s",
                *(names, timeout_s - waited),
            )
        await asyncio.sleep(min(timeout_s - waited, pause * random.uniform(0.5, 1.5)))  # noqa: S311  jitter
        pause = min(pause * 1.5, LONGEST_PAUSE_S)
