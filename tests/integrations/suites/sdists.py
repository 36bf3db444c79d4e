"""Downloads the source distribution that a lock file pins, and unpacks it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from integrations.suites.suite import Suite

ROOT: Final = Path(__file__).parents[3]
CACHE: Final = ROOT / ".cache" / "suites"


def pinned(lock: str, name: str) -> str:
    """Return the line of a distribution in a lock file, with its hashes."""
    found = re.search(rf"^{re.escape(name)}==[^\n]*(?:\n +--hash=[^\n]+)+\n", lock, re.MULTILINE)
    if not found:
        raise LookupError(f"the lock file does not contain {name}")
    return found[0]


def download(lock: Path, name: str) -> Path:
    """Return the archive of a distribution, which pip downloads if it is missing."""
    requirement = pinned(lock.read_text(), name)
    version = requirement.partition("==")[2].split()[0]
    archive = CACHE / f"{name.replace('-', '_')}-{version}.tar.gz"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not archive.exists():
        pins = CACHE / f"{name}.txt"
        pins.write_text(requirement)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
        subprocess.run([*command, "--dest", CACHE, "--requirement", pins], check=True)  # noqa: S603
    return archive


def unpack(suite: Suite, lock: Path) -> Path:
    """Unpack the archive of a suite into a new folder, and append its lines."""
    archive = download(lock, suite.sdist)
    folder = CACHE / suite.name
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    (unpacked,) = folder.iterdir()
    for path, lines in suite.appended.items():
        with (unpacked / path).open("a") as file:
            file.write(f"\n\n{lines}\n")
    return unpacked
