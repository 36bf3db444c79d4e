"""Sessions of the OpenAI Agents SDK in PostgreSQL.

::

    async with PostgresClient.open("postgresql://…") as client:
        session = PostgresSession("s-41", client=client, user_id="mira")
        await Runner.run(agent, "Book a table for two.", session=session)

Install it with `pip install 'agentrows[openai-agents]'`.
"""

from __future__ import annotations

from agentrows import ConfigError

try:
    from agentrows.openai_agents.session import PostgresSession, stored_agent_id
except ImportError as error:
    if (error.name or "").partition(".")[0] != "agents":
        raise
    raise ConfigError(
        "the OpenAI Agents SDK is not installed, or another module is called `agents`: "
        "pip install 'agentrows[openai-agents]'"
    ) from error

__all__ = ["PostgresSession", "stored_agent_id"]
