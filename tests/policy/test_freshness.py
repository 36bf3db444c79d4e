"""The generated code equals a new generation, and contains no other file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from sqlc_gen_asyncpg.check.command import check
from sqlc_gen_asyncpg.render.package import MARK

ROOT: Final = Path(__file__).parents[2]
INPUTS: Final = ("sqlc.yaml", "migrations", "queries")
OUT: Final = Path("src/agentrows/gen")

pytestmark = pytest.mark.slow


def test_generated_code_is_fresh(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(["--fresh", "--file", str(ROOT / "sqlc.yaml")]) == 0, capsys.readouterr().out


def test_every_file_of_the_package_is_generated() -> None:
    files = [path for path in (ROOT / OUT).iterdir() if path.name != "__pycache__"]
    assert files
    assert [path.name for path in files if not path.read_text().startswith(MARK)] == []


def test_stale_missing_and_orphaned_modules_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in (*INPUTS, str(OUT)):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    package = tmp_path / OUT
    module = package / "shares.py"
    module.write_text(module.read_text() + "\n")
    (package / "tasks.py").unlink()
    (tmp_path / "queries" / "agents.sql").unlink()
    (package / "by_hand.py").write_text('"""Not generated."""\n')

    assert check(["--fresh", "--file", str(tmp_path / "sqlc.yaml")]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert f"{package}/agents.py: no query file produces it; delete it" in lines
    assert f"{package}/shares.py: it differs; run sqlc generate" in lines
    assert f"{package}/tasks.py: it is missing; run sqlc generate" in lines
    assert not [line for line in lines if "by_hand" in line]
    assert lines[-1].endswith(f" files checked, {len(lines) - 1} problems")
