"""Dependencies: pinned versions, hashes and licences."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from policy.checks import licences, locks

ROOT: Final = Path(__file__).parents[2]
LOCKS: Final = sorted((ROOT / ".ci").glob("requirements*.txt"))
LINE: Final = re.compile(
    r"[A-Za-z0-9._-]+(?:\[[a-z,]+\])?==[A-Za-z0-9.!+]+(?: ; [^\\]+)?"
    r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)
PERMISSIVE: Final = {"Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "PSF-2.0"}
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def unhashed(lock: str) -> str:
    """Return a lock file without comments and without pinned lines that have hashes."""
    return LINE.sub("", re.sub(r"(?m)^#.*\n", "", lock))


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_line_of_a_lock_file_is_one_version_with_hashes(lock: Path) -> None:
    assert LOCKS
    assert unhashed(lock.read_text()) == ""


@pytest.mark.parametrize(
    "line",
    [
        "black==1.0\n",
        "black>=1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n",
        "black==1.0 \\\n    --hash=md5:" + "0" * 32 + "\n",
        "black @ git+ssh://example.com/black\n",
        "--extra-index-url https://example.com\n",
        "-e .\n",
    ],
)
def test_line_without_a_pinned_hash_is_detected(line: str) -> None:
    assert unhashed(line) == line


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_extras_in_a_lock_file_have_lines_that_old_pips_accept(lock: Path) -> None:
    text = lock.read_text()
    names = set(re.findall(r"(?m)^([^ =#]+)==", text))
    wanted = [*PROJECT["project"]["dependencies"]]
    group = lock.stem.removeprefix("requirements-")
    wanted += [one for one in PROJECT["dependency-groups"][group] if isinstance(one, str)]

    assert locks.complete(text) == text, "run `make lock`"
    for requirement in map(Requirement, wanted):
        for extra in requirement.extras:
            assert f"{requirement.name}[{extra}]" in names
    assert {name.split("[")[0] for name in names} <= names


def test_package_with_extras_gets_a_line_for_each_requirement() -> None:
    rest = "==1.0 \\\n    --hash=sha256:" + "0" * 64 + "\n"

    assert locks.complete(f"a[x, y]{rest}b{rest}") == "".join(
        f"{name}{rest}" for name in ("a", "a[x]", "a[y]", "a[x,y]", "b")
    )


def test_every_requirement_is_pinned_to_an_allowed_version() -> None:
    pinned: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, version, _ in licences.PINNED.findall(lock.read_text()):
            pinned.setdefault(canonicalize_name(name), set()).add(version)
    project = PROJECT["project"]
    wanted = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
        *(
            one
            for group in PROJECT["dependency-groups"].values()
            for one in group
            if isinstance(one, str)
        ),
        *PROJECT["build-system"]["requires"],
    ]

    for requirement in map(Requirement, wanted):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        assert any(requirement.specifier.contains(version) for version in versions), requirement


def test_no_framework_is_a_development_dependency() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    frameworks = {
        canonicalize_name(Requirement(one).name)
        for name in licences.ADAPTERS
        for one in extras[name]
    }
    development = {canonicalize_name(name) for name in licences.pinned()}

    assert frameworks
    assert not frameworks & development


def test_every_install_command_requires_hashes() -> None:
    for path in (ROOT / "Makefile", ROOT / ".ci" / "run"):
        for line in path.read_text().splitlines():
            if re.search(r"\b(pip|uv) (pip )?install\b", line):
                assert "--require-hashes" in line or "--no-deps --no-build-isolation" in line, line


def test_list_of_licences_is_complete_and_fresh() -> None:
    text = (ROOT / "docs" / "licences.md").read_text()

    assert text.startswith(licences.document()), "run `make licences`"
    assert "unknown" not in text
    assert all(f"| {name} |" in text for name in licences.pinned())
    # `make integrations` compares these sections, in the environments of the adapters.
    assert all(f"\n## Extra {name}\n" in text for name in licences.ADAPTERS)


def test_no_dependency_of_agentrows_is_copyleft() -> None:
    for title, names in licences.groups().items():
        if title == "Development":
            continue
        for name in names:
            choices = set(licences.licence(name).split(" OR "))
            assert choices & PERMISSIVE, f"{title}: {name} is under {choices}"
        if title == "Run time":
            assert not [name for name in names if licences.bundled(name)]


def test_copyleft_dependency_is_detected() -> None:
    assert licences.licence("pglast") not in PERMISSIVE
    assert "asyncpg" in licences.needed_by(PROJECT["project"]["dependencies"])
    assert "typing-inspection" in licences.needed_by(["pydantic"])


def test_source_imports_no_development_dependency() -> None:
    development = {name.replace("-", "_") for name in licences.groups()["Development"]}
    imported: set[str] = set()
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])

    assert imported & development == set(), "add these to the dependencies of the project"
