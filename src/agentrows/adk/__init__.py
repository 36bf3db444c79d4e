"""Google ADK on agentrows: a session service and a memory service.

::

    async with PostgresClient.open("postgresql://…") as client:
        runner = Runner(
            app=app, session_service=SessionService(client), memory_service=MemoryService(client)
        )

It needs the extra `adk`: `pip install 'agentrows[adk]'`. docs/adk.md is the guide.
"""

from __future__ import annotations

from agentrows.errors import ConfigError

try:
    from agentrows.adk.memories import MemoryService
    from agentrows.adk.registry import (
        create_memory_service,
        create_session_service,
        register_services,
    )
    from agentrows.adk.sessions import SessionService
except ModuleNotFoundError as error:
    if error.name is None or not error.name.startswith("google"):
        raise
    raise ConfigError("agentrows.adk needs google-adk: pip install 'agentrows[adk]'") from error

__all__ = [
    "MemoryService",
    "SessionService",
    "create_memory_service",
    "create_session_service",
    "register_services",
]
