"""Uses of the generated package that type checkers accept."""

from gen_frozen import dbtx, models, ports


async def use(db: dbtx.DBTX) -> set[models.Port]:
    """Add a port with two bases, and return the port of each."""
    spot = models.Spot(x=1, class_="deep")
    port = await ports.add_port(db, ports.AddPortParams(id=1, class_="a", spot=spot))
    bases = [models.NewBase(id=number, port_id=port.id) for number in (1, 2)]
    await ports.add_bases(db, bases=bases)
    rows = await ports.list_bases(db)
    return {row.ports for row in rows if row.label()}
