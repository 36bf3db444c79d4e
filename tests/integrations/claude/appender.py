"""A process that appends batches to one transcript, and prints a line before each of them."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, cast

from agentrows import PostgresClient
from agentrows.claude import SessionStore

if TYPE_CHECKING:
    from claude_agent_sdk import SessionKey, SessionStoreEntry

KEY: SessionKey = {"project_key": "proj", "session_id": "shared"}


def entry(**fields: object) -> SessionStoreEntry:
    return cast("SessionStoreEntry", {"type": "user", **fields})


async def main(dsn: str, name: str, batches: int) -> None:
    async with PostgresClient.open(dsn, migrations="off") as client:
        store: Any = SessionStore(client, user_id="mira")
        print("ready", flush=True)  # noqa: T201
        for batch in range(batches):
            # One id is that of a batch of the other process.
            entries = [
                entry(uuid=f"shared-{batch}"),
                entry(uuid=f"{name}-{batch}", n=1),
                entry(uuid=f"{name}-{batch}-end", n=2, customTitle=f"{name} {batch}"),
                entry(writer=name, batch=batch),
            ]
            await store.append(KEY, entries)
        print("done", flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
