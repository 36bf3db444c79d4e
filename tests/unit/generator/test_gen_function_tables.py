"""The tables of functions, operators and casts, against the embedded PostgreSQL 18."""

from __future__ import annotations

from policy.checks.function_tables import DATA, differences, main, read_tables


def test_tables_equal_those_of_the_server(database: str) -> None:
    assert main([database, "--check"]) == 0


async def test_missing_and_surplus_lines_are_reported(database: str) -> None:
    tables = await read_tables(database)
    removed = tables["casts.txt"].pop()
    tables["casts.txt"].append("zone zone")

    assert differences(tables) == [
        f"casts.txt: not on the server: {removed}",
        "casts.txt: only on the server: zone zone",
    ]


def test_contrib_tables_repeat_no_line_of_the_server() -> None:
    for kind in ("functions", "operators"):
        lines = (DATA / f"{kind}.txt").read_text("ascii").splitlines()
        contrib = (DATA / f"contrib_{kind}.txt").read_text("ascii").splitlines()

        assert contrib == sorted(contrib)
        assert not {*lines} & {*contrib}
