"""The code of docs/cookbook.md runs as printed."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

from integration.test_documents import code_blocks

if TYPE_CHECKING:
    import pytest

    from agentrows import PostgresClient


async def test_blocks_of_the_cookbook_run_in_their_order(
    client: PostgresClient, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"client": client}
    blocks = code_blocks("docs/cookbook.md", "python")
    for block in blocks:
        code = compile(
            block, "docs/cookbook.md", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
        )
        waited: Any = eval(code, names)  # noqa: S307  our own document
        if inspect.isawaitable(waited):
            await waited

    assert blocks
    assert capsys.readouterr().out == "no session 's-42' of this user\n"
