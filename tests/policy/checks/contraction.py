"""The check that the queries of the last release work on the current schema.

During a rollout, replicas of the old release continue. So sqlc compiles the queries of the last
release tag against the current migrations: it fails if they read a column that was removed. `make
verify` runs this.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[3]
RELEASE: Final = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+")


def sqlc(folder: Path, command: str) -> None:
    """Run the sqlc of this environment, with our plugin on its path."""
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(  # noqa: S603  our own command
        [scripts / "sqlc", command], cwd=folder, env={**os.environ, "PATH": path}, check=True
    )


def last_release(root: Path) -> str | None:
    """Return the highest release tag; None if there is none."""
    tags = _git(root, "tag", "--list", "v*", "--sort=-version:refname").decode().split()
    return next((tag for tag in tags if RELEASE.fullmatch(tag)), None)


def check(root: Path, tag: str) -> str | None:
    """Return the problem of the tag's queries on the current migrations; None if all compile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive = _git(root, "archive", "--format=zip", tag, "sqlc.yaml", "queries")
        with zipfile.ZipFile(io.BytesIO(archive)) as release:
            release.extractall(folder)
        shutil.copytree(root / "migrations", folder / "migrations")
        try:
            sqlc(folder, "compile")
        except subprocess.CalledProcessError as error:
            return f"the queries of {tag} do not compile on the current migrations ({error})"
    return None


def main() -> int:
    """Check this repository, print problems and return the exit code."""
    tag = last_release(ROOT)
    if tag is None:
        print("contraction: no release tag yet, nothing to compare")  # noqa: T201
        return 0
    problem = check(ROOT, tag)
    if problem:
        print(problem, file=sys.stderr)  # noqa: T201
    return 1 if problem else 0


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(  # noqa: S603  git with arguments of ours
        ["git", "-C", str(root), *arguments],  # noqa: S607  whichever git is first
        capture_output=True,
        check=True,
    ).stdout


if __name__ == "__main__":
    sys.exit(main())
