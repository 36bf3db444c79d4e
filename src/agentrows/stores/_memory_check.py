"""Check of the settings of the memory store against the stored memories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agentrows.errors import ConfigError
from agentrows.gen import own_memories as queries

if TYPE_CHECKING:
    from agentrows.db.executor import Executor


async def check_memories(db: Executor) -> None:
    """Check the settings of the memory store against the database.

    Raises:
        ConfigError: the text search configuration does not exist, or there are memories, but none
            of the model of the settings.
        SchemaBehind: the table of the settings does not exist.

    """
    model, text_config = db.options.memory_model, db.options.memory_text_config
    if db.options.memory_table == "kagent" or model is None:
        return
    state = await queries.read_memory_state(db.repeatable, model=model, config=text_config)
    if not state.has_config:
        raise ConfigError(
            f"AGENTROWS_MEMORY_TEXT_CONFIG is {text_config!r}, which is no text search "
            "configuration of this database: use simple, or one that \\dF of psql lists"
        )
    if state.has_only_others:
        raise ConfigError(
            f"the database has memories, and none of the model {model!r} in agentrows_memory, so "
            "every search would be empty: copy them with `agentrows memory copy` (other options: "
            "--from-model, and --embed for new embeddings) or client.copy_memories; restore the "
            "earlier AGENTROWS_MEMORY_TABLE and AGENTROWS_MEMORY_MODEL; or start without the "
            "stored memories by AGENTROWS_MEMORY_CHECK=false"
        )
