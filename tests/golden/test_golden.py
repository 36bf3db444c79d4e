"""The golden packages are what the real sqlc and the plugin write today."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from golden.cases import CASES, HERE, files_of, generate, run

if TYPE_CHECKING:
    from pathlib import Path

# What a linter that selects everything says of text that was written by hand, in SQL.
UNLIKE_HERE = [
    "A002",  # columns are called id
    "COM812",  # the formatter's own choice
    "CPY001",
    "D203",
    "D205",  # comments are as they were written, here and in the next three
    "D213",
    "D400",
    "D401",
    "D415",
    "PLC2401",  # a column with a name in German
    "PLR0913",  # a table has many columns
]


@pytest.mark.parametrize("case", CASES)
def test_a_package_is_generated_byte_for_byte(case: str, tmp_path: Path) -> None:
    made = files_of(generate(case, tmp_path / case))
    expected = files_of(HERE / case / "expected" / f"gen_{case}")
    assert sorted(made) == sorted(expected)
    for name, contents in made.items():
        assert contents.decode() == expected[name].decode(), f"{case}/{name}"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_hash_seed_changes_nothing(seed: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(HERE / "basics", source, ignore=shutil.ignore_patterns("expected"))
    config = (source / "sqlc.yaml").read_text()
    seeded = config.replace("    process:", "    env: [PYTHONHASHSEED]\n    process:")
    assert seeded != config
    (source / "sqlc.yaml").write_text(seeded)
    done = run(source, "sqlc", "generate", environment={"PYTHONHASHSEED": seed})
    assert done.returncode == 0, done.stderr
    expected = files_of(HERE / "basics" / "expected" / "gen_basics")
    assert files_of(source / "expected" / "gen_basics") == expected


@pytest.mark.parametrize("case", CASES)
def test_no_generated_module_says_any_or_imports_the_driver(case: str) -> None:
    for path in (HERE / case / "expected" / f"gen_{case}").glob("*.py"):
        tree = ast.parse(path.read_text())
        names = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
        assert "Any" not in names
        if path.name != "pgdriver.py":  # ranges and bits are the driver's own classes
            assert "asyncpg" not in {each.split(".")[0] for each in _imports(tree)}


def _imports(tree: ast.Module) -> list[str]:
    plain = [each for each in ast.walk(tree) if isinstance(each, ast.Import)]
    named = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
    names = [alias.name for each in plain for alias in each.names]
    return [*names, *(each.module or "" for each in named if not each.level)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All packages side by side, and the modules that use them."""
    directory = tmp_path_factory.mktemp("packages")
    for case in CASES:
        shutil.copytree(HERE / case / "expected", directory, dirs_exist_ok=True)
    return directory


def test_the_packages_are_formatted(packages: Path) -> None:
    done = run(packages, "ruff", "format", "--isolated", "--line-length", "100", "--diff", ".")
    assert done.returncode == 0, done.stdout


def test_the_packages_are_clean_for_the_linter(packages: Path) -> None:
    ignored = ",".join(UNLIKE_HERE)
    selection = ["--select", "ALL", "--ignore", ignored]
    width = ["--line-length", "100", "--target-version", "py311"]
    done = run(packages, "ruff", "check", "--isolated", *width, *selection, ".")
    assert done.returncode == 0, done.stdout


def test_mypy_accepts_the_packages_and_their_use(packages: Path) -> None:
    done = run(packages, "mypy", "--strict", "--config-file", "", "--cache-dir", ".mypy", ".")
    assert done.returncode == 0, done.stdout


def test_pyright_accepts_the_packages_and_their_use(packages: Path) -> None:
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": ["."]}
    (packages / "pyrightconfig.json").write_text(json.dumps(config))
    done = run(packages, "pyright", "--pythonpath", sys.executable, "--warnings")
    assert done.returncode == 0, done.stdout


def test_the_plugin_loads_nothing_slow(tmp_path: Path) -> None:
    """It takes 0.35 s for 91 queries; pydantic alone would take 0.2, a SQL parser 0.4."""
    code = "import sys, sqlc_gen_asyncpg.__main__; print(*sys.modules)"
    loaded = set(run(tmp_path, "python", "-c", code).stdout.split())
    assert "sqlc_gen_asyncpg.build.package" in loaded
    assert not loaded & {"asyncpg", "pydantic", "sqlglot"}
