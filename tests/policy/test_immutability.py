"""The check that frozen migrations are unchanged, on repositories that break the rule."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from policy.checks import immutability
from policy.checks.immutability import check
from policy.checks.migration_policy import TRACKS

ROOT = Path(__file__).parents[2]
ONE, TWO = "core/000001_one.up.sql", "core/000002_two.up.sql"


class Repository:
    """A git repository with migrations; `freeze` adds their hashes to frozen.sum."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "--quiet", "--initial-branch=main")
        self.write("frozen.sum", "")
        self.write(ONE, "-- One.\n")
        self.write(TWO, "-- Two.\n")
        self.commit()

    def git(self, *arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *identity, *arguments], cwd=self.root, check=True)  # noqa: S603, S607

    def write(self, name: str, text: str) -> None:
        path = self.root / "migrations" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message=x")

    def line(self, name: str) -> str:
        data = (self.root / "migrations" / name).read_bytes()
        return f"{hashlib.sha256(data).hexdigest()}  {name}\n"

    def freeze(self, *names: str) -> None:
        self.write("frozen.sum", "".join(map(self.line, names)))
        self.commit()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_this_repository_has_no_problems() -> None:
    assert check(ROOT, base_ref=None) == []


def test_file_without_a_frozen_hash_may_change(repository: Repository) -> None:
    repository.write(ONE, "-- Other.\n")
    assert check(repository.root, base_ref=None) == []


def test_unchanged_frozen_files_are_accepted(repository: Repository) -> None:
    repository.freeze(ONE)
    repository.freeze(ONE, TWO)
    repository.write("core/000003_three.up.sql", "-- Three.\n")
    repository.write("vector/000001_first.up.sql", "-- First.\n")
    assert check(repository.root, base_ref="main") == []


def test_file_of_every_track_can_be_frozen(repository: Repository) -> None:
    names = [f"{track}/000003_three.up.sql" for track in TRACKS]
    for name in names:
        repository.write(name, "-- Three.\n")
    repository.freeze(ONE, TWO, *names)
    assert check(repository.root, base_ref=None) == []
    for name in names:
        repository.write(name, "-- Other.\n")
    problems = check(repository.root, base_ref=None)
    assert [problem.partition(":")[0] for problem in problems] == names


def test_changed_frozen_file_is_reported(repository: Repository) -> None:
    repository.freeze(ONE)
    repository.write(ONE, "-- Other.\n")
    (problem,) = check(repository.root, base_ref=None)
    assert problem.startswith(f"{ONE}: is frozen, but was changed: ")


def test_missing_frozen_file_is_reported(repository: Repository) -> None:
    repository.freeze(ONE)
    (repository.root / "migrations" / ONE).unlink()
    assert check(repository.root, base_ref=None) == [f"{ONE}: is frozen, but missing"]


def test_file_changed_together_with_its_line_is_reported(repository: Repository) -> None:
    repository.freeze(ONE)
    line = repository.line(ONE).strip()
    repository.write(ONE, "-- Other.\n")
    repository.freeze(ONE)
    assert check(repository.root, base_ref=None) == [
        f"migrations/frozen.sum: this line was changed or removed: {line}"
    ]


def test_removed_line_is_reported(repository: Repository) -> None:
    repository.freeze(ONE, TWO)
    repository.freeze(ONE)
    (problem,) = check(repository.root, base_ref=None)
    assert TWO in problem


def test_line_removed_in_a_merge_is_reported(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "side")
    repository.write("other", "x")
    repository.commit()
    repository.git("switch", "--quiet", "main")
    repository.freeze(ONE)
    repository.git("merge", "--quiet", "--no-ff", "--no-commit", "side")
    repository.write("frozen.sum", "")
    repository.commit()
    (problem,) = check(repository.root, base_ref=None)
    assert ONE in problem


def test_line_removed_without_a_commit_is_reported(repository: Repository) -> None:
    repository.freeze(ONE)
    repository.write("frozen.sum", "")
    (problem,) = check(repository.root, base_ref=None)
    assert ONE in problem


def test_new_file_below_a_frozen_one_is_reported(repository: Repository) -> None:
    repository.freeze(TWO)
    assert check(repository.root, base_ref=None) == [
        f"{ONE}: is new, but its number is not above the frozen 000002"
    ]


def test_second_file_of_a_frozen_number_is_reported(repository: Repository) -> None:
    repository.freeze(ONE, TWO)
    repository.write("core/000002_again.up.sql", "-- Again.\n")
    (problem,) = check(repository.root, base_ref=None)
    assert problem.startswith("core/000002_again.up.sql: is new")


def test_missing_list_of_hashes_is_reported(repository: Repository) -> None:
    (repository.root / "migrations/frozen.sum").unlink()
    assert check(repository.root, base_ref=None) == ["migrations/frozen.sum: is missing"]


def test_malformed_line_is_reported(repository: Repository) -> None:
    repository.write("frozen.sum", "core/000001_one.up.sql\n")
    (problem,) = check(repository.root, base_ref=None)
    assert "not a line" in problem


def test_changed_file_of_the_base_branch_is_reported(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "side")
    repository.write(ONE, "-- Other.\n")
    repository.commit()
    (repository.root / "migrations" / TWO).unlink()
    repository.write("core/000003_three.up.sql", "-- Three.\n")
    assert check(repository.root, base_ref="main") == [
        f"{ONE}: is on main, but was changed",
        f"{TWO}: is on main, but was changed",
    ]
    assert check(repository.root, base_ref=None) == []


def test_file_added_to_the_base_branch_later_is_not_required(repository: Repository) -> None:
    repository.git("switch", "--quiet", "--create", "side")
    repository.git("switch", "--quiet", "main")
    repository.write("core/000003_three.up.sql", "-- Three.\n")
    repository.commit()
    repository.git("switch", "--quiet", "side")
    assert check(repository.root, base_ref="main") == []


def test_shallow_clone_is_an_error(repository: Repository, tmp_path: Path) -> None:
    repository.freeze(ONE)
    shallow = tmp_path / "shallow"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.root}", str(shallow))
    (problem,) = check(shallow, base_ref=None)
    assert "this clone is shallow" in problem


def test_unknown_base_branch_is_an_error(repository: Repository) -> None:
    (problem,) = check(repository.root, base_ref="nowhere")
    assert problem.startswith("git ")


def test_command_prints_problems_and_returns_1(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = str(repository.root / "tests" / "policy" / "checks" / "immutability.py")
    monkeypatch.setattr(immutability, "__file__", script)
    monkeypatch.delenv("BASE_REF", raising=False)
    assert immutability.main() == 0
    repository.freeze(ONE)
    repository.write(ONE, "-- Other.\n")
    assert immutability.main() == 1
    assert ONE in capsys.readouterr().err


def test_command_runs_as_a_script() -> None:
    script = ROOT / "tests/policy/checks/immutability.py"
    environment = {name: value for name, value in os.environ.items() if name != "BASE_REF"}
    done = subprocess.run([sys.executable, script], check=False, env=environment)  # noqa: S603
    assert done.returncode == 0
