"""What is known while one query becomes one function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlc_gen_asyncpg.errors import Refused

if TYPE_CHECKING:
    from sqlc_gen_asyncpg import ir, protocol
    from sqlc_gen_asyncpg.build.comments import Directives
    from sqlc_gen_asyncpg.build.query_types import Analysis
    from sqlc_gen_asyncpg.errors import Report
    from sqlc_gen_asyncpg.schema.catalog import Catalog

__all__ = ["Builder", "Names", "plain"]


@dataclass(slots=True)
class Names:
    """Models that queries name themselves; equal ones are shared by the whole package."""

    models: dict[str, ir.Model]

    def share(self, model: ir.Model) -> None:
        """Add a model, or find that the one of this name has the same fields."""
        there = self.models.setdefault(model.name, model)
        if (plain(there), there.is_input) != (plain(model), model.is_input):
            raise Refused(f"there is another {model.name} with other fields; give this one a name")


def plain(model: ir.Model) -> list[tuple[str, str, str]]:
    """Return a model's fields without their documentation and order."""
    return sorted((each.name, each.annotation, each.alias) for each in model.fields)


@dataclass(slots=True)
class Builder:
    """A query, what its comment says, and what is found out about it."""

    catalog: Catalog
    names: Names
    report: Report
    query: protocol.Query
    says: Directives
    title: str
    models: list[ir.Model]
    analysis: Analysis | None = None

    @property
    def where(self) -> str:
        """What a problem is reported for."""
        return f"{self.query.filename}: {self.query.name}"
