"""Owners: a user cannot reach a task of another user, also with its id."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest
from a2a.server.cluster import ConcurrentTaskModificationError, TaskVersion
from a2a.server.context import ServerCallContext
from a2a.types.a2a_pb2 import ListTasksRequest, Task

from agentrows import InvalidValue, OwnedByAnother, PostgresClient, Settings, migrate
from agentrows.a2a import (
    ANONYMOUS_USER,
    PushNotificationConfigStore,
    TaskStore,
    VersionedTaskStore,
)
from integrations.a2a.support_a2a import CANCELED, JUNO, MIRA, NOBODY, Named, of, task, webhook
from support.postgres import as_role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from integrations.a2a.conftest import VersionedKit
    from support.postgres import Server


async def test_another_user_cannot_overwrite_cancel_or_register_a_webhook(
    ours: VersionedKit,
) -> None:
    await ours.tasks.save(task("t-1", text="hers"), MIRA)

    with pytest.raises(OwnedByAnother, match="another user") as raised:
        await ours.tasks.save(task("t-1", text="his"), JUNO)
    assert "mira" not in str(raised.value)
    with pytest.raises(OwnedByAnother):
        await ours.push.set_info("t-1", webhook(), JUNO)
    for version in (0, 1, 2):
        for state in (task("t-1").status.state, CANCELED):
            with pytest.raises(ConcurrentTaskModificationError):
                await ours.versioned.save(
                    task("t-1", state=state),
                    event=None,
                    prev=None,
                    prev_version=TaskVersion(version),
                    context=JUNO,
                )
    assert await ours.versioned.get("t-1", JUNO) is None
    await ours.versioned.delete("t-1", JUNO)
    assert await ours.tasks.get("t-1", MIRA) == task("t-1", text="hers")


async def test_webhook_registered_before_the_task_of_another_user_is_not_dispatched(
    ours: VersionedKit,
) -> None:
    await ours.push.set_info("t-1", webhook("c", label="his"), JUNO)
    await ours.push.set_info("t-1", webhook("c", label="hers"), MIRA)
    assert len(await ours.push.get_info_for_dispatch("t-1")) == 2

    await ours.tasks.save(task("t-1"), MIRA)

    assert [c.token for c in await ours.push.get_info_for_dispatch("t-1")] == ["hers"]


async def test_anonymous_callers_share_an_owner_that_no_user_can_have(
    client: PostgresClient, ours: VersionedKit
) -> None:
    await ours.tasks.save(task("t-1"), NOBODY)
    assert await ours.tasks.get("t-1", NOBODY) == task("t-1")
    assert (await client.get_task("t-1", user_id=ANONYMOUS_USER)).user_id == "a2a:anonymous"

    for refused in (of(ANONYMOUS_USER), of("")):
        with pytest.raises(InvalidValue):
            await ours.tasks.get("t-1", refused)
        with pytest.raises(InvalidValue):
            await ours.push.get_info("t-1", refused)
    with pytest.raises(InvalidValue, match="anonymous_user_id"):
        TaskStore(client, anonymous_user_id="a\x1fb")
    strict = TaskStore(client, anonymous_user_id=None)
    with pytest.raises(InvalidValue, match="owner_resolver"):
        await strict.get("t-1", NOBODY)
    assert await strict.get("t-1", of("mira")) is None


@pytest.mark.parametrize("result", [7, b"mira", ["mira"], "x" * 513, "a\0b", "a\x1fb"])
async def test_resolver_without_an_id_is_refused(client: PostgresClient, result: object) -> None:
    resolver: Callable[[ServerCallContext], str] = lambda _: result  # type: ignore[assignment,return-value]  # noqa: E731  # pyright: ignore[reportAssignmentType]
    for store in (TaskStore(client, owner_resolver=resolver),):
        with pytest.raises(InvalidValue, match="owner"):
            await store.get("t-1", NOBODY)
        with pytest.raises(InvalidValue, match="owner"):
            await store.list(ListTasksRequest(), NOBODY)


async def test_resolver_can_separate_tenants(client: PostgresClient) -> None:
    store = TaskStore(client, owner_resolver=lambda c: f"{c.tenant}/{c.user.user_name}")
    one, other = (ServerCallContext(user=Named("mira"), tenant=tenant) for tenant in "ab")
    await store.save(task("t-1"), one)

    assert await store.get("t-1", one) == task("t-1")
    assert await store.get("t-1", other) is None


async def test_ids_with_the_unit_separator_are_refused(ours: VersionedKit) -> None:
    with pytest.raises(InvalidValue, match=r"task\.id contains U\+001F"):
        await ours.tasks.save(task("a\x1fb"), MIRA)
    with pytest.raises(InvalidValue, match=r"task\.context_id contains U\+001F"):
        await ours.tasks.save(task("t-1", context="a\x1fb"), MIRA)
    with pytest.raises(InvalidValue, match="the id of the config contains"):
        await ours.push.set_info("t-1", webhook("a\x1fb"), MIRA)
    for call in (
        ours.tasks.get("a\x1fb", MIRA),
        ours.tasks.delete("a\x1fb", MIRA),
        ours.push.get_info("a\x1fb", MIRA),
        ours.push.get_info_for_dispatch("a\x1fb"),
        ours.push.delete_info("t-1", MIRA, "a\x1fb"),
        anext(ours.stream.subscribe("a\x1fb", after=TaskVersion.MISSING)),
    ):
        with pytest.raises(InvalidValue, match=r"U\+001F"):
            await call


@pytest.fixture
def guarded(server: Server, template: str) -> Iterator[str]:
    """The DSN of a database with the policies, for a role that they apply to."""
    name, role = server.create_database(template), f"a2a_{os.getpid()}"
    server.migrate(name, migrate.builtin_tracks(row_security=True))
    server.execute(f"CREATE ROLE {role} LOGIN")
    server.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}", database=name)
    server.execute(f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}", database=name)
    yield as_role(server.dsn(name), role)
    server.drop_database(name)
    server.execute(f"DROP ROLE {role}")


async def test_row_security_restricts_every_call_to_its_user(guarded: str) -> None:
    settings = Settings(row_security=True)
    async with PostgresClient.open(guarded, settings=settings, migrations="off") as client:
        tasks = TaskStore(client, row_security=True)
        versioned = VersionedTaskStore(client, row_security=True)
        push = PushNotificationConfigStore(client, row_security=True)
        version = TaskVersion.MISSING
        for number in range(3):
            version = await versioned.save(
                task("t-1", text=str(number)),
                event=task("t-1"),
                prev=None,
                prev_version=version,
                context=MIRA,
            )
        with pytest.raises(ConcurrentTaskModificationError):
            await versioned.save(
                task("t-1"), event=None, prev=None, prev_version=TaskVersion(1), context=MIRA
            )
        with pytest.raises(OwnedByAnother):
            await tasks.save(task("t-1"), JUNO)
        await push.set_info("t-1", webhook("c", label="hers"), MIRA)
        await push.set_info("t-1", webhook("c", label="his"), JUNO)
        assert [c.token for c in await push.get_info("t-1", JUNO)] == ["his"]
        assert [c.token for c in await push.get_info_for_dispatch("t-1")] == ["hers"]
        assert (await tasks.list(ListTasksRequest(), MIRA)).total_size == 1
        assert (await tasks.list(ListTasksRequest(), JUNO)).total_size == 0
        async with client.transaction() as tx:
            with pytest.raises(InvalidValue, match="row_security"):
                TaskStore(tx, row_security=True)
        await tasks.delete("t-1", JUNO)
        assert await tasks.get("t-1", MIRA) == task("t-1", text="2")
        await tasks.delete("t-1", MIRA)
        assert await tasks.get("t-1", MIRA) is None


async def test_total_size_is_at_most_the_count_limit(client: PostgresClient) -> None:
    store = TaskStore(client, count_limit=2)
    for number in range(3):
        await store.save(task(f"t-{number}"), MIRA)
    page = await store.list(ListTasksRequest(page_size=2), MIRA)
    assert (page.total_size, len(page.tasks), bool(page.next_page_token)) == (2, 2, True)


async def test_stores_in_a_transaction_commit_or_roll_back_together(
    client: PostgresClient, ours: VersionedKit
) -> None:
    class Undone(Exception):
        pass

    with pytest.raises(Undone):
        async with client.transaction() as tx:
            await TaskStore(tx).save(task("t-1"), MIRA)
            await PushNotificationConfigStore(tx).set_info("t-1", webhook(), MIRA)
            raise Undone
    assert await ours.tasks.get("t-1", MIRA) is None
    assert await ours.push.get_info("t-1", MIRA) == []


async def test_twenty_users_with_the_same_context_see_their_own_tasks(ours: VersionedKit) -> None:
    async def work(name: str) -> list[Task]:
        for number in range(3):
            await ours.tasks.save(task(f"{name}-{number}", ns=number, text=name), of(name))
        page = await ours.tasks.list(ListTasksRequest(context_id="c-1"), of(name))
        assert page.total_size == 3
        return list(page.tasks)

    names = [f"user-{number}" for number in range(20)]
    for name, tasks in zip(names, await asyncio.gather(*map(work, names)), strict=True):
        assert tasks == [task(f"{name}-{n}", ns=n, text=name) for n in (2, 1, 0)]
