"""The blocks of docs/adk.md and the example run as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from agentrows import PostgresClient, Settings
from agentrows.adk import SessionService, create_memory_service, create_session_service
from integrations.adk.events import event, get
from integrations.adk.models import make_runner

ROOT: Final = Path(__file__).parents[3]
DOCUMENT: Final = (ROOT / "docs" / "adk.md").read_text()


def blocks(language: str) -> list[str]:
    """The fenced blocks of the document."""
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", DOCUMENT)


async def test_blocks_of_the_document_run_as_printed(migrated: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/adk.md", "exec", dont_inherit=True), names)  # noqa: S102
    async with PostgresClient.open(migrated, migrations="off") as client:
        service = SessionService(client)
        app = make_runner(service).app
        assert await names["answer"](migrated, app, "turn") == ["noted 1"]
        stale = await get(service, "s-41", app_name="travel")
        await service.append_event(await get(service, "s-41", app_name="travel"), event())
        await names["mark_as_paid"](service, stale)
        await names["rate"](client, stale, event("rated"))
        session = await get(service, "s-41", app_name="travel")
        assert session.state["paid"] is True
        assert len(session.events) == 4 + 3
        assert len(await client.list_feedback(user_id="mira")) == 1
        await names["remember"](migrated, session)
    own = Settings(memory_table="agentrows", memory_model="words", migrations="off")
    async with PostgresClient.open(migrated, settings=own) as client:
        memories = await client.list_agent_memories(agent_name="travel", user_id="mira")
        assert "rated" in {memory.content for memory in memories}
    assert names["RECENT"].get_session_config.num_recent_events == 50


def test_services_of_the_yaml_block_exist() -> None:
    [block] = blocks("yaml")
    classes = re.findall(r"(?m)^    class: ([\w.]+)\.(\w+)$", block)
    assert [getattr(sys.modules[module], name) for module, name in classes] == [
        create_session_service,
        create_memory_service,
    ]


def test_example_remembers_an_earlier_session(migrated: str) -> None:
    done = subprocess.run(  # noqa: S603  our own example
        [sys.executable, str(ROOT / "examples" / "adk" / "memory_agent.py")],
        env={**os.environ, "AGENTROWS_DATABASE_URL": migrated, "AGENTROWS_MIGRATIONS": "verify"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "> I always want a window seat.",
        "I know nothing about that.",
        "> Which seat do I prefer?",
        "You said: I always want a window seat.",
    ]


def test_example_goes_on_with_its_session_in_a_new_client(migrated: str) -> None:
    done = subprocess.run(  # noqa: S603  our own example
        [sys.executable, str(ROOT / "examples" / "adk" / "travel_agent.py")],
        env={**os.environ, "AGENTROWS_DATABASE_URL": migrated, "AGENTROWS_MIGRATIONS": "verify"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "> Book a trip to Oslo.",
        "Booked. Your trips: Oslo.",
        "> And one to Rome.",
        "Booked. Your trips: Oslo, Rome.",
        "8 events, state: {'last_city': 'Rome', 'user:trips': ['Oslo', 'Rome']}",
    ]
