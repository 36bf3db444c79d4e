"""Certificates of a test CA, servers that show them, and the bytes on the wire."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from support.servers import DEBIANS_15, OwnServer, free_port, own_server, skip, unprivileged

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

PASSWORD: Final = "hunter2-over-tls"  # noqa: S105  never in plain text on the wire
SSL_REQUEST: Final = bytes.fromhex("00000008 04d2162f")
RULES: Final = """
local all all trust
hostssl all carla all cert
hostssl all mira all scram-sha-256
host all mira all scram-sha-256
host all postgres all trust
"""
SETTINGS: Final = """
ssl = on
ssl_cert_file = 'server.crt'
ssl_key_file = 'server.key'
ssl_ca_file = 'ca.crt'
password_encryption = 'scram-sha-256'
"""


def openssl(folder: Path, *arguments: str) -> None:
    """Run openssl in a folder."""
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S603, S607


def make_ca(folder: Path, name: str) -> None:
    """Create `NAME.crt` and `NAME.key` of a CA."""
    openssl(
        folder,
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"),
        *("-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.crt"),
    )


def make_certificate(folder: Path, name: str, common_name: str, *, days: int = 30) -> None:
    """Create `NAME.crt` and `NAME.key`, signed by `ca`; expired if days is below 0."""
    (folder / f"{name}.ext").write_text(f"subjectAltName = DNS:{common_name}\n")
    openssl(
        folder,
        *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={common_name}"),
        *("-keyout", f"{name}.key", "-out", f"{name}.csr"),
    )
    openssl(
        folder,
        *("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key"),
        *("-CAcreateserial", "-days", str(days), "-extfile", f"{name}.ext", "-out", f"{name}.crt"),
    )


@dataclass(frozen=True, slots=True)
class TlsServer:
    """PostgreSQL 15 with TLS and SCRAM; certificates for the client are in `files`."""

    own: OwnServer
    files: Path

    def dsn(
        self,
        parameters: Mapping[str, str] = MappingProxyType({}),
        *,
        host: str = "localhost",
        port: int | None = None,
    ) -> str:
        """A DSN that requests full verification, unless the parameters change that."""
        every = {"sslmode": "verify-full", "sslrootcert": str(self.files / "ca.crt"), **parameters}
        query = "&".join(f"{name}={value}" for name, value in every.items() if value)
        return f"postgresql://mira:{PASSWORD}@{host}:{port or self.own.port}/shop?{query}"


@contextlib.contextmanager
def tls_server(files: Path) -> Generator[TlsServer]:
    """A new server with a CA of its own."""
    if not DEBIANS_15.is_dir() or shutil.which("openssl") is None:
        skip("Debian's packages postgresql-15 and openssl are not installed")
    make_ca(files, "ca")
    make_ca(files, "other_ca")
    make_certificate(files, "server", "localhost")
    make_certificate(files, "expired", "localhost", days=-1)
    make_certificate(files, "elsewhere", "db.example.com")
    make_certificate(files, "carla", "carla")
    with own_server(DEBIANS_15, start=False) as own:
        data = own.folder / "data"
        for name in ("server", "expired", "elsewhere", "ca"):
            for path in (files / f"{name}.crt", files / f"{name}.key"):
                there = Path(shutil.copy(path, data))
                there.chmod(0o600)
                if user := unprivileged():
                    shutil.chown(there, user)
        (data / "pg_hba.conf").write_text(RULES)
        with (data / "postgresql.conf").open("a") as conf:
            conf.write(SETTINGS)
        own.start()
        yield TlsServer(own, files)


@dataclass(slots=True)
class Wire:
    """All bytes that clients sent through a port."""

    port: int
    sent: list[bytes] = field(default_factory=list[bytes])

    @property
    def received(self) -> bytes:
        """Return them in a row."""
        return b"".join(self.sent)


@contextlib.asynccontextmanager
async def listening(
    peer: Callable[[Wire, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncGenerator[Wire]:
    """A port of 127.0.0.1 at which this peer answers."""
    wire = Wire(free_port())
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await peer(wire, reader, writer)
        writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(asyncio.create_task(talk(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", wire.port)
    try:
        yield wire
    finally:
        server.close()
        await asyncio.wait(talks) if talks else None


def passing_on(
    upstream: int,
) -> Callable[[Wire, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """A peer that passes everything on to a server, and records the bytes of the client."""

    async def peer(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", upstream)

        async def back() -> None:
            with contextlib.suppress(OSError):
                while data := await server_reader.read(65536):
                    writer.write(data)
                    await writer.drain()
            writer.close()

        task = asyncio.create_task(back())
        while data := await reader.read(65536):
            wire.sent.append(data)
            server_writer.write(data)
            await server_writer.drain()
        server_writer.close()
        await task

    return peer


def scripted_peer(
    *answers: bytes,
) -> Callable[[Wire, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Return a peer that replies to each message with the next of these answers."""

    async def peer(wire: Wire, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            wire.sent.append(await reader.read(65536))
            writer.write(answer)
            await writer.drain()
        while data := await reader.read(65536):
            wire.sent.append(data)

    return peer
