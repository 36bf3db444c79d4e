"""The blocks of docs/a2a.md and the example run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import ListTasksRequest, Task

from agentrows import InvalidValue
from integrations.a2a.agents import CARD, EchoAgent, Replica, message, texts
from integrations.a2a.support_a2a import MIRA, NOBODY, Named, closes_at_once, task, webhook
from support.postgres import as_role

if TYPE_CHECKING:
    from agentrows import PostgresClient

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "a2a.md").read_text()


def names_of(number: int) -> dict[str, Any]:
    """Run a Python block of the page and return its names."""
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)
    names: dict[str, Any] = {}
    exec(blocks[number], names)  # noqa: S102  our own document
    return names


@closes_at_once
async def test_server_of_the_page_runs_a_task(client: PostgresClient) -> None:
    agent = EchoAgent()
    async with httpx.AsyncClient() as web:
        handler = names_of(0)["create_handler"](client, agent, CARD, web)
        result = await Replica(handler, agent).handler.on_message_send(message("done"), MIRA)
        await handler.aclose()
    assert isinstance(result, Task)
    assert texts(result) == ["0: done"]


async def test_other_blocks_of_the_page_work(client: PostgresClient) -> None:
    store = names_of(1)["create_store"](client)
    one = ServerCallContext(user=Named("mira"), tenant="a")
    await store.save(task("t-1"), one)
    assert (await store.list(ListTasksRequest(), one)).total_size == 1
    assert (await client.get_task("t-1", user_id='["a", "mira"]')).id == "t-1"
    for nobody in (NOBODY, ServerCallContext(tenant="a")):
        with pytest.raises(InvalidValue, match="owner_resolver"):
            await store.get("t-1", nobody)

    configs = names_of(2)["create_config_store"](client)
    await configs.set_info("t-2", webhook(label="credential"), MIRA)
    (row,) = await client.list_push_configs("t-2", user_id="mira")
    assert b"credential" not in row.data

    await client.save_task("t-3", user_id="mira", data="{}", state="x", event=b"e")
    assert await names_of(3)["remove_old_events"](client) == 0
    assert await client.prune_task_events(timedelta(microseconds=1)) == 1


def test_example_prints_its_conversation(migrated: str) -> None:
    done = subprocess.run(  # noqa: S603  our own example
        [sys.executable, str(ROOT / "examples" / "a2a" / "booking_agent.py")],
        env={"AGENTROWS_DATABASE_URL": as_role(migrated, "postgres")},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "agent: For how many nights?",
        "agent: Booked: three nights.",
        "tasks: 1",
    ]
