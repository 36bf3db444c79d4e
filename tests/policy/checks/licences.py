"""Writes docs/licences.md: the licence of each distribution, as its own metadata gives it.

`python tests/policy/checks/licences.py` prints the page of the development environment, and
`python tests/policy/checks/licences.py adapters` the sections of the adapters whose frameworks are
installed; `make licences` writes the file from all environments.
"""

from __future__ import annotations

import re
import sys
import tomllib
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT: Final = Path(__file__).parents[3]
LOCK: Final = ROOT / ".ci" / "requirements-dev.txt"
PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; ([^\\]+))?", re.MULTILINE)
# The extras that need a framework, which only the environments of `make integrations` contain.
ADAPTERS: Final = ("a2a", "adk", "claude", "langgraph", "openai-agents", "pydantic-ai")
CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
HEAD: Final = """# Licences

Dependencies of agentrows, of its extras, and of its development. `make licences` writes this page
from the metadata of each distribution, on Linux. A test checks that the page is fresh, and that no
dependency of agentrows or its extras is copyleft.
"""
BUNDLED: Final = """## Libraries in wheels

Metadata does not contain the licences of libraries inside of a wheel. Libraries of other projects
are listed here. libreadline is under the GPL 3: the `psql` of the embedded server uses it, which
agentrows does not run; an image with the extra `embedded` distributes it too.

| distribution | libraries |
|---|---|"""


def licence(name: str) -> str:
    """Return the licence of an installed distribution: its SPDX expression, if it has one."""
    found = metadata.metadata(name).json
    if expression := found.get("license_expression"):
        return str(expression)
    classifiers = [str(one) for one in found.get("classifier", ())]
    named = [one.rpartition(" :: ")[2] for one in classifiers if one.startswith("License ::")]
    if named:
        return " OR ".join(sorted({CLASSIFIERS.get(one, one) for one in named}))
    return str(found.get("license", "unknown")).splitlines()[0]


def needed_by(requirements: Iterable[str]) -> set[str]:
    """Return these distributions and all their requirements, by canonical name."""
    found: set[str] = set()
    waiting = [(Requirement(one), "") for one in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        name = canonicalize_name(requirement.name)
        extras = requirement.extras or {""}
        if name in found and extras == {""}:
            continue
        found.add(name)
        needs = [Requirement(one) for one in metadata.requires(name) or ()]
        waiting += [(one, of) for one in needs for of in extras]
    return found


def pinned() -> dict[str, str]:
    """Return each pinned distribution's version, by canonical name."""
    return {
        canonicalize_name(name): version
        for name, version, marker in PINNED.findall(LOCK.read_text())
        if not marker or Requirement(f"x ; {marker}").marker.evaluate()  # type: ignore[union-attr]  # pyright: ignore[reportOptionalMemberAccess]
    }


def groups() -> dict[str, set[str]]:
    """Return the distributions of run time, of each extra and of development, each only once."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {"Run time": needed_by(project["dependencies"])}
    for extra, requirements in sorted(project["optional-dependencies"].items()):
        if extra not in ADAPTERS:
            found[f"Extra {extra}"] = needed_by(requirements) - found["Run time"]
    found["Development"] = set(pinned()) - set[str]().union(*found.values())
    return found


def adapter_groups() -> dict[str, set[str]]:
    """Return the distributions of each extra whose framework is installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = needed_by(project["dependencies"])
    found: dict[str, set[str]] = {}
    for extra in ADAPTERS:
        with suppress(metadata.PackageNotFoundError):
            requirements = project["optional-dependencies"][extra]
            found[f"Extra {extra}"] = needed_by(requirements) - runtime
    return found


def bundled(name: str) -> set[str]:
    """Return the shared libraries in a distribution's wheel, without their hashes."""
    files = metadata.files(name) or ()
    return {
        file.name.partition("-")[0]
        for file in files
        if file.parts[0].endswith((".libs", ".dylibs"))
    }


def section(title: str, names: Iterable[str]) -> str:
    """Return a table of distributions and their licences."""
    rows = [f"| {name} | {licence(name)} |" for name in sorted(names)]
    return "\n".join((f"## {title}\n", "| distribution | licence |", "|---|---|", *rows))


def document() -> str:
    """Return the text of docs/licences.md, without the sections of the adapters."""
    parts = [HEAD, *(section(title, names) for title, names in groups().items())]
    rows = [
        f"| {name} | {', '.join(sorted(bundled(name)))} |" for name in pinned() if bundled(name)
    ]
    parts.append("\n".join((BUNDLED, *sorted(rows))))
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def adapters() -> str:
    """Return the sections of the adapters whose frameworks are installed here."""
    return "".join(f"\n{section(title, names)}\n" for title, names in adapter_groups().items())


if __name__ == "__main__":
    print(adapters() if sys.argv[1:] == ["adapters"] else document(), end="")  # noqa: T201
