"""LangGraph on agentrows."""

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

__all__: list[str] = []

del _base
