"""The check that the generated code equals a new generation, file by file."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from policy.checks.freshness import INPUTS, OUT, ROOT, check

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that the check compares."""
    for name in (*INPUTS, str(OUT)):
        source, target = ROOT / name, tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return tmp_path


def test_generated_code_is_fresh() -> None:
    assert check(ROOT) == []


def test_stale_file_is_reported(copy: Path) -> None:
    module = copy / OUT / "agents.py"
    module.write_text(module.read_text() + "\n")

    assert check(copy) == [f"{OUT}/agents.py: stale"]


def test_missing_file_is_reported(copy: Path) -> None:
    (copy / OUT / "agents.py").unlink()

    assert check(copy) == [f"{OUT}/agents.py: missing"]


def test_file_without_a_query_is_reported(copy: Path) -> None:
    (copy / "queries" / "agents.sql").unlink()

    assert f"{OUT}/agents.py: no query generates it" in check(copy)
