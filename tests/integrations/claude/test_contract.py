"""The SDK's conformance suite on the store, and on the SDK's own store as a check of the count."""

from __future__ import annotations

from typing import TYPE_CHECKING

from claude_agent_sdk import InMemorySessionStore
from claude_agent_sdk import SessionStore as BaseSessionStore
from claude_agent_sdk.testing import run_session_store_conformance

from agentrows import PostgresClient, Settings
from agentrows.claude import SessionStore
from support.postgres import SERVICE, as_role

if TYPE_CHECKING:
    from collections.abc import Callable

CONTRACTS = 14


class Makers:
    """Makes stores without rows, and counts them."""

    def __init__(self, make: Callable[[int], BaseSessionStore]) -> None:
        self.count = 0
        self._make = make

    def __call__(self) -> BaseSessionStore:
        self.count += 1
        return self._make(self.count)


async def test_every_contract_of_the_sdk_holds(client: PostgresClient) -> None:
    makers = Makers(lambda number: SessionStore(client, user_id=f"user-{number}"))

    await run_session_store_conformance(makers)

    assert makers.count == 1 + CONTRACTS  # the first store is asked for its methods


async def test_every_contract_holds_with_a_function_as_user_and_row_security(
    migrated: str,
) -> None:
    settings = Settings(row_security=True, migrations="apply")
    async with PostgresClient.open(as_role(migrated, "postgres"), settings=settings) as admin:
        await admin.db.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {SERVICE}")
    settings = Settings(row_security=True, migrations="off")
    async with PostgresClient.open(migrated, settings=settings) as client:
        makers = Makers(
            lambda number: SessionStore(client, user_id=lambda: f"user-{number}", row_security=True)
        )
        await run_session_store_conformance(makers)
    assert makers.count == 1 + CONTRACTS


async def test_the_sdk_counts_as_many_contracts_for_its_own_store() -> None:
    makers = Makers(lambda _: InMemorySessionStore())

    await run_session_store_conformance(makers)

    assert makers.count == 1 + CONTRACTS
