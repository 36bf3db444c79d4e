"""The README's quickstart and CONTRIBUTING's five steps run as printed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentrows.cli.migrate import migrations

if TYPE_CHECKING:
    from agentrows import PostgresClient

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent


def code_blocks(document: str, language: str) -> list[str]:
    """Return the fenced blocks of a document, without the indentation of a list around them."""
    text = (ROOT / document).read_text()
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^ *```$", text)
    return [re.sub(rf"(?m)^{indent}", "", block) for indent, block in found]


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command in a folder and return its output; fail with the output on an error."""
    path = f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S603  our own commands
        command,
        cwd=folder,
        env={**os.environ, "PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_quickstart_of_readme_runs_as_printed(tmp_path: Path) -> None:
    [quickstart] = code_blocks("README.md", "python")
    (tmp_path / "quickstart.py").write_text(quickstart)

    # Under root the default data is not in the home folder; a test leaves nothing of its own there.
    state = Path(tempfile.mkdtemp(prefix="agentrows-readme-"))
    state.chmod(0o755)
    code = (
        "import pathlib, runpy, sys\n"
        "from agentrows.db import embedded_root\n"
        "embedded_root.STATE_FOLDER = pathlib.Path(sys.argv[1])\n"
        "runpy.run_path('quickstart.py', run_name='__main__')\n"
    )
    try:
        out = run(sys.executable, "-c", code, state, folder=tmp_path, HOME=str(tmp_path))
    finally:
        shutil.rmtree(state)

    assert '{"text": "Rome?"}' in out


def test_readme_contains_both_install_commands() -> None:
    commands = "\n".join(code_blocks("README.md", "sh"))

    assert "make demo" in commands
    assert "make test" in commands


def test_demo_answers_its_question_from_the_sample_documents() -> None:
    out = run("agentrows", "demo", folder=ROOT, COLUMNS="100")

    assert re.search(r"0\.\d\d +returns\.md +Returning a bike", out)
    assert "prune_expired_sessions" in out


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the files that a contributor changes."""
    for name in ("src", "migrations", "queries", "tests"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "golden")
        )
    for name in ("sqlc.yaml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_five_steps_of_contributing_add_a_table(checkout: Path) -> None:
    steps = [
        *code_blocks("CONTRIBUTING.md", "sql"),
        *code_blocks("CONTRIBUTING.md", "python"),
    ]
    assert len(steps) == 5
    number = f"{len(list((ROOT / 'migrations/agentrows').glob('*.up.sql'))) + 1:06}"
    for step in steps:
        first, _, rest = step.partition("\n")
        (checkout / first.lstrip("-# ").replace("NNNNNN", number)).write_text(rest)

    run("sqlc", "generate", folder=checkout)

    package = str(checkout / "src")
    run("mypy", "src/agentrows", folder=checkout, MYPYPATH=package)
    run("pytest", "-q", "tests/integration/test_notes.py", folder=checkout, PYTHONPATH=package)
    run("pytest", "-q", "tests/policy/test_migrations.py", folder=checkout, PYTHONPATH=package)


def test_operations_document_lists_exactly_the_migrate_commands() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    documented = set(re.findall(r"agentrows migrate\s([a-z][a-z-]*)", text))

    commands = {
        command.name or command.callback.__name__
        for command in migrations.registered_commands
        if command.callback
    }
    assert documented == commands


async def test_http_example_of_pages_returns_each_session_once(client: PostgresClient) -> None:
    (example,) = code_blocks("docs/pages.md", "python")
    scope: dict[str, Any] = {}
    exec(example, scope)  # noqa: S102  the document's own code
    list_sessions = scope["list_sessions"]
    for n in range(70):
        await client.store_session(f"s-{n}", user_id="mira")

    status, body = await list_sessions(client, "mira", {})
    first = json.loads(body)
    query = {"page_token": first["next_page_token"]}
    second = json.loads((await list_sessions(client, "mira", query))[1])

    assert status == 200
    assert len({row["id"] for row in first["sessions"] + second["sessions"]}) == 70
    assert second["next_page_token"] is None
    assert (await list_sessions(client, "juno", query))[0] == 400
