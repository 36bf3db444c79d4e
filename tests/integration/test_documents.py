"""What the documents say works as written: the README's quickstart, CONTRIBUTING's five steps."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agentrows.cli.migrate import migrations

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(sys.executable).parent


def code_blocks(document: str, language: str) -> list[str]:
    """Return the fenced blocks of a document, without the indentation of a list around them."""
    text = (ROOT / document).read_text()
    found = re.findall(rf"(?ms)^( *)```{language}\n(.*?)^ *```$", text)
    return [re.sub(rf"(?m)^{indent}", "", block) for indent, block in found]


def run(*command: str | Path, folder: Path, **environment: str) -> str:
    """Run a command in a folder and return what it printed; fail with all of it."""
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


def test_the_quickstart_of_the_readme_runs_word_for_word(tmp_path: Path) -> None:
    [quickstart] = code_blocks("README.md", "python")
    (tmp_path / "quickstart.py").write_text(quickstart)

    out = run(sys.executable, "quickstart.py", folder=tmp_path, HOME=str(tmp_path))

    assert '{"text": "Rome?"}' in out


def test_the_readme_names_the_two_commands() -> None:
    commands = "\n".join(code_blocks("README.md", "sh"))

    assert "make demo" in commands
    assert "make test" in commands


def test_demo_answers_its_question_from_the_sample_documents() -> None:
    out = run("agentrows", "demo", folder=ROOT, COLUMNS="100")

    assert re.search(r"0\.\d\d +returns\.md +Returning a bike", out)
    assert "prune_expired_sessions" in out


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a contributor changes."""
    for name in ("src", "migrations", "queries", "tests"):
        shutil.copytree(
            ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "golden")
        )
    for name in ("sqlc.yaml", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_adding_a_table_works_in_the_five_steps_of_contributing(checkout: Path) -> None:
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


def test_every_migrate_command_is_in_the_operators_document_and_no_other_is() -> None:
    text = (ROOT / "docs/operations.md").read_text()
    said = set(re.findall(r"agentrows migrate\s([a-z][a-z-]*)", text))

    commands = {
        command.name or command.callback.__name__
        for command in migrations.registered_commands
        if command.callback
    }
    assert said == commands
