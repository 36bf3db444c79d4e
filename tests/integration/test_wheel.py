"""The built wheel, installed in a clean environment, has all that it needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, folder: Path) -> str:
    done = subprocess.run(  # noqa: S603  our own commands
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, folder=ROOT)
    [built] = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def scripts(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of a new environment that holds the wheel and what it depends on."""
    folder = tmp_path_factory.mktemp("clean")
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", folder=folder)
    run(
        *(uv, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"),
        *("--constraint", ROOT / ".ci" / "requirements-dev.txt", f"{wheel}[embedded,codegen]"),
        folder=folder,
    )
    return folder / "venv" / "bin"


def test_the_wheel_holds_the_migrations_and_says_that_it_is_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "agentrows/py.typed" in names
    assert "sqlc_gen_asyncpg/py.typed" in names
    generator = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}
    assert {str(path) for path in generator} <= set(names)
    files = {path.relative_to(ROOT) for path in (ROOT / "migrations").rglob("*.sql")}
    assert files
    assert {f"agentrows/{path}" for path in files} <= set(names)
    assert not [name for name in names if name.startswith("tests/")]


def test_an_installed_wheel_knows_where_a_database_stands(
    scripts: Path, database: str, tmp_path: Path
) -> None:
    out = run(scripts / "agentrows", "migrate", "status", "--dsn", database, folder=tmp_path)

    assert [line.split("\t")[0] for line in out.splitlines()] == [
        "track",
        "core",
        "vector",
        "agentrows",
        "agentrows_vector",
    ]


def test_an_installed_wheel_runs_the_demo(scripts: Path, tmp_path: Path) -> None:
    out = run(scripts / "agentrows", "demo", folder=tmp_path)

    assert "returns.md" in out
    assert "prune_expired_sessions" in out


def test_an_installed_wheel_has_the_generator(scripts: Path) -> None:
    assert (scripts / "sqlc-gen-asyncpg").exists()
    assert (scripts / "sqlc").exists()
