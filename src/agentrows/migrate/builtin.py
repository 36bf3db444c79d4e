"""The built-in tracks, and the checks of a database before they are applied."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final

import asyncpg

from agentrows.errors import ConfigError, leaves_connection_usable
from agentrows.migrate import relations, server
from agentrows.migrate.messages import server_message
from agentrows.migrate.track import Track, migrations_root

if TYPE_CHECKING:
    from agentrows.migrate.server import Extension

logger = logging.getLogger(__name__)

OLDEST_PGVECTOR: Final = (0, 5)  # the first with HNSW
WITHOUT: Final = "To go without the memory store, set AGENTROWS_VECTOR_ENABLED=false"


ROW_SECURITY: Final = {"rls": "agentrows", "rls_vector": "agentrows_vector"}
"""The tracks of the row-level security policies, which are applied only on request.

Each comes after the track with the last of its tables.
"""


def builtin_tracks(*, vector: bool = True, row_security: bool = False) -> tuple[Track, ...]:
    """Return the tracks core, vector, agentrows and agentrows_vector, in that order.

    With `vector=False` without the two for vectors; with `row_security` also rls and rls_vector:
    policies on the tables of users' rows.

    The files of agentrows and agentrows_vector are optional: indexes, a fill factor, comments, and
    tables of methods that raise SchemaBehind without them, such as
    `store_feedback(idempotency_key=…)`, `store_items` and those of threads.
    """
    # Changes to the table of the vector track are in agentrows_vector, a track of their own, so
    # that they are applied when vectors are switched on later.
    root = migrations_root()
    core = Track("core", root / "core", "schema_migrations", precheck=check_orm_tables)
    memory = Track(
        "vector",
        root / "vector",
        "vector_schema_migrations",
        precheck=require_pgvector,
        extensions=("vector",),
    )
    own = Track(
        "agentrows",
        root / "agentrows",
        "agentrows_schema_migrations",
        extensions=("vector",),
        required_version=0,
    )
    own_vector = Track(
        "agentrows_vector",
        root / "agentrows_vector",
        "agentrows_vector_schema_migrations",
        extensions=("vector",),
        required_version=0,
    )
    tables = (core, memory, own, own_vector) if vector else (core, own)
    if not row_security:
        return tables
    rls, rls_vector = (
        Track(name, root / name, f"{name}_schema_migrations", after=after)
        for name, after in ROW_SECURITY.items()
    )
    return (*tables, rls, rls_vector) if vector else (*tables, rls)


async def check_orm_tables(db: asyncpg.Connection) -> None:
    """Check the tables that an ORM created, before core is applied to them.

    Raises ConfigError if the table `session` is older than kagent v0.8. Logs the number of feedback
    rows that get a new id in migration 4, because the row of another user has the same id.
    """
    tables = await relations.find_orm_tables(db)
    if tables.lacks_source:
        raise ConfigError(
            "the table session has no column source: a kagent older than v0.8.0 created it. Start "
            "kagent v0.8 once on this database, which adds the column, or use another schema"
        )
    if tables.has_wide_feedback_key:
        count = await relations.count_renumbered_feedback(db)
        if count:
            logger.warning(
                "core/000004 gives %s rows of feedback a new id: other rows have the same id", count
            )


async def require_pgvector(db: asyncpg.Connection) -> None:
    """Raise ConfigError unless pgvector with HNSW is in this database or can be created."""
    extension = await server.find_extension(db, "vector")
    problem = _find_problem(extension)
    if problem:
        raise ConfigError(f"{problem}. {WITHOUT}")
    if extension and not extension.installed:
        await _try_to_create(db)


def _find_problem(extension: Extension | None) -> str | None:
    """Return the problem with the server's pgvector, and its cure; None if it can be used."""
    if extension is None:
        return (
            "the server does not have pgvector: install it there (Debian: the package "
            "postgresql-NN-pgvector, containers: the image pgvector/pgvector)"
        )
    if extension.installed and _version(extension.installed) < OLDEST_PGVECTOR:
        return (
            f"pgvector {extension.installed} in this database is older than 0.5: have a superuser "
            "run `ALTER EXTENSION vector UPDATE`"
        )
    if extension.hidden_in is not None:
        name = server.quote(extension.hidden_in)
        return (
            f"pgvector is in the schema {name}, which is not on the search_path: add it for the "
            f"roles that migrate and that serve (`ALTER ROLE … SET search_path = public, {name}`), "
            f"or to the DSN (`?search_path=public,{extension.hidden_in}`)"
        )
    if not extension.installed and _version(extension.default) < OLDEST_PGVECTOR:
        return f"the server's pgvector {extension.default} is older than 0.5: upgrade it there"
    return None


async def _try_to_create(db: asyncpg.Connection) -> None:
    """Create pgvector and roll that back; raise ConfigError with the cure if it fails."""
    # Managed servers have rules of their own, which no catalog shows.
    try:
        await server.try_create_extension(db, "vector")
    except asyncpg.InsufficientPrivilegeError as error:
        raise ConfigError(
            "pgvector is not in this database, and this role may not create it: have a superuser "
            f"run `CREATE EXTENSION vector` there. {WITHOUT}"
        ) from error
    except asyncpg.FeatureNotSupportedError as error:
        raise ConfigError(
            f"the server does not allow the extension pgvector: {server_message(error)}. On Azure "
            "add VECTOR to the server parameter azure.extensions; other managed servers have a "
            f"similar list. {WITHOUT}"
        ) from error
    except asyncpg.UndefinedFileError as error:
        raise ConfigError(
            f"the server lacks files of pgvector: {server_message(error)}. Install the package "
            f"there again, for this version of PostgreSQL. {WITHOUT}"
        ) from error
    except asyncpg.PostgresError as error:
        if not leaves_connection_usable(error):
            raise
        raise ConfigError(
            f"pgvector cannot be created in this database: {server_message(error)}. {WITHOUT}"
        ) from error


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", text)[:2])
