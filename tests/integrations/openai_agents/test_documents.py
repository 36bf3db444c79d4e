"""The code of docs/openai_agents.md and the example run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from agents import MultiProvider

from integrations.openai_agents.models import FakeModel
from integrations.suites.pins import SESSIONS

if TYPE_CHECKING:
    from agentrows import PostgresClient
    from support.postgres import Server

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "openai_agents.md").read_text()
PROGRAM, *PARTS = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, migrated: str) -> FakeModel:
    """The model of agents that name none, and the database of clients without a DSN."""
    model = FakeModel()

    def get_model(*_: object) -> FakeModel:
        return model

    monkeypatch.setattr(MultiProvider, "get_model", get_model)
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")
    return model


def names_of_program() -> dict[str, Any]:
    """Return the names that the first block of the page defines, without running its agent."""
    names: dict[str, Any] = {}
    exec(PROGRAM.replace("asyncio.run(main())", ""), names)  # noqa: S102  the page's own code
    return names


def test_first_program_of_page_runs(model: FakeModel, capsys: pytest.CaptureFixture[str]) -> None:
    exec(PROGRAM, {})  # noqa: S102  the page's own code

    assert capsys.readouterr().out == "Two days in Rome.\n"
    assert model.calls == 1


async def test_parts_of_page_run_one_after_another(
    model: FakeModel, client: PostgresClient, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {**names_of_program(), "client": client}
    for part in PARTS:
        body = textwrap.indent(part, "    ")
        exec(f"async def part():\n{body}    globals().update(locals())\n", names)  # noqa: S102
        await names["part"]()

    assert model.calls == 3
    assert "trip-42" in capsys.readouterr().out
    sessions = await client.list_sessions(user_id="mira")
    assert {session.id for session in sessions} == {"trip-41", "trip-42", "trip-43", "trip-44"}


def test_page_states_the_pinned_counts() -> None:
    failing = sum(group.count for group in SESSIONS.failing)
    assert f"{SESSIONS.passed} pass, and {failing}\nare listed" in PAGE


def test_example_runs(server: Server, template: str) -> None:
    name = server.create_database(template)
    app = ROOT / "examples" / "openai_agents" / "app.py"
    try:
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, app, server.dsn(name)], capture_output=True, text=True, check=False
        )
    finally:
        server.drop_database(name)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "mira: Take the train at 09:14 to Rome, platform 5.",
        "juno: Take the train at 09:14 to Oslo, platform 5.",
        "mira: That was question 2.",
        "6 items of mira",
        "conversation trip-41",
        "0 items of mira",
    ]
