"""Sessions of two users that continue after a restart: `python app.py postgresql://…`.

The CLI is a small program without a network. Remove `cli_path=` to use Claude Code.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from claude_agent_sdk import (
    ClaudeAgentOptions,
    ResultMessage,
    delete_session_via_store,
    list_sessions_from_store,
    query,
)

from agentrows import PostgresClient
from agentrows.claude import SessionStore

SMALL_CLI = Path(__file__).with_name("small_cli.py")


async def ask(dsn: str, user_id: str, question: str, *, resume: str | None = None) -> str:
    """Ask a question with a new client and an empty disk, and return the id of the session."""
    with TemporaryDirectory() as config_dir:
        async with PostgresClient.open(dsn) as client:
            options = ClaudeAgentOptions(
                session_store=SessionStore(client, user_id=user_id),
                resume=resume,
                cli_path=SMALL_CLI,
                env={"CLAUDE_CONFIG_DIR": config_dir},
            )
            session_id = ""
            async for message in query(prompt=question, options=options):
                if isinstance(message, ResultMessage):
                    print(f"{user_id}: {message.result}")
                    session_id = message.session_id
            return session_id


async def main(dsn: str) -> None:
    """Ask questions of two users, list the sessions of one, and delete one."""
    session_id = await ask(dsn, "mira", "A train to Rome?")
    await ask(dsn, "juno", "A train to Oslo?")
    await ask(dsn, "mira", "And back?", resume=session_id)
    async with PostgresClient.open(dsn) as client:
        store = SessionStore(client, user_id="mira")
        for session in await list_sessions_from_store(store):
            print(f"session of mira: {session.summary}")
        await delete_session_via_store(store, session_id)
        print(f"{len(await list_sessions_from_store(store))} sessions of mira")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
