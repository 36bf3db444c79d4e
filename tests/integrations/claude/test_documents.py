"""The code of docs/claude.md and the example run as printed."""

from __future__ import annotations

import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from claude_agent_sdk import project_key_for_directory

if TYPE_CHECKING:
    import pytest

    from agentrows import PostgresClient
    from support.postgres import Server

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "claude"
PAGE = (ROOT / "docs" / "claude.md").read_text()
PROGRAM, *PARTS = re.findall(r"(?ms)^```python\n(.*?)^```$", PAGE)


def with_small_cli(program: str, config_dir: Path) -> str:
    """Return a program of the page with the CLI of the example, which needs no network."""
    cli_path, env = str(EXAMPLE / "small_cli.py"), {"CLAUDE_CONFIG_DIR": str(config_dir)}
    return program.replace(
        "ClaudeAgentOptions(", f"ClaudeAgentOptions(cli_path={cli_path!r}, env={env!r}, "
    )


def test_first_program_of_page_runs(
    monkeypatch: pytest.MonkeyPatch,
    migrated: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")

    exec(with_small_cli(PROGRAM, tmp_path), {})  # noqa: S102  the page's own code

    assert capsys.readouterr().out == "That was question 1.\n"


async def test_parts_of_page_run_one_after_another(
    client: PostgresClient,
    monkeypatch: pytest.MonkeyPatch,
    migrated: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", migrated)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "off")
    names: dict[str, Any] = {"client": client}
    exec(PROGRAM.replace("asyncio.run(main())", ""), names)  # noqa: S102  the page's own code
    for part in PARTS:
        body = textwrap.indent(with_small_cli(part, tmp_path), "    ")
        exec(f"async def part():\n{body}    globals().update(locals())\n", names)  # noqa: S102
        await names["part"]()

    printed = capsys.readouterr().out.splitlines()
    assert "Two days in Rome." in printed
    assert await client.list_transcripts(project_key_for_directory(), user_id="mira") == []


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
        "mira: That was question 1.",
        "juno: That was question 1.",
        "mira: That was question 2.",
        "session of mira: A train to Rome?",
        "0 sessions of mira",
    ]
