"""Rows: those of other programs, those that cannot be read, and rows that are gone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from a2a.server.cluster import TaskVersion
from a2a.types.a2a_pb2 import ListTasksRequest, TaskState
from a2a.utils.errors import InvalidParamsError
from cryptography.fernet import Fernet

from agentrows import Deleted, InvalidValue, PostgresClient, SchemaBehind, UnreadableRow
from agentrows.a2a import PushNotificationConfigStore, TaskEventStream, VersionedTaskStore
from agentrows.migrate import Migrator, builtin_tracks
from integrations.a2a.support_a2a import (
    COMPLETED,
    MIRA,
    WORKING,
    pages,
    task,
    update,
    webhook,
)

if TYPE_CHECKING:
    import asyncpg

    from integrations.a2a.conftest import VersionedKit

HI = {"kind": "text", "text": "hi"}
V03 = {
    "id": "old",
    "contextId": "c-1",
    "kind": "task",
    "status": {"state": "completed", "timestamp": "2025-01-02T03:04:05Z"},
    "history": [{"kind": "message", "messageId": "m", "role": "user", "parts": [HI]}],
}
V10 = {"id": "new", "contextId": "c-1", "status": {"state": "TASK_STATE_WORKING"}, "futureField": 1}


async def test_tasks_of_other_programs_are_listed_read_and_saved(
    client: PostgresClient, ours: VersionedKit, db: asyncpg.Connection
) -> None:
    await client.store_task("old", user_id="mira", data=json.dumps(V03), session_id="c-1")
    await client.store_task("new", user_id="mira", data=json.dumps(V10), session_id="c-1")
    await db.execute("UPDATE task SET protocol_version = NULL WHERE id = 'old'")
    await ours.tasks.save(task("ours", ns=-1, state=COMPLETED), MIRA)

    assert await pages(ours.tasks, MIRA, ListTasksRequest(page_size=1)) == [
        ["ours"],
        ["old"],
        ["new"],
    ]
    for state, expected in ((COMPLETED, ["ours", "old"]), (WORKING, ["new"])):
        assert await pages(ours.tasks, MIRA, ListTasksRequest(status=state)) == [expected]
    assert await pages(ours.tasks, MIRA, ListTasksRequest(context_id="c-1")) == [
        ["ours", "old", "new"]
    ]

    stored = await ours.versioned.get("old", MIRA)
    assert stored is not None
    assert stored.version.is_missing
    assert stored.task.status.state == TaskState.TASK_STATE_COMPLETED
    assert stored.task.history[0].parts[0].text == "hi"
    await ours.versioned.save(
        stored.task, event=None, prev=None, prev_version=stored.version, context=MIRA
    )
    row = await client.get_task("old", user_id="mira")
    assert row.protocol_version == "1.0"
    assert json.loads(row.data)["status"]["state"] == "TASK_STATE_COMPLETED"
    assert await ours.tasks.get("old", MIRA) == stored.task
    assert (await pages(ours.tasks, MIRA, ListTasksRequest()))[0][0] == "old"


async def test_row_that_is_not_a_task_hides_no_other(
    client: PostgresClient, ours: VersionedKit, caplog: pytest.LogCaptureFixture
) -> None:
    for number, data in enumerate(("", "not json", "{}", '{"id": "other"}', "[1]", '"\\u0000"')):
        await client.store_task(f"bad-{number}", user_id="mira", data=data)
    await ours.tasks.save(task("good"), MIRA)

    page = await ours.tasks.list(ListTasksRequest(), MIRA)
    assert [each.id for each in page.tasks] == ["good"]
    assert "the data of task 'bad-1' is not a task of A2A" in caplog.text
    for states in (COMPLETED, WORKING):
        await ours.tasks.list(ListTasksRequest(status=states), MIRA)
    with pytest.raises(UnreadableRow, match="bad-1"):
        await ours.tasks.get("bad-1", MIRA)
    assert sum(map(len, await pages(ours.tasks, MIRA, ListTasksRequest(page_size=2)))) == 1


async def test_task_that_another_program_deleted_is_gone_and_its_id_taken(
    client: PostgresClient, ours: VersionedKit
) -> None:
    await ours.tasks.save(task("t-1"), MIRA)
    await client.delete_task("t-1", user_id="mira")

    assert await ours.tasks.get("t-1", MIRA) is None
    assert (await ours.tasks.list(ListTasksRequest(), MIRA)).total_size == 0
    with pytest.raises(Deleted):
        await ours.tasks.save(task("t-1"), MIRA)
    await ours.tasks.delete("t-1", MIRA)
    await ours.tasks.save(task("t-1"), MIRA)


async def test_no_row_of_any_table_contains_the_text_of_a_deleted_task(
    client: PostgresClient, ours: VersionedKit, db: asyncpg.Connection
) -> None:
    async def tables_with(text: str) -> set[str]:
        tables = await db.fetch(
            "SELECT relname::text FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {
            name
            for (name,) in tables
            if await db.fetchval(
                f"SELECT EXISTS (SELECT 1 FROM {name} AS each WHERE each::text LIKE $1"  # noqa: S608
                f" OR each::text LIKE $2)",
                f"%{text}%",
                f"%{text.encode().hex()}%",
            )
        }

    await client.store_session("c-1", user_id="mira")
    await ours.versioned.save(
        task("t-1", text="confidential"),
        event=update("t-1", "confidential"),
        prev=None,
        prev_version=TaskVersion.MISSING,
        context=MIRA,
    )
    await client.store_push_notification("c", task_id="t-1", user_id="mira", data="confidential")
    await ours.push.set_info("t-1", webhook(label="confidential"), MIRA)
    await ours.tasks.save(task("t-2", text="other"), MIRA)
    assert await tables_with("confidential") == {
        "task",
        "agentrows_task_event",
        "agentrows_push_config",
        "push_notification",
    }

    await ours.versioned.delete("t-1", MIRA)

    assert await tables_with("confidential") == set()
    assert await tables_with("t-1") == set()
    assert await tables_with("other") == {"task"}


async def test_configs_are_encrypted_with_a_key_and_plain_ones_still_read(
    client: PostgresClient, ours: VersionedKit, caplog: pytest.LogCaptureFixture
) -> None:
    key = Fernet.generate_key()
    sealed = PushNotificationConfigStore(client, encryption_key=key)
    await ours.push.set_info("t-1", webhook("plain", label="x"), MIRA)
    await sealed.set_info("t-1", webhook("sealed", label="credential"), MIRA)

    rows = await client.list_push_configs("t-1", user_id="mira")
    assert [b"credential" in row.data for row in rows] == [False, False]
    for configs in (await sealed.get_info("t-1", MIRA), await sealed.get_info_for_dispatch("t-1")):
        assert [(c.id, c.token) for c in configs] == [("plain", "x"), ("sealed", "credential")]
    other = PushNotificationConfigStore(client, encryption_key=Fernet.generate_key().decode())
    for store in (ours.push, other):
        assert [c.id for c in await store.get_info_for_dispatch("t-1")] == ["plain"]
    assert "push config 'sealed' of task 't-1' cannot be read" in caplog.text
    assert "credential" not in caplog.text
    for wrong in ("", "short", base64.b64encode(b"x" * 31)):
        with pytest.raises(InvalidValue, match="encryption_key"):
            PushNotificationConfigStore(client, encryption_key=wrong)


@pytest.mark.parametrize(
    "text", [r'{"ts":1,"id":"\u0000"}', r'{"ts":1,"id":"\ud800"}', "[" * 100_000]
)
async def test_page_token_with_an_unusable_id_is_refused(ours: VersionedKit, text: str) -> None:
    params = ListTasksRequest(page_token=base64.urlsafe_b64encode(text.encode()).decode())
    with pytest.raises(InvalidParamsError):
        await ours.tasks.list(params, MIRA)


async def test_older_schema_raises_an_error_with_the_migration(database: str) -> None:
    migrator = Migrator(database, builtin_tracks())
    await migrator.up()
    await migrator.goto("agentrows", 22)
    async with PostgresClient.open(database, migrations="off") as client:
        versioned = VersionedTaskStore(client)
        with pytest.raises(SchemaBehind, match="agentrows migrate up"):
            await versioned.get("t-1", MIRA)
        with pytest.raises(SchemaBehind, match="agentrows migrate up"):
            await versioned.list(ListTasksRequest(), MIRA)
        with pytest.raises(SchemaBehind, match="agentrows migrate up"):
            await PushNotificationConfigStore(client).get_info_for_dispatch("t-1")
        with pytest.raises(SchemaBehind, match="agentrows migrate up"):
            await anext(TaskEventStream(client).subscribe("t-1", after=TaskVersion.MISSING))


def test_import_without_the_framework_names_the_extra() -> None:
    code = (
        "import sys; sys.modules['a2a'] = None\n"
        "from agentrows import ConfigError\n"
        "try:\n    import agentrows.a2a\nexcept ConfigError as error:\n    print(error)"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ("agentrows.a2a needs a2a-sdk: pip install 'agentrows[a2a]'")
