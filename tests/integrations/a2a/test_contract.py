"""The contracts of a2a-sdk's stores, which agentrows and the stores of a2a-sdk itself fulfil."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from importlib.metadata import version
from itertools import chain
from typing import TYPE_CHECKING, Final

import pytest
from a2a.server.cluster import ConcurrentTaskModificationError, TaskVersion
from a2a.types.a2a_pb2 import ListTasksRequest, Task, TaskState, TaskStatusUpdateEvent
from a2a.utils.errors import InvalidParamsError

from integrations.a2a.support_a2a import (
    CANCELED,
    COMPLETED,
    JUNO,
    MIRA,
    NOBODY,
    WORKING,
    pages,
    task,
    timestamp,
    update,
    webhook,
)

if TYPE_CHECKING:
    from integrations.a2a.conftest import Kit, VersionedKit

SECOND = 1_000_000_000
RETURNS_CONFIGS: Final = tuple(map(int, version("a2a-sdk").split(".")[:2])) >= (1, 3)
"""The stores of a2a-sdk 1.2 return None for a config that they have stored."""


async def test_saved_task_is_returned_replaced_and_deleted(kit: Kit) -> None:
    first = task("t-1", ns=5 * SECOND, text='NUL \0, quote ", snow ☃')
    first.metadata["depth"] = {"list": [1, None, True, 2.5]}
    await kit.tasks.save(first, MIRA)
    assert await kit.tasks.get("t-1", MIRA) == first

    second = task("t-1", state=COMPLETED, ns=6 * SECOND, context="c-2")
    await kit.tasks.save(second, MIRA)
    assert await kit.tasks.get("t-1", MIRA) == second

    await kit.tasks.delete("t-1", MIRA)
    assert await kit.tasks.get("t-1", MIRA) is None
    await kit.tasks.delete("t-1", MIRA)
    await kit.tasks.save(first, MIRA)
    assert await kit.tasks.get("t-1", MIRA) == first


async def test_tasks_of_another_user_are_not_returned_listed_or_deleted(kit: Kit) -> None:
    await kit.tasks.save(task("t-1"), MIRA)
    await kit.tasks.save(task("t-2"), NOBODY)

    assert await kit.tasks.get("t-1", JUNO) is None
    assert await kit.tasks.get("t-1", NOBODY) is None
    await kit.tasks.delete("t-1", JUNO)
    assert await pages(kit.tasks, JUNO, ListTasksRequest()) == [[]]
    assert await pages(kit.tasks, MIRA, ListTasksRequest()) == [["t-1"]]
    assert await pages(kit.tasks, NOBODY, ListTasksRequest()) == [["t-2"]]


async def fill(kit: Kit) -> list[str]:
    """Store nine tasks in a random order, and return their ids in the order of lists."""
    second = SECOND if kit.name == "sqlite" else 1  # SQLite's column has microseconds
    tasks = [
        task("b", ns=2_000_000 * second + 3 * second, state=COMPLETED),
        task("Z", ns=2_000_000 * second + 2 * second, context="c-2"),
        task("z", ns=2_000_000 * second + 1 * second),
        task("ä", ns=2_000_000 * second),
        task("y", ns=2_000_000 * second),
        task("Y", ns=2_000_000 * second, context="c-2", state=COMPLETED),
        task("a", ns=1 * second),
        task("t-10"),
        task("t-1", context="c-2"),
    ]
    for number in (4, 0, 7, 2, 8, 5, 1, 3, 6):
        await kit.tasks.save(tasks[number], MIRA)
    await kit.tasks.save(task("of juno", ns=2_000_001 * second), JUNO)
    return [each.id for each in tasks]


async def test_pages_are_in_descending_order_of_time_and_code_points(kit: Kit) -> None:
    expected = await fill(kit)

    for size in (1, 2, 4, 8, 9, 100):
        found = await pages(kit.tasks, MIRA, ListTasksRequest(page_size=size))
        assert list(chain(*found)) == expected, size
        assert {len(page) for page in found[:-1]} <= {size}
    page = await kit.tasks.list(ListTasksRequest(), MIRA)
    assert (page.total_size, page.page_size, page.next_page_token) == (9, 50, "")


async def test_filters_restrict_pages_and_total(kit: Kit) -> None:
    await fill(kit)
    second = SECOND if kit.name == "sqlite" else 1
    since = timestamp(2_000_000 * second + 1 * second)

    for params, expected in (
        (ListTasksRequest(context_id="c-2"), ["Z", "Y", "t-1"]),
        (ListTasksRequest(status=COMPLETED), ["b", "Y"]),
        (ListTasksRequest(status_timestamp_after=since), ["b", "Z", "z"]),
        (ListTasksRequest(context_id="c-2", status=WORKING), ["Z", "t-1"]),
        (ListTasksRequest(context_id="c-2", status_timestamp_after=since), ["Z"]),
        (ListTasksRequest(context_id="none"), []),
        (ListTasksRequest(status=TaskState.TASK_STATE_FAILED), []),
    ):
        page = await kit.tasks.list(params, MIRA)
        assert [each.id for each in page.tasks] == expected
        assert page.total_size == len(expected)
        params.page_size = 1
        assert list(chain(*await pages(kit.tasks, MIRA, params))) == expected


async def test_page_token_stays_valid_when_its_task_is_changed_or_deleted(kit: Kit) -> None:
    expected = await fill(kit)
    page = await kit.tasks.list(ListTasksRequest(page_size=3), MIRA)
    assert page.tasks[-1].id == expected[2]

    await kit.tasks.delete(expected[2], MIRA)

    rest = ListTasksRequest(page_size=100, page_token=page.next_page_token)
    assert await pages(kit.tasks, MIRA, rest) == [expected[3:]]


async def test_token_of_an_older_release_starts_at_its_task(kit: Kit) -> None:
    expected = await fill(kit)

    for number in (0, 4, 8):
        token = base64.b64encode(expected[number].encode()).decode()
        found = await pages(kit.tasks, MIRA, ListTasksRequest(page_token=token))
        assert found == [expected[number:]]
    for token in ("of juno", "never stored"):
        params = ListTasksRequest(page_token=base64.b64encode(token.encode()).decode())
        with pytest.raises(InvalidParamsError):
            await kit.tasks.list(params, MIRA)


async def test_configs_of_two_users_for_a_task_that_is_not_stored_are_kept(kit: Kit) -> None:
    stored = await kit.push.set_info("t-1", webhook(label="first"), MIRA)
    if RETURNS_CONFIGS or kit.name == "agentrows":
        assert stored is not None
        assert (stored.id, stored.task_id) == ("t-1", "t-1")
    await kit.push.set_info("t-1", webhook("more"), MIRA)
    await kit.push.set_info("t-1", webhook("more", label="changed"), MIRA)
    await kit.push.set_info("t-1", webhook("of juno", label="third"), JUNO)

    mine = await kit.push.get_info("t-1", MIRA)
    assert sorted((c.id, c.token) for c in mine) == [("more", "changed"), ("t-1", "first")]
    assert [c.token for c in await kit.push.get_info("t-1", JUNO)] == ["third"]
    assert await kit.push.get_info("t-2", MIRA) == []
    everyone = await kit.push.get_info_for_dispatch("t-1")
    assert sorted(c.token for c in everyone) == ["changed", "first", "third"]

    await kit.push.delete_info("t-1", JUNO, "t-1")
    await kit.push.delete_info("t-1", MIRA, "more")
    assert [c.token for c in await kit.push.get_info("t-1", MIRA)] == ["first"]
    await kit.push.delete_info("t-1", JUNO)
    assert [c.token for c in await kit.push.get_info_for_dispatch("t-1")] == ["first"]


async def test_versioned_save_succeeds_only_at_the_version_that_was_read(
    versioned: VersionedKit,
) -> None:
    store, none = versioned.versioned, TaskVersion.MISSING
    first = await store.save(task("t-1"), event=None, prev=None, prev_version=none, context=MIRA)
    second = await store.save(
        task("t-1", text="b"), event=None, prev=None, prev_version=first, context=MIRA
    )
    assert first.is_after(none)
    assert second.is_after(first)
    for stale in (none, first, TaskVersion(77)):
        with pytest.raises(ConcurrentTaskModificationError):
            await store.save(task("t-1"), event=None, prev=None, prev_version=stale, context=MIRA)
    with pytest.raises(ConcurrentTaskModificationError):
        await store.save(task("t-9"), event=None, prev=None, prev_version=first, context=MIRA)
    with pytest.raises(TypeError):
        await store.save(
            task("t-1"), event=None, prev=None, prev_version=TaskVersion("x"), context=MIRA
        )
    stored = await store.get("t-1", MIRA)
    assert stored is not None
    assert (stored.task, stored.version) == (task("t-1", text="b"), second)
    assert await store.get("t-1", JUNO) is None


async def test_one_of_many_writers_of_a_version_succeeds(
    versioned: VersionedKit,
) -> None:
    store, seen = versioned.versioned, TaskVersion.MISSING

    async def save(text: str, version: TaskVersion) -> TaskVersion | None:
        with contextlib.suppress(ConcurrentTaskModificationError):
            return await store.save(
                task("t-1", text=text), event=None, prev=None, prev_version=version, context=MIRA
            )
        return None

    for _ in range(5):
        results = await asyncio.gather(*(save(str(n), seen) for n in range(4)))
        (winner,) = [(n, version) for n, version in enumerate(results) if version]
        stored = await store.get("t-1", MIRA)
        assert stored is not None
        assert (stored.task, stored.version) == (task("t-1", text=str(winner[0])), winner[1])
        seen = winner[1]


async def test_cancellation_replaces_any_version_that_is_not_final(
    versioned: VersionedKit,
) -> None:
    store, none = versioned.versioned, TaskVersion.MISSING

    async def save(task_id: str, state: TaskState, version: TaskVersion) -> TaskVersion:
        return await store.save(
            task(task_id, state=state), event=None, prev=None, prev_version=version, context=MIRA
        )

    with pytest.raises(ConcurrentTaskModificationError):
        await save("t-1", CANCELED, none)
    first = await save("t-1", WORKING, none)
    second = await save("t-1", WORKING, first)
    canceled = await save("t-1", CANCELED, first)
    assert canceled.is_after(second)
    for state in (CANCELED, WORKING):
        with pytest.raises(ConcurrentTaskModificationError):
            await save("t-1", state, second)
    for final in (COMPLETED, TaskState.TASK_STATE_FAILED, TaskState.TASK_STATE_REJECTED):
        version = await save(f"t-{final}", final, none)
        with pytest.raises(ConcurrentTaskModificationError):
            await save(f"t-{final}", CANCELED, version)


async def test_events_are_streamed_in_order_each_once(
    versioned: VersionedKit,
) -> None:
    versions = [TaskVersion.MISSING]

    async def save(number: int) -> None:
        event = task("t-1", text="0") if number == 0 else update("t-1", str(number))
        versions.append(
            await versioned.versioned.save(
                task("t-1", text=str(number)),
                event=event,
                prev=None,
                prev_version=versions[-1],
                context=MIRA,
            )
        )

    for number in range(3):
        await save(number)
    streams = {
        after: versioned.stream.subscribe("t-1", after=versions[after]) for after in (0, 2, 3)
    }
    seen = {after: [await anext(s) for _ in range(3 - after)] for after, s in streams.items()}
    waiting = {after: asyncio.ensure_future(anext(s)) for after, s in streams.items()}
    for number in range(3, 6):
        await save(number)
    for after, stream in streams.items():
        seen[after].append(await asyncio.wait_for(waiting[after], 5))
        seen[after] += [await anext(stream) for _ in range(2)]
        await stream.aclose()
        assert [each.version for each in seen[after]] == versions[after + 1 :]
        assert [text_of(each.event) for each in seen[after]] == [
            str(number) for number in range(after, 6)
        ]


def text_of(event: object) -> str:
    """Return the text of an event."""
    if isinstance(event, TaskStatusUpdateEvent):
        return str(event.status.message.parts[0].text)
    assert isinstance(event, Task)
    return str(event.history[0].parts[0].text)
