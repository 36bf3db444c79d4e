"""The check that the generated code is the output of sqlc for the current SQL.

`sqlc diff` shows a changed file, but neither a missing one nor an orphan; so both the bytes and the
set of files are compared with a generation into an empty folder. `make verify` runs this.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[3]
INPUTS = ("sqlc.yaml", "migrations", "queries")
OUT = Path("src/agentrows/gen")


def check(root: Path) -> list[str]:
    """Return a line for each file in `root` that is stale, missing or an orphan."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        for name in INPUTS:
            source = root / name
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, fresh / name)
        sqlc(fresh, "generate")
        return compare(expected=fresh / OUT, actual=root / OUT)


def compare(*, expected: Path, actual: Path) -> list[str]:
    """Return a line for each difference between two folders of generated code."""
    wanted = {path.name: path.read_bytes() for path in expected.iterdir()}
    found = {path.name: path.read_bytes() for path in actual.glob("*.*")}
    return [
        *(f"{OUT / name}: missing" for name in sorted(wanted.keys() - found.keys())),
        *(f"{OUT / name}: no query generates it" for name in sorted(found.keys() - wanted)),
        *(
            f"{OUT / name}: stale"
            for name in sorted(wanted.keys() & found.keys())
            if wanted[name] != found[name]
        ),
    ]


def sqlc(folder: Path, command: str) -> None:
    """Run the sqlc of this environment, with our plugin on its path."""
    scripts = Path(sys.executable).parent
    path = f"{scripts}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(  # noqa: S603  our own command
        [scripts / "sqlc", command], cwd=folder, env={**os.environ, "PATH": path}, check=True
    )


def main() -> int:
    """Print the differences; return 1 if there are any."""
    problems = check(ROOT)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201  a command's output
    if problems:
        print("run `make generate` and commit the result", file=sys.stderr)  # noqa: T201
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
