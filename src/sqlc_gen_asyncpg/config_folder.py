"""The folder of sqlc.yaml, to which the paths in a request are relative.

sqlc runs a plugin in the current folder and does not pass the path of its configuration, which
`sqlc generate -f db/sqlc.yaml` reads from another folder. The path is in the arguments of the
process that runs the plugin.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "config_file",
    "config_folder",
    "listed_parent_and_arguments",
    "parent_and_arguments",
]

# A launcher such as `uv run` may be between sqlc and the plugin.
_MAX_ANCESTORS: Final = 5


def config_folder() -> str:
    """Return the folder of the configuration that sqlc was called with; "" is the current one."""
    process = os.getppid()
    for _ in range(_MAX_ANCESTORS):
        parent, arguments = parent_and_arguments(process)
        if arguments and Path(arguments[0]).stem == "sqlc":
            return str(Path(config_file(arguments)).parent)
        if parent <= 1:
            break
        process = parent
    return ""


def config_file(arguments: Sequence[str]) -> str:
    """Return the value of -f or --file in the arguments of sqlc; "" if there is none."""
    file = ""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument in {"-f", "--file"}:
            file = following
        elif argument.startswith("--file="):
            file = argument.removeprefix("--file=")
        elif argument.startswith("-f") and not argument.startswith("--"):
            file = argument.removeprefix("-f").removeprefix("=")
    return file


def parent_and_arguments(process: int) -> tuple[int, list[str]]:
    """Return the parent and the arguments of a process; (0, []) if they cannot be read."""
    folder = Path("/proc") / str(process)
    try:
        # The name in parentheses may contain spaces.
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return int(fields[1]), [
            os.fsdecode(argument) for argument in (folder / "cmdline").read_bytes().split(b"\0")
        ][:-1]
    except (OSError, LookupError, ValueError):
        return listed_parent_and_arguments(process)


def listed_parent_and_arguments(process: int) -> tuple[int, list[str]]:
    """Read them from `ps`, on systems without /proc. A path with spaces is not found there."""
    try:
        line = subprocess.run(  # noqa: S603  # a constant command
            ["/bin/ps", "-o", "ppid=,args=", "-p", str(process)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        return int(line[0]), line[1:]
    except (OSError, LookupError, ValueError, subprocess.CalledProcessError):
        return 0, []
