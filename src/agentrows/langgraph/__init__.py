"""LangGraph on agentrows: a saver of checkpoints and a store, for each user separately.

::

    async with PostgresClient.open("postgresql://…") as client:
        graph = builder.compile(
            checkpointer=AgentRowsSaver(client, user="mira"),
            store=AgentRowsStore(client, user="mira"),
        )
"""

from __future__ import annotations

from agentrows.errors import ConfigError

try:
    import langgraph.checkpoint.base as _base
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"langgraph", "langchain_core"}:
        raise
    raise ConfigError(
        "agentrows.langgraph needs the library langgraph-checkpoint: "
        "pip install 'agentrows[langgraph]'"
    ) from error

from agentrows.langgraph.embeddings import StoreIndexConfig
from agentrows.langgraph.saver import AgentRowsSaver
from agentrows.langgraph.server import checkpointer, item_store
from agentrows.langgraph.store import AgentRowsStore

__all__ = ["AgentRowsSaver", "AgentRowsStore", "StoreIndexConfig", "checkpointer", "item_store"]

del _base
