"""The files of the output folders compared with those that would be written now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.render.package import MARK, render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlc_gen_asyncpg import ir, protocol

__all__ = ["outdated_files", "written_files"]


def written_files(
    requests: Iterable[protocol.Request], packages: Iterable[ir.Package], directory: str
) -> dict[Path, str]:
    """Return the files that would be written now; outputs are relative to `directory`."""
    files: dict[Path, str] = {}
    for request, package in zip(requests, packages, strict=True):
        folder = Path(directory, request.out)
        files.update({folder / name: text for name, text in render(package).items()})
    return files


def outdated_files(written: dict[Path, str]) -> list[str]:
    """Return a line for each file that is missing, differs, or has no query any longer.

    A file with another first line than that of generated files is not reported.
    """
    lines: list[str] = []
    for folder in sorted({path.parent for path in written}):
        orphans = {path for path in folder.glob("*.py") if _is_generated(path)} - written.keys()
        for path in sorted({path for path in written if path.parent == folder} | orphans):
            if path in orphans:
                lines.append(f"{path}: no query file produces it; delete it")
            elif not path.is_file():
                lines.append(f"{path}: it is missing; run sqlc generate")
            elif path.read_bytes() != written[path].encode():
                lines.append(f"{path}: it differs; run sqlc generate")
    return lines


def _is_generated(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MARK)) == MARK.encode()
