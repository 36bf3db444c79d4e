"""Every method, called by another user, neither reads nor changes nor reveals a row.

Two databases contain the rows of juno, and one of them also mira's rows under the same ids. Every
call of juno must return the same on both, and leave mira's rows unchanged.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Final, cast

import pytest
from pydantic import BaseModel

from agentrows import (
    Aborted,
    AgentRowsError,
    Deleted,
    NewEvent,
    NewMemory,
    NewStoreItem,
    OwnedByAnother,
    PostgresClient,
    Stores,
)
from support.methods import METHODS, call, in_order
from support.stores import event

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from agentrows import Transaction
    from support.methods import Arguments
    from support.postgres import Server

NOBODYS: Final = {
    "list_uncovered_tables": "names of tables, without rows",
    "table_stats": "for the operator of the database",
    "list_sessions_for_agent_all_users": "for the operator of an agent",
    "list_app_sessions_all_users": "for the operator of an application",
    "copy_memories": "for every user's memories",
    "prune": "for every user's rows",
    "prune_expired_sessions": "for every user's sessions",
    "prune_idle_threads": "for every user's threads",
    "prune_expired_memories": "for every user's memories",
    "prune_expired_store_items": "for every user's store items",
    "prune_task_events": "for every user's task events",
    "list_task_events_all_users": "for a server that has found the task for its user",
    "list_push_configs_all_users": "for the sender of notifications",
    "get_session_share_by_token": "who has the token may see the share",
    **dict.fromkeys(METHODS["agents"], "agents are everybody's"),
    **dict.fromkeys(METHODS["tools"], "tools are everybody's"),
}
"""Methods that have no user, and why."""
ALLOWED: Final[Mapping[str, type[AgentRowsError]]] = {
    "store_task": OwnedByAnother,
    "save_task": OwnedByAnother,
    "save_task at a version": OwnedByAnother,
    "store_push_config": OwnedByAnother,
    "store_agent_memories": OwnedByAnother,
    "store_agent_memory of mira's id": OwnedByAnother,
    "store_task of mira's deleted id": Deleted,
}
"""Calls that reveal that an id is taken, as their methods document."""
MORE: Final[Mapping[str, tuple[str, Arguments]]] = {
    "store_agent_memory of mira's id": (
        "store_agent_memory",
        {"id": "m-1", "agent_name": "travel", "user_id": "juno", "content": ""},
    ),
    "save_task at a version": (
        "save_task",
        {"id": "k-2", "user_id": "juno", "data": "{}", "state": "x", "version": 1},
    ),
    "store_task of mira's deleted id": (
        "store_task",
        {"id": "k-gone", "user_id": "juno", "data": "{}"},
    ),
    "store_push_notification of mira's id": (
        "store_push_notification",
        {"id": "c-1", "task_id": "k-juno", "user_id": "juno", "data": "{}"},
    ),
    "list_sessions of everybody": ("list_sessions", {"user_id": "%"}),
    "search_crewai_memory_by_task without thread": (
        "search_crewai_memory_by_task",
        {"task_description": "", "user_id": "juno"},
    ),
    "store_events of mira's and juno's": (
        "store_events",
        {"events": [event("e-1", user_id="juno"), event("e-2", user_id="juno")]},
    ),
    "store_events into mira's session": (
        "store_events",
        {"events": [event("e-3", user_id="juno", session_id="s-hers")]},
    ),
    "store_task into mira's session": (
        "store_task",
        {"id": "k-9", "user_id": "juno", "data": "{}", "session_id": "s-hers"},
    ),
    "store_items with vectors under mira's key": (
        "store_items",
        {
            "items": [NewStoreItem(namespace="notes", key="n-1", value="{}")],
            "user_id": "juno",
            "embeddings": [[[1.0], [2.0]]],
            "space": "plane",
        },
    ),
    "store_feedback under mira's key": (
        "store_feedback",
        {"user_id": "juno", "is_positive": True, "feedback_text": "x", "idempotency_key": "f-1"},
    ),
    "store_feedback on mira's event": (
        "store_feedback",
        {"user_id": "juno", "is_positive": True, "event_id": "e-1"},
    ),
    "list_feedback on mira's event": ("list_feedback", {"user_id": "juno", "event_id": "e-1"}),
    "create_session_share of mira's session": (
        "create_session_share",
        {"session_id": "s-hers", "user_id": "juno"},
    ),
}
"""Calls beside those of METHODS."""
OWNED: Final = (
    "session",
    "event",
    "task",
    "push_notification",
    "feedback",
    "lg_checkpoint",
    "lg_checkpoint_write",
    "crewai_agent_memory",
    "crewai_flow_state",
    "session_share",
    "session_share_access",
    "memory",
    "agentrows_memory",
    "agentrows_feedback_key",
    "agentrows_feedback_target",
    "agentrows_session_state",
    "agentrows_user_state",
    "agentrows_checkpoint_blob",
    "agentrows_store_item",
    "agentrows_store_vector",
    "agentrows_task_event",
    "agentrows_push_config",
    "agentrows_transcript",
    "agentrows_transcript_entry",
    "agentrows_history",
    "agentrows_history_entry",
)
OF_CHANCE: Final = {
    *("created_at", "updated_at", "saved_at", "accessed_at", "deleted_at", "expires_at"),
    *("last_event_at", "last_stored", "revision", "token"),
}
"""Fields with other values in each call."""


def as_juno(value: Any) -> Any:  # noqa: ANN401  an argument of any method
    """The same argument with juno where mira was."""
    if isinstance(value, NewEvent | NewMemory):
        return value.model_copy(update={"user_id": "juno"})
    if isinstance(value, list):
        return [as_juno(each) for each in cast("list[object]", value)]
    return "juno" if value == "mira" else value


SCOPED: Final = [
    (method, {name: as_juno(value) for name, value in arguments.items()})
    for method, arguments in in_order()
    if method not in NOBODYS
]
CALLS: Final[Mapping[str, tuple[str, Arguments]]] = {
    **{method: (method, arguments) for method, arguments in SCOPED},
    **MORE,
}


def test_every_method_is_called_or_listed_with_a_reason() -> None:
    public = {name for name in dir(Stores) if not name.startswith("_")}
    called = {method for method, _ in CALLS.values()}
    assert public - {"db", "with_timeout"} == called | NOBODYS.keys(), (
        "add arguments for each new method to METHODS in tests/support/methods.py, and methods "
        "without a user_id to NOBODYS"
    )
    assert not called & NOBODYS.keys(), "a method of NOBODYS is in METHODS with another user"
    assert all("juno" in repr(arguments) for _, arguments in SCOPED), (
        "a method in METHODS has no user_id of mira: pass one, or add the method to NOBODYS"
    )


async def store_all(client: PostgresClient, user: str) -> None:
    """Give a user rows in every table; juno's have ids of their own where a key is everybody's."""
    for method, arguments in in_order():
        if not method.startswith(("store", "save", "create", "record", "append")):
            continue
        ids = {"k-1": "k-juno", "k-2": "k-2-juno"} if user == "juno" else {}
        mine = {
            name: {"mira": user, **ids}.get(value, value) if isinstance(value, str) else value
            for name, value in arguments.items()
        }
        if method == "store_events":
            mine = {"events": [event("e-1", user_id=user, data=f"of {user}")]}
        if method == "store_agent_memories":
            memory = NewMemory(
                id="m-1" if user == "mira" else "m-juno",
                agent_name="travel",
                user_id=user,
                content=f"of {user}",
            )
            mine = {"memories": [memory]}
        if method == "store_items":
            item = NewStoreItem(namespace="notes", key="n-1", value=f'{{"of": "{user}"}}')
            mine = {**mine, "items": [item], "embeddings": [[[1.0]]], "space": "plane"}
        if method == "store_push_notification":
            mine = {**mine, "id": f"c-{user}" if user == "juno" else "c-1", "data": f"of {user}"}
        if method == "store_feedback":
            key = "f-1" if user == "mira" else "f-juno"
            mine = {**mine, "idempotency_key": key, "event_id": f"e-of-{user}"}
        if method != "record_share_access":
            await call(client, method, mine)
    await client.db.execute(
        "INSERT INTO agentrows_memory (id, model, user_id, agent_name, content, words, "
        "created_at, updated_at) VALUES ($1, 'm', $2, 'a', $2, '', now(), now())",
        f"own-{user}",
        user,
    )
    share = await client.create_session_share("s-1", user_id=user)
    await client.record_share_access(share.token, user_id=user)
    if user == "mira":
        await client.store_session("s-hers", user_id=user)
        await client.store_task("k-gone", user_id=user, data="{}")
        await client.delete_task("k-gone", user_id=user)


@pytest.fixture(scope="module")
def filled(server: Server, template: str) -> list[str]:
    """The DSNs of two databases: with juno's rows alone, and with mira's too."""
    alone, both = (server.dsn(server.create_database(template)) for _ in range(2))

    async def fill() -> None:
        for dsn, users in ((alone, ["juno"]), (both, ["mira", "juno"])):
            async with PostgresClient.open(dsn, migrations="off") as client:
                if users == ["juno"]:  # mira's rows have the first numbers in the other one
                    for table in ("feedback", "agentrows_transcript"):
                        await client.db.fetch(
                            f"SELECT nextval(pg_get_serial_sequence('{table}', 'id'))"
                        )
                for user in users:
                    await store_all(client, user)

    asyncio.run(fill())
    return [alone, both]


@pytest.fixture
async def clients(filled: list[str]) -> AsyncIterator[list[PostgresClient]]:
    alone, both = filled
    async with (
        PostgresClient.open(alone, migrations="off") as one,
        PostgresClient.open(both, migrations="off") as other,
    ):
        yield [one, other]


class Undone(Exception):
    """Rolls a call back, so that the next one finds the same rows."""


async def rows(tx: Transaction) -> set[str]:
    """Every row of every owned table, as text."""
    found: set[str] = set()
    for table in OWNED:
        query = f"SELECT '{table} ' || xmin::text || each::text FROM {table} AS each"  # noqa: S608
        found |= {str(row[0]) for row in await tx.db.fetch(query)}
    return found


async def outcome(client: PostgresClient, method: str, arguments: Arguments) -> object:
    """Return the result or error of a call without its random parts, and roll the call back."""
    result: object = None
    try:
        async with client.transaction() as tx:
            before = await rows(tx)
            try:
                answer = await call(tx, method, arguments)
            except AgentRowsError as error:
                result = (type(error), str(error))
            else:
                assert "mira" not in repr(answer), f"{method} returned rows of another user"
                if method == "export_user":
                    answer = [json.loads(line) for line in cast("list[str]", answer)]
                result = without_chance(answer)
            try:
                after = await rows(tx)
            except Aborted:  # the server refused the statement, which changed nothing
                raise Undone from None
            assert {row for row in before - after if "juno" not in row} == set(), (
                f"{method} called by juno changed or removed rows of another user"
            )
            assert {row for row in after - before if "juno" not in row} == set(), (
                f"{method} called by juno added rows of another user"
            )
            raise Undone  # noqa: TRY301  it must reach the transaction
    except Undone:
        pass
    return result


def without_chance(answer: object) -> object:
    if isinstance(answer, BaseModel):
        return without_times(dict(answer))
    if isinstance(answer, list | tuple):
        return [without_chance(each) for each in cast("list[object]", answer)]
    if isinstance(answer, dict):
        return without_times(cast("dict[str, Any]", answer))
    return answer


def without_times(fields: dict[str, Any]) -> dict[str, object]:
    """The fields that do not differ by chance: no times, no numbers or UUIDs of new rows."""
    return {
        name: without_chance(value)
        for name, value in fields.items()
        if name not in OF_CHANCE
        and not (
            name in ("id", "share_id", "feedback_id")
            and (isinstance(value, int) or len(value) > 20)
        )
    }


@pytest.mark.parametrize("name", CALLS)
async def test_calls_of_another_user_return_as_if_the_rows_did_not_exist(
    clients: list[PostgresClient], name: str
) -> None:
    method, arguments = CALLS[name]
    alone, both = [await outcome(client, method, arguments) for client in clients]
    if name in ALLOWED:
        assert isinstance(both, tuple)
        assert both[0] is ALLOWED[name]
        assert "mira" not in both[1]
    else:
        assert both == alone, (
            f"the result of {method} for juno depends on rows of mira: bind user_id in its query, "
            "or add the exception to ALLOWED"
        )


async def test_share_cannot_be_deleted_by_another_user(clients: list[PostgresClient]) -> None:
    _, both = clients
    (share, *_) = await both.list_session_shares_by_session("s-1", user_id="mira")
    arguments = {"token": share.token, "user_id": "juno"}
    assert await outcome(both, "delete_session_share", arguments) is False


async def test_row_comparison_detects_a_change(
    clients: list[PostgresClient],
) -> None:
    _, both = clients
    with pytest.raises(AssertionError):
        await outcome(both, "delete_session", {"id": "s-hers", "user_id": "mira"})
    with pytest.raises(AssertionError):
        await outcome(both, "get_session", {"id": "s-hers", "user_id": "mira"})
    async with both.transaction() as tx:
        found = {row.split()[0] for row in await rows(tx) if "juno" not in row}
    assert found == set(OWNED), "store a row of mira in each table of OWNED (store_all)"
