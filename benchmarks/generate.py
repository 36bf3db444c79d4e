"""The time of `sqlc generate` for this project, and the part of our plugin.

The plugin's part is timed as sqlc runs it: a process that reads the request, which is recorded from
sqlc before, and writes the response.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from conductor import Options
    from server import Server

ROOT: Final = Path(__file__).parents[1]
SCRIPTS: Final = Path(sys.executable).parent
PLUGIN: Final = "sqlc-gen-asyncpg"
TARGET_S: Final = 0.4
KEEP_REQUEST: Final = """#!/bin/sh
tee {request} | {plugin} "$@"
"""


def measure(_server: Server, options: Options) -> dict[str, Any]:
    """Return the median times of sqlc in all and of the plugin, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source in ("sqlc.yaml", "migrations", "queries"):
            copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
            copy(ROOT / source, folder / source)
        request = keep_request(folder)
        whole, part = [], []
        for _ in range(options.rounds):
            whole.append(seconds(lambda: sqlc(folder, SCRIPTS)))
            part.append(seconds(lambda: plugin(request)))
    return {
        "kind": "generation",
        "title": "make generate",
        "seconds": {
            "sqlc generate, all of it": statistics.median(whole),
            "our plugin, from its start to its end": statistics.median(part),
        },
        "plugin_s": statistics.median(part),
        "target_s": TARGET_S,
    }


def keep_request(folder: Path) -> bytes:
    """Generate once with a plugin that records the request; return it."""
    scripts = folder / "bin"
    scripts.mkdir()
    script = scripts / PLUGIN
    kept = folder / "request"
    script.write_text(KEEP_REQUEST.format(request=kept, plugin=SCRIPTS / PLUGIN))
    script.chmod(0o755)
    sqlc(folder, scripts)
    return kept.read_bytes()


def sqlc(folder: Path, scripts: Path) -> None:
    """Run sqlc with the plugin of this folder."""
    path = f"{scripts}{os.pathsep}{SCRIPTS}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(  # noqa: S603  our own command
        [SCRIPTS / "sqlc", "generate"], cwd=folder, env={**os.environ, "PATH": path}, check=True
    )


def plugin(request: bytes) -> None:
    """Run our plugin on a request, with an environment like sqlc's."""
    subprocess.run(  # noqa: S603  our own command
        [SCRIPTS / PLUGIN, "/plugin.CodegenService/Generate"],
        input=request,
        stdout=subprocess.DEVNULL,
        env={"SQLC_VERSION": "v1.31.1"},
        check=True,
    )


def seconds(work: Callable[[], None]) -> float:
    """Return the duration of a function."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
