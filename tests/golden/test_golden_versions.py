"""The same request gives the same bytes on every Python that the generator supports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from golden.cases import HERE
from sqlc_gen_asyncpg.check.command import capture

SOURCE = Path(__file__).parents[2] / "src"
VERSIONS = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"


def interpreter(version: str) -> str | None:
    """An interpreter of this version; this one's own environment does not count."""
    found = sorted(VERSIONS.glob(f"{version}.*/bin/python")) if os.access(VERSIONS, os.R_OK) else []
    return str(found[0]) if found else shutil.which(f"python{version}")


def generated(python: str, request: bytes, directory: Path) -> bytes:
    done = subprocess.run(  # noqa: S603  # the commands are those of the test
        [python, "-m", "sqlc_gen_asyncpg", "/plugin.CodegenService/Generate"],
        input=request,
        cwd=directory,
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_writes_the_same_bytes(version: str) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    (request,) = capture(directory=HERE / "wide")
    mine = generated(sys.executable, request, HERE / "wide")
    assert generated(python, request, HERE / "wide") == mine
