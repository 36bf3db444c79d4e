"""The published conformance suite of checkpointers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langgraph.checkpoint.conformance import (  # pyright: ignore[reportMissingTypeStubs]
    checkpointer_test,
    validate,
)

from agentrows.langgraph import AgentRowsSaver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agentrows import PostgresClient

TESTS = 81


async def test_saver_passes_every_test_of_every_capability(client: PostgresClient) -> None:
    @checkpointer_test(name="AgentRowsSaver")
    async def saver() -> AsyncIterator[AgentRowsSaver]:
        yield AgentRowsSaver(client, user="mira")

    report = await validate(saver)

    assert {name: one.failures for name, one in report.results.items() if one.failures} == {}
    assert [name for name, one in report.results.items() if not one.detected] == []
    assert sum(one.tests_passed for one in report.results.values()) == TESTS
    assert report.passed_all()
