"""The golden packages equal the output of the real sqlc with the plugin."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from golden.golden_cases import (
    CASES,
    CASES_FOLDER,
    STATIC_MODULES,
    TEMPLATES,
    assert_same_files,
    expected_files,
    files_of,
    generate,
    run,
    write_expected,
)

if TYPE_CHECKING:
    from pathlib import Path

# Rules that names and comments of the SQL break, and that do not concern generated code.
IGNORED_RULES = [
    "A002",  # a column named id
    "COM812",  # the formatter's own choice
    "CPY001",
    "D203",
    "D205",  # SQL comments are copied unchanged, here and in the next three
    "D213",
    "D400",
    "D401",
    "D415",
    "PLC2401",  # a column with a name in German
    "PLR0913",  # a table has many columns
]


@pytest.mark.parametrize("case", CASES)
def test_generated_package_equals_expected_files(case: str, tmp_path: Path) -> None:
    assert_same_files(files_of(generate(case, tmp_path / case)), expected_files(case))


def test_every_template_is_compared_in_some_case() -> None:
    listed = {
        name
        for case in CASES
        for name in (CASES_FOLDER / case / "expected" / f"gen_{case}" / STATIC_MODULES)
        .read_text()
        .split()
    }
    assert listed == {path.name.removesuffix(".txt") for path in TEMPLATES.glob("*.py.txt")}


@pytest.mark.parametrize("seed", ["1", "2"])
def test_hash_seed_does_not_change_the_output(seed: str, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(CASES_FOLDER / "basics", source, ignore=shutil.ignore_patterns("expected"))
    config = (source / "sqlc.yaml").read_text()
    seeded = config.replace("    process:", "    env: [PYTHONHASHSEED]\n    process:")
    assert seeded != config
    (source / "sqlc.yaml").write_text(seeded)
    completed = run(source, "sqlc", "generate", environment={"PYTHONHASHSEED": seed})
    assert completed.returncode == 0, completed.stderr
    assert files_of(source / "expected" / "gen_basics") == expected_files("basics")


@pytest.mark.parametrize("case", CASES)
def test_generated_modules_contain_no_any_and_no_driver_import(case: str) -> None:
    for name, contents in expected_files(case).items():
        tree = ast.parse(contents)
        names = {each.id for each in ast.walk(tree) if isinstance(each, ast.Name)}
        assert "Any" not in names
        if name != "pgdriver.py":  # ranges and bits are the driver's own classes
            assert "asyncpg" not in {each.split(".")[0] for each in _imports(tree)}


def _imports(tree: ast.Module) -> list[str]:
    plain = [each for each in ast.walk(tree) if isinstance(each, ast.Import)]
    named = [each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)]
    names = [alias.name for each in plain for alias in each.names]
    return [*names, *(each.module or "" for each in named if not each.level)]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all packages, and the modules that use them."""
    directory = tmp_path_factory.mktemp("packages")
    for case in CASES:
        write_expected(case, directory)
    return directory


def test_generated_packages_pass_ruff_format(packages: Path) -> None:
    completed = run(packages, "ruff", "format", "--isolated", "--line-length", "100", "--diff", ".")
    assert completed.returncode == 0, completed.stdout


def test_generated_packages_pass_the_linter(packages: Path) -> None:
    ignored = ",".join(IGNORED_RULES)
    selection = ["--select", "ALL", "--ignore", ignored]
    width = ["--line-length", "100", "--target-version", "py311"]
    completed = run(packages, "ruff", "check", "--isolated", *width, *selection, ".")
    assert completed.returncode == 0, completed.stdout


def test_mypy_accepts_generated_packages_and_their_use(packages: Path) -> None:
    completed = run(packages, "mypy", "--strict", "--config-file", "", "--cache-dir", ".mypy", ".")
    assert completed.returncode == 0, completed.stdout


def test_pyright_accepts_generated_packages_and_their_use(packages: Path) -> None:
    config = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "include": ["."]}
    (packages / "pyrightconfig.json").write_text(json.dumps(config))
    completed = run(packages, "pyright", "--pythonpath", sys.executable, "--warnings")
    assert completed.returncode == 0, completed.stdout


def test_plugin_imports_no_slow_module(tmp_path: Path) -> None:
    """91 queries take 0.35 s; importing pydantic takes 0.2 s, and sqlglot 0.4 s."""
    code = "import sys, sqlc_gen_asyncpg.__main__; print(*sys.modules)"
    loaded = set(run(tmp_path, "python", "-c", code).stdout.split())
    assert "sqlc_gen_asyncpg.build.package" in loaded
    assert not loaded & {"asyncpg", "pydantic", "sqlglot"}
