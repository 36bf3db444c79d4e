"""A small hotel on generated functions: `python app.py postgresql://…` with an empty database."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
from decimal import Decimal
from pathlib import Path

import asyncpg
from asyncpg import Range
from hotel_db import enums, hotel, models
from hotel_types import Wishes
from pgvector import Vector
from pgvector.asyncpg import register_vector

SCHEMA = Path(__file__).with_name("schema.sql")


async def connect(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    """Return a connection with the schema and the codecs that the models need."""
    connection = await asyncpg.connect(dsn)
    await connection.execute(SCHEMA.read_text())
    await register_vector(connection)
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads
    )
    return connection


async def main(dsn: str) -> None:
    """Store a booking and list free rooms."""
    db = await connect(dsn)
    price = models.MoneyAmount(amount=Decimal(120), currency="EUR")
    look = Vector([1, 0, 0])
    rooms = [
        await hotel.add_room(db, kind=kind, features=["bath"], price=price, look=look)
        for kind in (enums.RoomKind.DOUBLE, enums.RoomKind.SUITE)
    ]
    wishes = Wishes(floor=2, arrival=dt.time(15, 30))
    guests = [hotel.AddGuestsParams(mail="mira@example.org", wishes=wishes)]
    [guest] = await hotel.add_guests(db, rows=guests)
    assert guest is not None  # noqa: S101  # RETURNING has a row for each
    print(await hotel.get_wishes(db, id=guest))
    nights = Range(dt.date(2026, 5, 1), dt.date(2026, 5, 4))
    bookings = [hotel.CopyBookingsParams(room_id=rooms[0], guest_id=guest, nights=nights)]
    await hotel.copy_bookings(db, rows=bookings)
    for pair in await hotel.list_swaps(db):
        print(pair.one.room_id, pair.other.room_id)
    for row in await hotel.list_rooms(db, nights=nights):
        print(row.room.kind, "free" if row.booking is None else f"taken {row.booking.nights}")
    wanted = Vector([1, 0.1, 0])
    for hit in await hotel.find_rooms(
        db, wanted=wanted, kinds=[enums.RoomKind.SUITE], features=["bath"], most=3
    ):
        print(hit.id, hit.amount, round(hit.likeness or 0, 2))
    print(await hotel.list_occupancy(db), await hotel.count_nights(db))
    await db.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
