"""The request handler of a2a-sdk with an agent, on the stores of agentrows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTasksRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
    TaskState,
)
from a2a.utils.errors import TaskNotFoundError

from agentrows import PostgresClient
from integrations.a2a.agents import message, send, serve, texts
from integrations.a2a.support_a2a import JUNO, MIRA, NOBODY, closes_at_once, of

if TYPE_CHECKING:
    import asyncpg

COMPLETED = TaskState.TASK_STATE_COMPLETED
INPUT_REQUIRED = TaskState.TASK_STATE_INPUT_REQUIRED
both = pytest.mark.parametrize("versioned", [True, False], ids=["versioned", "plain"])


@both
async def test_task_goes_on_after_a_restart(migrated: str, *, versioned: bool) -> None:
    async with (
        PostgresClient.open(migrated, migrations="off") as client,
        serve(client, versioned=versioned) as server,
    ):
        task = await send(server, "one", MIRA)
        assert task.status.state == INPUT_REQUIRED
        task = await send(server, "two", MIRA, task=task)
    async with (
        PostgresClient.open(migrated, migrations="off") as client,
        serve(client, versioned=versioned) as server,
    ):
        task = await send(server, "done", MIRA, task=task)
        assert (task.status.state, texts(task)) == (COMPLETED, ["0: one", "1: two", "2: done"])
        assert await server.handler.on_get_task(GetTaskRequest(id=task.id), MIRA) == task
        page = await server.handler.on_list_tasks(ListTasksRequest(status=COMPLETED), MIRA)
        assert [each.id for each in page.tasks] == [task.id]


@both
async def test_webhook_of_the_first_message_gets_the_task(
    client: PostgresClient, *, versioned: bool
) -> None:
    async with serve(client, versioned=versioned) as server:
        request = message("done")
        request.configuration.task_push_notification_config.CopyFrom(
            TaskPushNotificationConfig(id="c", url="https://example.com/hook")
        )
        await server.handler.on_message_send(request, MIRA)

        (task,) = (await server.handler.on_list_tasks(ListTasksRequest(), MIRA)).tasks
        configs = await server.handler.on_list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task.id), MIRA
        )
        assert [each.url for each in configs.configs] == ["https://example.com/hook"]
    assert {post["url"] for post in server.posts} == {"https://example.com/hook"}
    assert "TASK_STATE_COMPLETED" in str(server.posts)


@closes_at_once
@both
async def test_another_user_cannot_reach_a_task_by_its_id(
    client: PostgresClient, *, versioned: bool
) -> None:
    async with serve(client, versioned=versioned) as server:
        task = await send(server, "one", MIRA)
        handler = server.handler
        for other in (JUNO, NOBODY):
            with pytest.raises(TaskNotFoundError):
                await handler.on_get_task(GetTaskRequest(id=task.id), other)
            with pytest.raises(TaskNotFoundError):
                await handler.on_cancel_task(CancelTaskRequest(id=task.id), other)
            with pytest.raises(TaskNotFoundError):
                await send(server, "stolen", other, task=task)
            with pytest.raises(TaskNotFoundError):
                async for _ in handler.on_subscribe_to_task(
                    SubscribeToTaskRequest(id=task.id), other
                ):
                    pytest.fail("an event of another user's task")
            with pytest.raises(TaskNotFoundError):
                await handler.on_create_task_push_notification_config(
                    TaskPushNotificationConfig(task_id=task.id, url="https://example.com"), other
                )
            assert (await handler.on_list_tasks(ListTasksRequest(), other)).total_size == 0
        task = await send(server, "done", MIRA, task=task)
    assert texts(task) == ["0: one", "1: done"]
    assert server.posts == []


async def test_subscriber_on_another_replica_gets_every_event(migrated: str) -> None:
    async with (
        PostgresClient.open(migrated, migrations="off") as one,
        PostgresClient.open(migrated, migrations="off") as other,
        serve(one) as first,
        serve(other) as second,
    ):
        sending = asyncio.ensure_future(send(first, "wait", MIRA))
        working = ListTasksRequest(status=TaskState.TASK_STATE_WORKING)
        async with asyncio.timeout(10):
            while not (page := await second.handler.on_list_tasks(working, MIRA)).tasks:
                await asyncio.sleep(0.05)
        (task,) = page.tasks
        events = second.handler.on_subscribe_to_task(SubscribeToTaskRequest(id=task.id), MIRA)
        seen = [await anext(events)]
        first.agent.gates[task.id].set()
        async with asyncio.timeout(10):
            seen += [event async for event in events]
        assert texts(await sending) == ["0: wait"]
    assert str(seen).count('text: "0: wait"') == 1
    assert "TASK_STATE_INPUT_REQUIRED" in str(seen[-1])


async def test_task_of_another_replica_can_be_canceled(migrated: str) -> None:
    async with (
        PostgresClient.open(migrated, migrations="off") as one,
        PostgresClient.open(migrated, migrations="off") as other,
        serve(one) as first,
        serve(other) as second,
    ):
        task = await send(first, "one", MIRA)
        canceled = await second.handler.on_cancel_task(CancelTaskRequest(id=task.id), MIRA)
        assert canceled is not None
        assert canceled.status.state == TaskState.TASK_STATE_CANCELED
        stored = await first.handler.on_get_task(GetTaskRequest(id=task.id), MIRA)
        assert stored == canceled


@both
async def test_twenty_users_run_while_connections_are_killed(
    client: PostgresClient, db: asyncpg.Connection, *, versioned: bool
) -> None:
    async with serve(client, versioned=versioned) as server:

        async def talk(name: str) -> list[str]:
            task = await send(server, name, of(name))
            for words in ("more", "done"):
                task = await send(server, words, of(name), task=task)
            stored = await server.handler.on_get_task(GetTaskRequest(id=task.id), of(name))
            assert stored == task
            return texts(task)

        names = [f"user-{number}" for number in range(20)]
        talks = [asyncio.ensure_future(talk(name)) for name in names]
        while not all(each.done() for each in talks):
            await db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " ORDER BY random() LIMIT 2"
            )
            await asyncio.sleep(0.2)
        assert await asyncio.gather(*talks) == [
            [f"0: {name}", "1: more", "2: done"] for name in names
        ]
