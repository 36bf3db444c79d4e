"""The saver and the store that a suite tests, each for a new user on the client of the process."""

from __future__ import annotations

import atexit
import secrets
from contextlib import ExitStack
from functools import cache
from typing import TYPE_CHECKING

from agentrows.langgraph import AgentRowsSaver, AgentRowsStore
from integrations.suites.server import client_in_thread

if TYPE_CHECKING:
    from langgraph.store.base import TTLConfig

    from agentrows import PostgresClient
    from agentrows.langgraph import StoreIndexConfig


@cache
def client() -> PostgresClient:
    """Return the client of this process."""
    stack = ExitStack()
    opened = stack.enter_context(client_in_thread())
    atexit.register(stack.close)
    return opened


def new_user() -> str:
    """Return a user without rows. Some suites replace the random numbers of uuid."""
    return f"suite-{secrets.token_hex(8)}"


def new_saver() -> AgentRowsSaver:
    """Return a saver for a new user."""
    return AgentRowsSaver(client(), user=new_user())


def new_store(
    *, index: StoreIndexConfig | None = None, ttl: TTLConfig | None = None
) -> AgentRowsStore:
    """Return a store for a new user."""
    return AgentRowsStore(client(), user=new_user(), index=index, ttl=ttl)
