"""Context managers that a LangGraph server opens, by the paths in langgraph.json.

::

    "checkpointer": {"path": "agentrows.langgraph:checkpointer"}
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from agentrows import PostgresClient, Settings
from agentrows.langgraph.saver import AgentRowsSaver
from agentrows.langgraph.users import load_user_function

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

__all__ = ["checkpointer"]


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
