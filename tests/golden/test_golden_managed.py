"""Packages are the same with a managed database, where sqlc reads types from a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from golden.golden_cases import EMBEDDED_CASES, assert_managed_is_the_same, run, write_project
from support.servers import OwnServer, own_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def own() -> Iterator[OwnServer]:
    with own_server() as server:
        yield server


@pytest.mark.parametrize("case", EMBEDDED_CASES)
def test_package_is_the_same_with_a_managed_database(
    case: str, own: OwnServer, tmp_path: Path
) -> None:
    assert_managed_is_the_same(case, own.dsn(), tmp_path)


def test_managed_database_without_a_server_fails(tmp_path: Path) -> None:
    write_project(tmp_path, query="-- name: A :one\nSELECT 1 AS a;", options={"package": "gen"})
    config = tmp_path / "sqlc.json"
    text = config.read_text().replace('"engine":', '"database": {"managed": true}, "engine":')
    server = '"servers": [{"engine": "postgresql", "uri": "postgres://127.0.0.1:1/none"}], "sql":'
    config.write_text(text.replace('"sql":', server, 1))
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 1
    assert not (tmp_path / "gen").exists()
