"""The same request gives the same bytes on every supported Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden.golden_cases import CASES_FOLDER
from sqlc_gen_asyncpg.check.command import capture

SOURCE = Path(__file__).parents[2] / "src"
VERSIONS = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreter(version: str) -> str | None:
    """Return an interpreter of this version, outside of the current environment."""
    interpreters = (
        sorted(VERSIONS.glob(f"{version}.*/bin/python")) if os.access(VERSIONS, os.R_OK) else []
    )
    return str(interpreters[0]) if interpreters else shutil.which(f"python{version}")


def generated(python: str, request: bytes, directory: Path) -> bytes:
    completed = subprocess.run(  # noqa: S603  # the commands are those of the test
        [python, "-m", "sqlc_gen_asyncpg", "/plugin.CodegenService/Generate"],
        input=request,
        cwd=directory,
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_supported_python_writes_the_same_bytes(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    (request,) = capture(directory=CASES_FOLDER / "wide")
    mine = generated(sys.executable, request, CASES_FOLDER / "wide")
    assert generated(python, request, CASES_FOLDER / "wide") == mine
