"""Fixtures of the tests of the ADK adapter: session services, and a connection of the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import PostgresClient, init_connection
from agentrows.adk import SessionService
from support.postgres import as_role

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def db(migrated: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to the migrated database, for the SQL of a test."""
    connection = await asyncpg.connect(migrated)
    await init_connection(connection)
    yield connection
    await connection.close()


@pytest.fixture
def ours(client: PostgresClient) -> SessionService:
    """The service on a client."""
    return SessionService(client)


@pytest.fixture
def superuser(migrated: str) -> str:
    """The DSN of the migrated database for a role with every right."""
    return as_role(migrated, "postgres")
