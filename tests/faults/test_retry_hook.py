"""The example of docs/reliability.md logs a retry after a lost connection."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.proxy import proxy_to, socket_of

if TYPE_CHECKING:
    import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "reliability.md"


async def test_documented_hook_is_called_for_a_retry(
    migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    [example] = re.findall(r"(?ms)^```python\n(.*?)^```$", DOCUMENT.read_text())
    module: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, str(DOCUMENT), "exec"), module)  # noqa: S102  our own document

    async with proxy_to(socket_of(migrated)) as proxy:
        lost = proxy.cut_at(b"s-41", "before")
        with caplog.at_level(logging.WARNING, logger="example"):
            await module["main"](proxy.dsn(migrated))

    assert lost.is_done
    [message] = [record.getMessage() for record in caplog.records if record.name == "example"]
    assert message.startswith("try 2 after ")
    assert "the database is not available" in message
