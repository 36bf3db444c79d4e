"""The indexes of agentrows_memory, one for each number of dimensions, built on request.

They belong to no track, because each application needs only those of its models. Their files are in
`migrations/memory_indexes`, and a build follows the steps of a file that allows no transaction.
"""

from __future__ import annotations

import re
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError, InvalidValue, SchemaBehind
from agentrows.migrate import index_catalog, relations, server
from agentrows.migrate.file_watch import Watcher
from agentrows.migrate.index_statements import created_indexes
from agentrows.migrate.lock import hold_locks, lock_id
from agentrows.migrate.nontransactional import execute_statement, prepare_statement
from agentrows.migrate.plan import Step
from agentrows.migrate.report import FileRun
from agentrows.migrate.run import Run
from agentrows.migrate.session import OwnSession, open_connection
from agentrows.migrate.track import File, Migration, migrations_root

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import asyncpg

    from agentrows.config import Password
    from agentrows.db.sources import Connection
    from agentrows.migrate.report import Options

FOLDER: Final = "memory_indexes"
TABLE: Final = "agentrows_memory"
GOES_ON: Final = "run the command again: it drops an INVALID index and builds it from the start"
OLDEST_PGVECTOR_WITH_HALFVEC: Final = (0, 7)
SUPERSEDED: Final = re.compile(r"agentrows_memory_embedding_\d+")
"""The indexes of an older release, which no search uses."""
MANY: Final = 10_000
"""Memories of one size from which a check recommends an index."""


@dataclass(frozen=True, slots=True)
class MemoryIndex:
    """The index of a number of dimensions: its name, and the file that creates it."""

    dimensions: int
    name: str
    file: File


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index of agentrows_memory in a database.

    `exists` is also True for an INVALID one, which an interrupted build leaves.
    """

    index: MemoryIndex
    exists: bool
    is_valid: bool


def load_memory_indexes() -> tuple[MemoryIndex, ...]:
    """Return the indexes that can be built, by their number of dimensions."""
    files = [
        (int(path.stem), File.read(path, f"{FOLDER}/{path.name}"))
        for path in (migrations_root() / FOLDER).glob("*.sql")
    ]
    return tuple(
        MemoryIndex(dimensions, created_indexes(file)[0].name, file)
        for dimensions, file in sorted(files)
    )


def get_memory_index(dimensions: int) -> MemoryIndex:
    """Return the index of a number of dimensions; raise InvalidValue if there is none."""
    indexes = {index.dimensions: index for index in load_memory_indexes()}
    if dimensions not in indexes:
        raise InvalidValue(
            f"dimensions must be one of {', '.join(map(str, indexes))}, got {dimensions}; memories "
            "of another size are searched exactly, without an index"
        )
    return indexes[dimensions]


async def read_memory_indexes(dsn: str, password: Password | None) -> list[IndexState]:
    """Return the state of each index; raise SchemaBehind without the table."""
    async with open_connection(dsn, password) as db:
        await _find_schema(db)
        states = await index_catalog.read_indexes(db, TABLE)
    return [
        IndexState(index, index.name in states, states.get(index.name, False))
        for index in load_memory_indexes()
    ]


async def read_superseded_indexes(dsn: str, password: Password | None) -> tuple[str, ...]:
    """Return the indexes of an older release, which no search uses; none without the table."""
    async with open_connection(dsn, password) as db:
        return await find_superseded_indexes(db)


async def find_superseded_indexes(db: Connection) -> tuple[str, ...]:
    """Return the indexes of agentrows_memory that an older release built, in order of name."""
    states = await index_catalog.read_indexes(db, TABLE)
    return tuple(sorted(name for name in states if SUPERSEDED.fullmatch(name)))


async def find_unindexed_memories(db: Connection) -> tuple[tuple[int, int], ...]:
    """Return the dimensions of more than 10,000 memories, about, without a valid index."""
    states = await index_catalog.read_indexes(db, TABLE)
    estimates = await index_catalog.estimate_memories(db) if states else {}
    return tuple(
        (index.dimensions, estimates[index.dimensions])
        for index in load_memory_indexes()
        if estimates.get(index.dimensions, 0) > MANY and not states.get(index.name)
    )


async def build_memory_index(
    dsn: str, password: Password | None, dimensions: int, options: Options
) -> bool:
    """Build the index of a number of dimensions; return False if a valid one exists.

    Writers are not blocked. An INVALID index, which an interrupted build left, is dropped first.

    Raises:
        InvalidValue: memories with this number of dimensions have no index.
        ConfigError: the connection goes through a pooler, the role does not own the table, or
            pgvector is too old.
        SchemaBehind: the table does not exist.
        LockTimeout: another build is running.
        MigrationFailed: the server raised an error.

    """
    index = get_memory_index(dimensions)
    async with _run(dsn, password, options) as (run, schema):
        states = await index_catalog.read_indexes(run.db, TABLE)
        if states.get(index.name):
            return False
        await _check(run, schema, index)
        migration = Migration(dimensions, index.name, index.file, index.file)
        build = partial(_build, run, Step(migration))
        options.report(await run.retry_while_blocked(build))
    return True


async def _build(run: Run, step: Step) -> FileRun:
    file, started = step.file, time.monotonic()
    run.options.report(FileRun(file.label))
    await server.configure_session(
        run.db,
        search_path=run.session.search_path,
        lock_timeout_s=run.options.ddl_lock_timeout_s,
    )
    statement = await prepare_statement(run, step)
    await execute_statement(run, step, statement, GOES_ON)
    return FileRun(file.label, time.monotonic() - started)


async def _check(run: Run, schema: str, index: MemoryIndex) -> None:
    """Raise ConfigError if the role or pgvector cannot build the index."""
    for table, owner in await relations.find_not_owned(run.db, [(schema, TABLE)]):
        raise ConfigError(
            f"this role does not own {table}, and only the owner can index it: connect as {owner}, "
            "or as a member of it, for instance with AGENTROWS_MIGRATIONS_URL. Nothing was written"
        )
    extension = await server.find_extension(run.db, "vector")
    installed = (extension.installed if extension else None) or "0"
    version = tuple(int(part) for part in installed.split(".")[:2])
    if version < OLDEST_PGVECTOR_WITH_HALFVEC:
        raise ConfigError(
            f"{index.name} needs pgvector 0.7 or later, and this database has {installed}: update "
            "the extension. Nothing was written"
        )


@asynccontextmanager
async def _run(
    dsn: str, password: Password | None, options: Options
) -> AsyncGenerator[tuple[Run, str]]:
    """Connect, and take the lock of these builds for a block; yield the run and the schema."""
    async with open_connection(dsn, password) as db:
        own, session = await OwnSession.start(db, lock_timeout_s=options.ddl_lock_timeout_s)
        schema = await _find_schema(db)
        # A second build would drop the INVALID index of the first one, which is not finished.
        lock = lock_id(schema, TABLE, session.database)
        watcher = Watcher(db, dsn, password, session, options.ddl_lock_timeout_s)
        async with hold_locks(db, [lock], timeout_s=options.lock_timeout_s) as held:
            yield Run(db, (), session, options, held, own, watcher), schema


async def _find_schema(db: asyncpg.Connection) -> str:
    """Return the schema of the table; raise SchemaBehind if the table does not exist."""
    schema = await index_catalog.find_schema(db, TABLE)
    if schema is None:
        raise SchemaBehind(
            f"the table {TABLE} does not exist: run `agentrows migrate up`, or set the search_path "
            "of the DSN to its schema"
        )
    return schema
