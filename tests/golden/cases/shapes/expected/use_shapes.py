"""The types of joins, stars and unnamed parameters, as an application has them."""

import datetime as dt
from decimal import Decimal
from typing import assert_type

from gen_shapes import joins, models, parameters, stars
from gen_shapes.dbtx import DBTX


async def results(db: DBTX) -> None:
    """Check the type of each kind of result."""
    full = await joins.full_join(db)
    assert_type(full[0].id, int | None)
    assert_type(full[0].depth, Decimal | None)
    right = await joins.right_join(db)
    assert_type(right[0].id, int | None)
    assert_type(right[0].id_2, int)
    assert_type(await stars.star_of_reserved_words(db), list[models.Order])
    assert_type(await parameters.remove_boats(db, id=1), list[models.Boat])
    assert_type(await parameters.season_start(db, year=2026), dt.date | None)
    assert_type(await parameters.add_boat(db, id=1, name="a"), int)
