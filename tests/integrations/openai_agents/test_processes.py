"""Runs in processes of their own: one is killed, another one continues the session."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from integrations.openai_agents.turns import STOPPED, open_session
from support.processes import run_module

if TYPE_CHECKING:
    from pathlib import Path

MODULE = "integrations.openai_agents.turns"
FIRST_TURN = ["user", "message"]
CALL = ["function_call", "function_call_output"]


@pytest.fixture(params=["agentrows", "sqlite"])
def store(request: pytest.FixtureRequest, migrated: str, tmp_path: Path) -> str:
    """The DSN of a database, or the file of the SDK's own session as a check of the tests."""
    return migrated if request.param == "agentrows" else str(tmp_path / "sessions.db")


async def types_in(store: str) -> list[str]:
    """Return the types of the stored items."""
    async with open_session(store) as session:
        items: list[Any] = await session.get_items()
    return [str(item.get("type") or item["role"]) for item in items]


@pytest.mark.parametrize(
    ("stop_at", "second_turn"),
    [("model 1", ["user"]), ("tool", ["user"]), ("model 2", ["user", *CALL])],
)
async def test_session_of_a_killed_process_continues_in_another(
    store: str, stop_at: str, second_turn: list[str]
) -> None:
    async with run_module(MODULE, store, stop_at, "one", "call look_up two") as first:
        assert json.loads(await first.read_line())["answer"] == "one"
        assert await first.read_line() == STOPPED
        await first.kill()
    stored = [*FIRST_TURN, *second_turn]
    assert await types_in(store) == stored

    async with run_module(MODULE, store, "", "three") as second:
        turn = json.loads(await second.read_line())

    results = ["", "<two>"] if stop_at == "model 2" else []
    assert turn["seen"] == ["one", "one", "call look_up two", *results, "three"]
    assert turn["answer"] == "one | call look_up two | three"
    assert await types_in(store) == [*stored, "user", "message"]


async def test_call_that_waits_for_approval_is_approved_in_another_process(store: str) -> None:
    async with run_module(MODULE, store, "", "one", "call pay two") as first:
        await first.read_line()
        state = json.loads(await first.read_line())["state"]
        await first.kill()
    assert await types_in(store) == [*FIRST_TURN, "user", "function_call"]

    async with run_module(MODULE, store, "", state) as second:
        assert json.loads(await second.read_line())["answer"] == "tool: paid two"

    assert await types_in(store) == [*FIRST_TURN, "user", *CALL, "message"]
