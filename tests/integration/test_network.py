"""The library connects only to the host of the DSN, as audit hooks of the interpreter show."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from support.servers import EMBEDDED, OwnServer, own_server

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE: Final = Path(__file__).parents[2] / "src"
# Audit hooks get the events of the socket module, and cannot be removed.
WATCH: Final = """
import atexit, json, os, runpy, sys
seen = []
def record(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.bind", "socket.sendmsg"):
        seen.append([event, arguments[1]])
    elif event.startswith("socket.get") and event != "socket.gethostname":
        seen.append([event, arguments[0]])
    elif event in ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"):
        seen.append([event, str(arguments[0])])
    elif event in ("urllib.Request", "ftplib.connect", "smtplib.connect", "http.client.connect"):
        seen.append([event, str(arguments)])
sys.addaudithook(record)
atexit.register(lambda: open(os.environ["SEEN"], "w").write(json.dumps(seen)))
"""


def seen_by(code: str, folder: Path, **extra: str) -> list[tuple[str, object]]:
    """Run code in a separate interpreter, and return its network events."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("AGENTROWS_")}
    seen = folder / "seen.json"
    done = subprocess.run(  # noqa: S603  our own code
        [sys.executable, "-c", WATCH + code],
        cwd=folder,
        env={**ours, "SEEN": str(seen), **extra},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [(event, where) for event, where in json.loads(seen.read_text())]


@pytest.fixture(scope="module")
def server() -> Iterator[OwnServer]:
    with own_server(EMBEDDED) as own:
        yield own


ADAPTERS: Final = tuple(
    f"agentrows.{name}"
    for name in ("a2a", "adk", "claude", "langgraph", "openai_agents", "pydantic_ai")
)


def test_importing_every_module_opens_no_network_connection(tmp_path: Path) -> None:
    modules = [
        ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for path in sorted(SOURCE.rglob("*.py"))
        if path.stem not in ("__main__", "__init__")
    ]
    # An adapter without its framework raises ConfigError, which names the extra.
    code = (
        "import importlib\n"
        "from agentrows import ConfigError\n"
        f"for name in {[name for name in modules if 'templates' not in name]!r}:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ConfigError:\n"
        f"        assert name.startswith({ADAPTERS!r}), name\n"
    )

    assert len(modules) > 50
    assert seen_by(code, tmp_path) == []


async def make_database(server: OwnServer) -> None:
    admin = await asyncpg.connect(server.dsn())
    await admin.execute("DROP DATABASE IF EXISTS shop WITH (FORCE)")
    await admin.execute("CREATE DATABASE shop")
    await admin.close()


def test_demo_connects_to_the_host_of_the_dsn_alone(server: OwnServer, tmp_path: Path) -> None:
    asyncio.run(make_database(server))
    dsn = f"postgresql://postgres@localhost:{server.port}/shop"
    code = "from agentrows.cli import main\nsys.argv = ['agentrows', 'demo', '--dsn', %r]\nmain()\n"

    seen = seen_by(code % dsn, tmp_path)

    looked_up = {str(where) for event, where in seen if event == "socket.getaddrinfo"}
    assert looked_up == {"localhost"}
    reached = {json.dumps(where) for event, where in seen if event == "socket.connect"}
    there = {json.dumps(["127.0.0.1", server.port]), json.dumps(["::1", server.port, 0, 0])}
    assert reached <= there
    assert reached
    assert {event for event, _ in seen} == {"socket.getaddrinfo", "socket.connect"}


def test_embedded_demo_uses_local_sockets_only(tmp_path: Path) -> None:
    code = "from agentrows.cli import main\nsys.argv = ['agentrows', 'demo']\nmain()\n"

    seen = seen_by(code, tmp_path)

    sockets = [where for event, where in seen if event in ("socket.connect", "socket.bind")]
    assert sockets
    assert all(isinstance(where, str) for where in sockets), sockets  # a path, not an address
    events = {event for event, _ in seen}
    assert events <= {"socket.connect", "socket.bind", "subprocess.Popen", "os.exec"}
    programs = {Path(str(where)).name for event, where in seen if event == "subprocess.Popen"}
    assert programs <= {"initdb", "pg_ctl", "postgres", "sh", "bash", "ldconfig"}, programs


def test_check_detects_connection_to_another_host(tmp_path: Path) -> None:
    code = """
import contextlib, socket, urllib.request
with contextlib.suppress(Exception):
    urllib.request.urlopen("http://127.0.0.1:1/hello", timeout=1)
with contextlib.suppress(Exception):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"hello", ("127.0.0.1", 9))
"""
    events = {event for event, _ in seen_by(code, tmp_path)}

    assert {"urllib.Request", "socket.getaddrinfo", "socket.connect", "socket.sendto"} <= events
