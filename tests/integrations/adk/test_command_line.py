"""ADK's command line and server with `--session_service_uri agentrows://…`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from fastapi.testclient import TestClient
from google.adk.cli import service_registry
from google.adk.cli.fast_api import get_fast_api_app
from google.adk.cli.utils.service_factory import create_session_service_from_options

from agentrows import ConfigError
from agentrows.adk import SessionService, create_session_service, register_services
from agentrows.adk.registry import parse_uri
from integrations.adk.events import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS: Final = Path(__file__).parents[2]
AGENT: Final = """
from google.adk.agents import LlmAgent
from integrations.adk.models import ScriptedModel, note

root_agent = LlmAgent(name="travel", model=ScriptedModel(), tools=[note])
"""
IN_PYTHON: Final = """
from agentrows.adk import register_services

register_services()
"""
IN_YAML: Final = """
services:
  - scheme: agentrows
    type: session
    class: agentrows.adk.create_session_service
  - scheme: agentrows
    type: memory
    class: agentrows.adk.create_memory_service
"""


@pytest.fixture(params=["services.py", "services.yaml"])
def agents(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with an agent, and one of the two files that register services."""
    folder = tmp_path / "agents"
    (folder / "travel").mkdir(parents=True)
    (folder / "travel" / "__init__.py").write_text("from . import agent\n")
    (folder / "travel" / "agent.py").write_text(AGENT)
    content = IN_PYTHON if request.param == "services.py" else IN_YAML
    for place in (folder, folder / "travel"):  # `adk web` and `adk run` read different folders
        (place / str(request.param)).write_text(content)
    return folder


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A new registry of ADK, and a database that is not migrated again."""
    monkeypatch.setattr(service_registry, "_service_registry_instance", None)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "verify")
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in [name for name in sys.modules if name.split(".")[0] in ("services", "travel")]:
        del sys.modules[name]


def uri_of(dsn: str) -> str:
    return dsn.replace("postgresql://", "agentrows://", 1)


async def stored_texts(dsn: str, user_id: str) -> list[list[str]]:
    async with SessionService.from_dsn(dsn) as service:
        sessions = (await service.list_sessions(app_name="travel", user_id=user_id)).sessions
        return [
            texts(
                await service.get_session(app_name="travel", user_id=user_id, session_id=session.id)
            )
            for session in sessions
        ]


async def test_run_of_the_command_line_stores_its_session(migrated: str, agents: Path) -> None:
    done = subprocess.run(  # noqa: S603, ASYNC221
        [
            Path(sys.executable).parent / "adk",
            "run",
            "--session_service_uri",
            uri_of(migrated),
            agents / "travel",
            "to Oslo",
        ],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "noted 1" in done.stdout
    assert await stored_texts(migrated, "test_user") == [["to Oslo", "", "", "noted 1"]]


async def test_server_stores_and_lists_and_deletes_sessions(migrated: str, agents: Path) -> None:
    app = get_fast_api_app(agents_dir=str(agents), session_service_uri=uri_of(migrated), web=False)
    sessions = "/apps/travel/users/mira/sessions"
    message = {"role": "user", "parts": [{"text": "to Oslo"}]}
    body: dict[str, Any] = {"app_name": "travel", "user_id": "mira", "new_message": message}
    with TestClient(app) as http:
        for session_id in ("s-1", "s-2"):
            created = http.post(f"{sessions}/{session_id}", json={"user:city": "Bergen"})
            assert created.json()["state"]["user:city"] == "Bergen"
            assert http.post(f"{sessions}/{session_id}").status_code == 409
            answer = http.post("/run", json={**body, "session_id": session_id})
            assert answer.json()[-1]["content"]["parts"][0]["text"] == "noted 1"
        assert {each["id"] for each in http.get(sessions).json()} == {"s-1", "s-2"}
        assert len(http.get(f"{sessions}/s-1").json()["events"]) == 4
        assert http.delete(f"{sessions}/s-2").status_code == 200
        assert http.get(f"{sessions}/s-2").status_code == 404
    assert await stored_texts(migrated, "mira") == [["to Oslo", "", "", "noted 1"]]


def test_registered_scheme_creates_a_service_without_opening_anything(tmp_path: Path) -> None:
    register_services()
    service = create_session_service_from_options(
        base_dir=tmp_path, session_service_uri="agentrows://nobody@localhost:1/none"
    )
    assert isinstance(service, SessionService)


def test_uri_is_a_dsn_with_another_scheme() -> None:
    assert parse_uri("agentrows://u:p%40@h:5432/d?sslmode=require") == (
        "postgresql://u:p%40@h:5432/d?sslmode=require"
    )
    assert parse_uri("agentrows:///d?host=/run") == "postgresql:///d?host=/run"
    assert parse_uri("agentrows://") is None
    for uri in ("postgresql://h/d", "agentrows", ""):
        with pytest.raises(ConfigError, match="agentrows://"):
            parse_uri(uri)
    with pytest.raises(ConfigError, match="no option pool_size"):
        create_session_service("agentrows://", agents_dir="/agents", pool_size=5)
