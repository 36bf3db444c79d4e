"""The Makefile on machines that lack a requirement."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
OLD_PYTHON: Final = f"""#!{sys.executable}
import sys
assert sys.argv[1] == "-c", "the version has to be checked before anything is created"
sys.version_info = (3, 10, 4, "final", 0)
exec(sys.argv[2])
"""


def make(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        ["make", *arguments],  # noqa: S607
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
    )


def test_old_python_is_refused_before_anything_is_created(tmp_path: Path) -> None:
    old, venv = tmp_path / "python3.10", tmp_path / "venv"
    old.write_text(OLD_PYTHON)
    old.chmod(0o755)

    done = make("demo", f"PYTHON={old}", f"VENV={venv}")

    assert done.returncode == 2
    assert "Python 3.11 or later is needed, this is 3.10" in done.stderr
    assert not venv.exists()


def test_help_lists_every_target() -> None:
    text = (ROOT / "Makefile").read_text().replace("\\\n", " ")
    [targets] = re.findall(r"(?m)^\.PHONY: (.*)$", text)

    listed = [line.split()[0] for line in make("--no-print-directory", "help").stdout.splitlines()]

    assert sorted(listed) == sorted(targets.split())


@pytest.mark.parametrize("family", ["langgraph", "agents"])
def test_each_family_of_frameworks_has_an_environment_of_its_own(family: str) -> None:
    commands = make("-n", f"integrations-{family}").stdout

    assert f".venv-integrations-{family}/bin/mypy " in commands
    assert f"--project tests/integrations/pyright-{family}.json" in commands
    assert f".venv-integrations-{family}/bin/pytest " in commands
    assert f"-m integrations.suites {family}" in commands


def test_environment_of_another_python_is_replaced(tmp_path: Path) -> None:
    # With an empty lock file nothing is installed, which is fast.
    venv, lock = tmp_path / "venv", tmp_path / "lock.txt"
    lock.write_text("")
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "leftover").write_text("of another interpreter")

    recipe = make("-n", venv / ".ready", f"VENV={venv}", f"LOCK={lock}").stdout
    commands = [line for line in recipe.splitlines() if " -m venv " in line]

    assert len(commands) == 1
    subprocess.run(commands[0].replace("python3", sys.executable, 1), shell=True, check=True)  # noqa: S602
    assert (venv / "bin" / "python").exists()
    assert not (venv / "bin" / "leftover").exists()


def test_verify_without_git_reports_that_a_clone_is_needed(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "requirements-dev.txt").touch()
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".ready").touch()

    done = make("verify", folder=tmp_path)

    assert done.returncode == 2
    assert "this folder is not a clone" in done.stderr
