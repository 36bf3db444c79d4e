"""Completes a lock file that uv wrote, so that pip 23 installs it with `--require-hashes`.

uv writes one line per package, `google-auth[pyopenssl, requests]==2.62.2`. To pip 23, which Python
3.11 ships, `google-auth[pyopenssl]` is another requirement than that, and one without a hash. So
a package with extras gets a line without them, one for each extra, and one with all of them.

    python tests/policy/checks/locks.py .ci/requirements-dev.txt
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

BLOCK: Final = re.compile(
    r"^(?P<name>[A-Za-z0-9._-]+)(?:\[(?P<extras>[^\]]+)\])?"
    r"(?P<rest>==[^\n]*\\\n(?: +--hash=[^\n]+\n)+)",
    re.MULTILINE,
)


def complete(lock: str) -> str:
    """Return a lock file with a line for each way to require an extra."""
    extras: dict[tuple[str, str], set[str]] = {}
    for found in BLOCK.finditer(lock):
        wanted = extras.setdefault((found["name"], found["rest"]), set())
        wanted |= {extra.strip() for extra in (found["extras"] or "").split(",")} - {""}
    head = "".join(line for line in lock.splitlines(keepends=True) if line.startswith("#"))
    return head + "".join(
        f"{name}{each}{rest}" for (name, rest), known in extras.items() for each in _forms(known)
    )


def _forms(extras: set[str]) -> list[str]:
    """Return the forms of a requirement: no extras, each one alone, and all of them."""
    names = sorted(extras)
    forms = ["", *(f"[{name}]" for name in names)]
    return [*forms, f"[{','.join(names)}]"] if len(names) > 1 else forms


def main() -> None:
    """Complete the files that the command line names."""
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(complete(path.read_text()))


if __name__ == "__main__":
    main()
