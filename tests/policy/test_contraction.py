"""The check that the last release's queries compile on the current migrations."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from policy.checks.contraction import check, last_release

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True)  # noqa: S603, S607


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """This project's SQL in a git repository with release tags."""
    shutil.copy(ROOT / "sqlc.yaml", tmp_path)
    for name in ("migrations", "queries"):
        shutil.copytree(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    assert last_release(tmp_path) is None
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message=All")
    for tag in ("v0.9.0", "v0.10.0", "v0.11.0rc1", "visible"):
        git(tmp_path, "tag", tag)
    return tmp_path


def test_the_last_release_is_the_highest_number(released: Path) -> None:
    assert last_release(released) == "v0.10.0"


def test_added_column_is_compatible_with_the_release(released: Path) -> None:
    add = released / "migrations" / "core" / "000008_more.up.sql"
    add.write_text("ALTER TABLE feedback ADD COLUMN IF NOT EXISTS agentrows_more TEXT;")
    assert check(released, "v0.10.0") is None


def test_dropped_column_that_the_release_reads_is_reported(
    released: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    drop = released / "migrations" / "core" / "000008_less.up.sql"
    drop.write_text("ALTER TABLE feedback DROP COLUMN IF EXISTS feedback_text;")
    assert "the queries of v0.10.0 do not compile" in str(check(released, "v0.10.0"))
    assert "feedback_text" in capfd.readouterr().err
