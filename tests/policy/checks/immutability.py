"""The check that migrations with a hash in migrations/frozen.sum are unchanged.

`python tests/policy/checks/immutability.py` prints one line per problem and exits with 1. A line of
frozen.sum is `<sha256>  core/000001_initial.up.sql`, as sha256sum writes it. In a pull request,
BASE_REF names the base branch: its migrations may not be changed either.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

LINE: Final = re.compile(r"([0-9a-f]{64})  ([a-z_]+/[0-9]{6}_[a-z0-9_]+\.(?:up|down)\.sql)")
FROZEN: Final = "migrations/frozen.sum"

CORRECTED: Final = {
    # It contained CREATE EXTENSION IF NOT EXISTS; corrected before the first release.
    (
        "d20a4058b6f5beba8bdeb5145e94ef67c97ed8f60f084ba6d68524167224f703"
        "  vector/000001_vector_support.up.sql"
    ),
}
"""Lines that frozen.sum once had. After a release nothing is added here."""


class GitError(Exception):
    """Git failed, so the history could not be checked."""


def main() -> int:
    """Check this repository, print problems and return the exit code."""
    root = Path(__file__).resolve().parents[3]
    problems = check(root, base_ref=os.environ.get("BASE_REF") or None)
    for problem in problems:
        print(problem, file=sys.stderr)  # noqa: T201  a command's output
    return 1 if problems else 0


def check(root: Path, *, base_ref: str | None) -> list[str]:
    """Every problem of a repository, as `file: message`."""
    sums = root / FROZEN
    if not sums.is_file():
        return [f"{FROZEN}: is missing"]
    lines = sums.read_text(encoding="utf-8").splitlines()
    frozen = {found[2]: found[1] for found in filter(None, map(LINE.fullmatch, lines))}
    problems = [f"{FROZEN}: not a line: {line!r}" for line in lines if not LINE.fullmatch(line)]
    problems += changed(root / "migrations", frozen)
    problems += numbered_below(root / "migrations", frozen)
    try:
        problems += unfrozen(root, lines)
        problems += changed_since(root, base_ref) if base_ref else []
    except GitError as error:
        problems.append(str(error))
    return problems


def changed(migrations: Path, frozen: dict[str, str]) -> list[str]:
    """Return the frozen files that are missing or changed."""
    problems: list[str] = []
    for name, before in frozen.items():
        path = migrations / name
        if not path.is_file():
            problems.append(f"{name}: is frozen, but missing")
            continue
        now = hashlib.sha256(path.read_bytes()).hexdigest()
        if now != before:
            problems.append(f"{name}: is frozen, but was changed: had {before}, has {now}")
    return problems


def numbered_below(migrations: Path, frozen: dict[str, str]) -> list[str]:
    """New files with a number that databases have passed already."""
    newest: dict[str, str] = {}
    for name in frozen:
        track, _, file = name.partition("/")
        newest[track] = max(newest.get(track, ""), file[:6])
    return [
        f"{name}: is new, but its number is not above the frozen {newest[path.parent.name]}"
        for path in sorted(migrations.glob("*/*.sql"))
        if (name := f"{path.parent.name}/{path.name}") not in frozen
        and path.name[:6] <= newest.get(path.parent.name, "")
    ]


def unfrozen(root: Path, lines: list[str]) -> list[str]:
    """Lines that frozen.sum once had, anywhere in the history, and has no more."""
    if _git(root, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise GitError(f"{FROZEN}: this clone is shallow; clone with the history (fetch-depth: 0)")
    log = _git(root, "log", "--full-history", "-m", "-p", "--format=", "--", FROZEN)
    once = {line[1:] for line in log.splitlines() if re.match(r"[-+][0-9a-f]{64} ", line)}
    return [
        f"{FROZEN}: this line was changed or removed: {line}"
        for line in sorted(once - {*lines} - CORRECTED)
    ]


def changed_since(root: Path, base_ref: str) -> list[str]:
    """Migrations of the base branch that are changed or gone here, committed or not."""
    start = _git(root, "merge-base", base_ref, "HEAD").strip()
    options = ("--name-only", "--no-renames", "--diff-filter=a")
    names = _git(root, "diff", *options, start, "--", "migrations")
    return [
        f"{name.removeprefix('migrations/')}: is on {base_ref}, but was changed"
        for name in names.splitlines()
        if name.endswith(".sql")
        and not any(line.endswith(f"  {name.removeprefix('migrations/')}") for line in CORRECTED)
    ]


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(  # noqa: S603  git with arguments of ours
        ["git", "-C", str(root), *arguments],  # noqa: S607  whichever git is first
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise GitError(f"git {arguments[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
