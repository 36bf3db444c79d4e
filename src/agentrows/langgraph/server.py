"""Context managers that a LangGraph server opens, by the paths in langgraph.json.

::

    "checkpointer": {"path": "agentrows.langgraph:checkpointer"},
    "store": {"path": "agentrows.langgraph:item_store"}
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

from agentrows import PostgresClient, Settings
from agentrows.langgraph.saver import AgentRowsSaver
from agentrows.langgraph.store import AgentRowsStore
from agentrows.langgraph.users import load_user_function

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langgraph.store.base import TTLConfig

    from agentrows.langgraph.embeddings import StoreIndexConfig

__all__ = ["checkpointer", "item_store"]

STORE_USER_VARIABLE: Final = "AGENTROWS_LANGGRAPH_STORE_USER"
"""Names the function that returns the user of a namespace, as `module:function`."""


@contextlib.asynccontextmanager
async def checkpointer(user: str | None = None) -> AsyncGenerator[AgentRowsSaver]:
    """Open a saver with the settings of the environment.

    `user` names a function of the config that returns the id of the user, as `module:function`; the
    default is the variable AGENTROWS_LANGGRAPH_USER. With AGENTROWS_ROW_SECURITY=true each call is
    restricted to the rows of its user by PostgreSQL.

    Raises:
        ConfigError: no function is named, it cannot be imported, or a setting is wrong.

    """
    function = load_user_function(user)
    settings = Settings.load()
    async with PostgresClient.open(settings=settings) as client:
        yield AgentRowsSaver(client, user=function, row_security=settings.row_security)


@contextlib.asynccontextmanager
async def item_store(
    user: str | None = None,
    *,
    index: StoreIndexConfig | None = None,
    ttl: TTLConfig | None = None,
) -> AsyncGenerator[AgentRowsStore]:
    """Open a store with the settings of the environment.

    `user` names a function of the namespace that returns the id of the user, as `module:function`;
    the default is the variable AGENTROWS_LANGGRAPH_STORE_USER. The clients of the server send
    namespaces themselves: the server's authorization must check that a namespace is the caller's.
    With AGENTROWS_ROW_SECURITY=true each statement is restricted to the rows of its user by
    PostgreSQL.

    Raises:
        ConfigError: no function is named, it cannot be imported, or a setting is wrong.

    """
    function = load_user_function(user, variable=STORE_USER_VARIABLE)
    settings = Settings.load()
    async with AgentRowsStore.open(
        user=function,
        index=index,
        ttl=ttl,
        settings=settings,
        row_security=settings.row_security,
    ) as store:
        yield store
