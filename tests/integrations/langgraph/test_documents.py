"""Every block of docs/langgraph.md runs as printed, and so does the example."""

from __future__ import annotations

import ast
import asyncio
import importlib
import inspect
import json
import os
import re
import sys
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agentrows import PostgresClient, migrate
from agentrows.langgraph import AgentRowsSaver, AgentRowsStore
from support.postgres import SERVICE, as_role

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.postgres import Server

ROOT = Path(__file__).parents[3]
DOCUMENT = (ROOT / "docs" / "langgraph.md").read_text()
KEYS = ("checkpointer", "store")
BLOCK = re.compile(r"(?ms)^(?:<!-- with: (\S+) -->\n)?( *)```(\w+)\n(.*?)^ *```$")


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the setting and the text of each block."""
    return [
        (setting, re.sub(rf"(?m)^{indent}", "", text))
        for setting, indent, name, text in BLOCK.findall(DOCUMENT)
        if name == language
    ]


def test_every_block_of_the_page_has_a_test() -> None:
    assert [name for _, _, name, _ in BLOCK.findall(DOCUMENT)].count("python") == 8
    assert {name for _, _, name, _ in BLOCK.findall(DOCUMENT)} == {"json", "py", "python", "sh"}
    assert blocks("sh")[0][1] == "pip install 'agentrows[langgraph]'\n"


@pytest.fixture
def secured(server: Server) -> Iterator[str]:
    """A database with the tracks of row-level security, for the service's role."""
    name = server.create_database()
    server.migrate(name, migrate.builtin_tracks(row_security=True))
    yield as_role(server.dsn(name), SERVICE)
    server.drop_database(name)


async def execute(text: str, namespace: dict[str, Any]) -> None:
    """Run a block, in a thread if it does not await."""
    code = compile(
        text, "docs/langgraph.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
    )
    run = types.FunctionType(code, namespace)
    if code.co_flags & inspect.CO_COROUTINE:
        await run()
    else:
        await asyncio.to_thread(run)


async def test_python_blocks_run_as_printed(secured: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTROWS_DATABASE_URL", secured)
    monkeypatch.setenv("AGENTROWS_MIGRATIONS", "verify")
    namespace: dict[str, Any] = {"__name__": "page"}
    for setting, text in blocks("python"):
        with monkeypatch.context() as patch:
            if setting:
                patch.setenv(*setting.split("=", 1))
            await execute(text, namespace)


async def test_paths_of_langgraph_json_open_a_saver_and_a_store(
    migrated: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    [(_, configuration)] = blocks("json")
    [(_, functions)] = blocks("py")
    (tmp_path / "assistant.py").write_text(functions)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name, value in {
        "DATABASE_URL": migrated,
        "MIGRATIONS": "off",
        "LANGGRAPH_USER": "assistant:user_of_config",
        "LANGGRAPH_STORE_USER": "assistant:user_of_namespace",
    }.items():
        monkeypatch.setenv(f"AGENTROWS_{name}", value)
        assert f"AGENTROWS_{name}" in DOCUMENT or name == "MIGRATIONS"
    paths = {key: value["path"] for key, value in json.loads(configuration).items() if key in KEYS}

    opened = {}
    for key, path in paths.items():
        module, _, name = path.partition(":")
        async with getattr(importlib.import_module(module), name)() as adapter:
            opened[key] = type(adapter)
            if isinstance(adapter, AgentRowsStore):
                await adapter.aput(("users", "mira"), "k", {"n": 1})
    assert opened == {"checkpointer": AgentRowsSaver, "store": AgentRowsStore}


async def run(*command: str | Path, **variables: str) -> str:
    """Run a command and return its output; fail with the output on an error."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "PATH": path, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    return out.decode()


@pytest.fixture
def target(server: Server) -> Iterator[str]:
    """A database without tables, for the superuser."""
    name = server.create_database()
    yield server.dsn(name)
    server.drop_database(name)


async def test_commands_of_the_page_move_threads_in(
    database: str, target: str, tmp_path: Path
) -> None:
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "user_id": "mira"}}
    checkpoint: Any = {
        "v": 4,
        "id": "1ef",
        "ts": "2025-03-01T10:00:00+00:00",
        "channel_values": {"n": 1},
        "channel_versions": {"n": "1"},
        "versions_seen": {},
    }
    async with AsyncPostgresSaver.from_conn_string(database) as saver:
        await saver.setup()
        await saver.aput(config, checkpoint, {"source": "input", "step": 0, "parents": {}}, {})
    commands = blocks("sh")[-1][1].replace("postgresql://…", f"'{database}'")
    script = tmp_path / "move.sh"
    script.write_text(f"set -e\n{commands}")

    out = await run("/bin/sh", script, AGENTROWS_DATABASE_URL=target)

    assert "would copy 1 checkpoint of 1 thread; nothing was stored" in out
    async with PostgresClient.open(target, migrations="off") as client:
        row = await AgentRowsSaver(client, user="mira").aget_tuple(config)
    assert row is not None
    assert row.checkpoint["channel_values"] == {"n": 1}


async def test_example_answers_each_user_from_its_own_facts(migrated: str) -> None:
    example = ROOT / "examples" / "langgraph" / "app.py"

    out = await run(sys.executable, example, migrated, AGENTROWS_MIGRATIONS="off")

    assert out.splitlines()[-4:] == [
        "mira: What do you know about me?",
        "  I know I am vegetarian.",
        "mira has 4 messages",
        "juno has 2 messages",
    ]
