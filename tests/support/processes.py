"""Python programs of a test, each in a process that the test can kill."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

TESTS: Final = Path(__file__).parents[1]
PATIENCE_S: Final = 240.0


@dataclass(frozen=True, slots=True)
class Program:
    """A running program that prints lines."""

    process: asyncio.subprocess.Process

    async def read_line(self) -> str:
        """Return the next line on stdout, without its end; fail if the program has ended."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            line = await self.process.stdout.readline()
            assert line, f"the program ended with exit code {await self.process.wait()}"
        return line.decode().rstrip("\n")

    async def kill(self) -> None:
        """End the program with SIGKILL, which it cannot handle."""
        self.process.kill()
        await self.process.wait()


@contextlib.asynccontextmanager
async def run_module(module: str, *arguments: str) -> AsyncGenerator[Program]:
    """Run a module of the tests in a process of its own, which is killed after the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
