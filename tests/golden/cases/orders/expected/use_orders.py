"""The types that a user of the package sees; checked by mypy and pyright, never run."""

from typing import assert_type, get_args

from gen_orders import models, tickets
from gen_orders.dbtx import DBTX


async def results(db: DBTX, sort: tickets.ListTicketsSort) -> None:
    """Pass a value of the type, and literals."""
    assert_type(
        await tickets.list_tickets(db, sort=sort, team_id=1, page_size=2), list[models.Ticket]
    )
    await tickets.list_tickets(db, sort="due desc", team_id=1, page_size=2)
    await tickets.first_ticket(db, by="id desc", titles=[])


def values() -> tuple[str, ...]:
    """Return the values of the type, as for a form."""
    return get_args(tickets.ListTicketsSort)
