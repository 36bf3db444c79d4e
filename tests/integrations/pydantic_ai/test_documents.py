"""The code of docs/pydantic_ai.md and the example run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

    from agentrows import PostgresClient
    from support.postgres import Server

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "pydantic_ai"
PAGE = (ROOT / "docs" / "pydantic_ai.md").read_text()
PROGRAM, *PARTS = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)


def test_first_program_of_page_runs(
    monkeypatch: pytest.MonkeyPatch, migrated: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")

    exec(PROGRAM, {})  # noqa: S102  the page's own code

    assert capsys.readouterr().out == "2\n"


async def test_parts_of_page_run_one_after_another(
    client: PostgresClient,
    monkeypatch: pytest.MonkeyPatch,
    migrated: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")
    names: dict[str, Any] = {"client": client}
    exec(PROGRAM.replace("asyncio.run(main())", ""), names)  # noqa: S102  the page's own code
    names["store"] = names["ConversationStore"](client, user_id="mira")
    await names["main"]()
    for part in PARTS:
        body = textwrap.indent(part, "    ")
        exec(f"async def part():\n{body}    globals().update(locals())\n", names)  # noqa: S102
        await names["part"]()

    printed = capsys.readouterr().out.splitlines()
    assert {"2", "trip", "other trip"} <= set(printed)
    assert any('"agentrows_history_entry"' in line for line in printed)
    assert await client.list_histories(user_id="mira") == []


def test_example_runs(server: Server, template: str) -> None:
    name = server.create_database(template)
    try:
        done = subprocess.run(  # noqa: S603  our own program
            [sys.executable, EXAMPLE / "app.py", server.dsn(name)],
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        server.drop_database(name)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "mira, trip: 2 messages",
        "juno, trip: 2 messages",
        "mira, trip: 4 messages",
        "saved by another writer",
        "mira, other trip: 4 messages",
    ]
