"""Sessions of the Claude Agent SDK in PostgreSQL.

::

    async with PostgresClient.open("postgresql://…") as client:
        store = SessionStore(client, user_id="mira")
        options = ClaudeAgentOptions(session_store=store)
        async for message in query(prompt="Book a table for two.", options=options):
            print(message)

It needs the extra `claude`: `pip install 'agentrows[claude]'`. docs/claude.md is the guide.
"""

from __future__ import annotations

from agentrows.errors import ConfigError

try:
    from agentrows.claude.sessions import SessionStore
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "claude_agent_sdk":
        raise
    raise ConfigError(
        "agentrows.claude needs claude-agent-sdk: pip install 'agentrows[claude]'"
    ) from error

__all__ = ["SessionStore"]
