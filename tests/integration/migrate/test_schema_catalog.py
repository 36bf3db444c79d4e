"""The catalog of the objects that each migration creates."""

from __future__ import annotations

import asyncio

import pytest

from agentrows.migrate import builtin_tracks
from agentrows.migrate.expected_objects import FOLDER, load_catalog, parse_catalog
from agentrows.migrate.track import load_all, migrations_root
from policy.checks.schema_catalog import observe, write_texts
from support.servers import DEBIANS_15, own_server, skip


@pytest.mark.slow
async def test_catalog_is_fresh(database: str) -> None:
    for track, text in (await write_texts(database)).items():
        path = migrations_root() / FOLDER / f"{track}.txt"
        assert path.read_text() == text, "run `make catalog`"


@pytest.mark.slow
def test_postgresql_15_has_the_same_catalog() -> None:
    if not (DEBIANS_15 / "initdb").exists():
        skip("Debian's package postgresql-15 is not installed")
    tracks = builtin_tracks(vector=False, row_security=True)  # it has no pgvector
    with own_server(DEBIANS_15) as server:
        for is_down in (False, True):
            states = asyncio.run(observe(server.dsn(), load_all(tracks), "", is_down=is_down))
            for (track, version), objects in states.items():
                expected = load_catalog(track).expected_at(version)
                assert {
                    str(key): objects.get(key)
                    for key, each in expected.items()
                    if objects.get(key) not in each.accepted
                } == {}, (track, version)


@pytest.mark.parametrize("line", ["column a.b: text", "+ view a: x", "+ table a: logged"])
def test_line_of_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="not a line of the catalog"):
        parse_catalog(line)
