"""Servers of A2A in processes of their own: one is killed, another one continues its tasks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from a2a.types.a2a_pb2 import StreamResponse, Task, TaskState
from google.protobuf import json_format

from integrations.a2a.agents import message, texts
from integrations.a2a.support_a2a import CANCELED, COMPLETED, WORKING
from support.processes import Program, run_module

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from agentrows import PostgresClient

INPUT_REQUIRED = TaskState.TASK_STATE_INPUT_REQUIRED
SKEW_S = 5
both = pytest.mark.parametrize("kind", ["versioned", "plain"])


def read_task(document: dict[str, Any]) -> Task:
    """Return the task of a JSON document."""
    task = Task()
    json_format.ParseDict(document, task)
    return task


@dataclass(frozen=True)
class Remote:
    """A server in another process, and a user's connection to it."""

    program: Program
    web: httpx.AsyncClient

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a method of A2A."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = (await self.web.post("/", json=body)).json()
        assert "result" in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def send(self, words: str, task: Task | None = None) -> Task:
        """Send a message and return the task."""
        request = message(
            words, task_id=task.id if task else "", context_id=task.context_id if task else ""
        )
        answer = await self.call("SendMessage", json_format.MessageToDict(request))
        return read_task(answer["task"])

    async def get(self, task_id: str) -> Task:
        """Return a stored task."""
        return read_task(await self.call("GetTask", {"id": task_id}))

    async def until_working(self, task_id: str) -> Task:
        """Wait until the agent works on a task, and return it."""
        async with asyncio.timeout(20):
            while (task := await self.get(task_id)).status.state != WORKING:
                await asyncio.sleep(0.05)
        return task

    async def subscribe(self, task_id: str) -> AsyncIterator[dict[str, Any]]:
        """Iterate over the events of a task."""
        body = {"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": task_id}}
        async with self.web.stream("POST", "/", json=body) as response:
            async for line in response.aiter_lines():
                if line.startswith("data:"):
                    yield json.loads(line.removeprefix("data:"))["result"]


@contextlib.asynccontextmanager
async def start(dsn: str, kind: str = "versioned", ahead_s: float = 0) -> AsyncGenerator[Remote]:
    """Start a server in a process, for the user mira."""
    async with run_module("integrations.a2a.replica", dsn, kind, str(ahead_s)) as program:
        url = f"http://127.0.0.1:{await program.read_line()}"
        headers = {"user": "mira", "A2A-Version": "1.0"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as web:
            yield Remote(program, web)


def words_of(task: Task) -> list[str]:
    """Return the texts of the messages of a task."""
    return [part.text for each in task.history for part in each.parts]


@both
async def test_task_of_a_killed_process_continues_in_another(migrated: str, kind: str) -> None:
    async with start(migrated, kind) as first:
        task = await first.send("one")
        assert (task.status.state, texts(task)) == (INPUT_REQUIRED, ["0: one"])
        running = asyncio.ensure_future(first.send("wait", task))
        before = await first.until_working(task.id)
        await first.program.kill()
        with pytest.raises(httpx.TransportError):
            await running
    async with start(migrated, kind) as second:
        assert await second.get(task.id) == before
        task = await second.send("two", task)
        assert (task.status.state, texts(task)) == (INPUT_REQUIRED, ["0: one", "1: two"])
        assert words_of(task) == ["one", "wait", "two"]
        task = await second.send("done", task)
        assert (task.status.state, texts(task)) == (COMPLETED, ["0: one", "1: two", "2: done"])
        assert await second.get(task.id) == task
        listed = await second.call("ListTasks", {})
        assert [each["id"] for each in listed["tasks"]] == [task.id]


@both
async def test_task_that_a_killed_process_left_working_can_be_canceled(
    migrated: str, kind: str
) -> None:
    async with start(migrated, kind) as first:
        task = await first.send("one")
        running = asyncio.ensure_future(first.send("wait", task))
        await first.until_working(task.id)
        await first.program.kill()
        await asyncio.gather(running, return_exceptions=True)
    async with start(migrated, kind) as second:
        canceled = await second.call("CancelTask", {"id": task.id})
        assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
        assert (await second.get(task.id)).status.state == CANCELED


async def test_subscriber_continues_after_the_process_of_the_agent_was_killed(
    migrated: str,
) -> None:
    async with start(migrated) as first, start(migrated) as second:
        task = await first.send("one")
        running = asyncio.ensure_future(first.send("wait", task))
        await second.until_working(task.id)
        events = second.subscribe(task.id)
        seen = [await anext(events)]
        await first.program.kill()
        await asyncio.gather(running, return_exceptions=True)
        answering = asyncio.ensure_future(second.send("done", task))
        async with asyncio.timeout(30):
            seen += [event async for event in events]
        assert texts(await answering) == ["0: one", "1: done"]
    assert seen[0]["task"]["status"]["state"] == "TASK_STATE_WORKING"
    assert str(seen).count("'1: done'") == 1
    assert seen[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_processes_with_clocks_5_s_apart_keep_the_order_of_arrival(
    migrated: str, client: PostgresClient
) -> None:
    times: list[int] = []
    async with start(migrated) as one, start(migrated, ahead_s=-SKEW_S) as slow:
        task = None
        for number in range(4):
            task = await (one, slow)[number % 2].send(str(number), task)
            times.append(task.status.timestamp.ToNanoseconds())
            for reader in (one, slow):
                assert await reader.get(task.id) == task
        assert task is not None
        assert words_of(task) == [*"0123"]
        assert texts(task) == ["0: 0", "1: 1", "2: 2", "3: 3"]
    assert times != sorted(times)  # the clocks did differ
    events = await client.list_task_events_all_users(task.id)
    assert [event.version for event in events] == [*range(1, len(events) + 1)]
    artifacts = [
        response.artifact_update.artifact.parts[0].text
        for event in events
        if (response := StreamResponse.FromString(event.data)).HasField("artifact_update")
    ]
    assert artifacts == texts(task)
