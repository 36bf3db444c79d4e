"""Models that are frozen and have a base class of the application."""

from __future__ import annotations

import importlib
import re
import sys
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from pydantic import ValidationError

from golden.golden_cases import CASES_FOLDER, run, write_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

USES = """
from gen_frozen import models

spot = models.Spot(x=1)
spot.x = 2
base = models.NewBase(id=1, port_id=1)
base.id = 2
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch, expected_packages: Path) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [str(expected_packages), *sys.path])
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if "frozen" in name.partition(".")[0]:
            del sys.modules[name]


async def test_frozen_rows_have_the_base_class_and_a_hash(database: str) -> None:
    models: Any = importlib.import_module("gen_frozen.models")
    use: Any = importlib.import_module("frozen_use")
    base: Any = importlib.import_module("frozen_types").Base
    connection: Any = await asyncpg.connect(database)
    try:
        await connection.execute((CASES_FOLDER / "frozen" / "schema.sql").read_text())
        (port,) = await use.use(connection)
    finally:
        await connection.close()

    assert port.spot == models.Spot(x=1, class_="deep")
    assert port.label().startswith("Port: id=1")
    for value in (port, port.spot, models.NewBase(id=1, port_id=1)):
        assert isinstance(value, base)
        assert hash(value) == hash(value.model_copy())
        with pytest.raises(ValidationError, match="frozen"):
            value.id = 2


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_type_checkers_refuse_a_change_of_a_frozen_model(
    expected_packages: Path, checker: str
) -> None:
    module = expected_packages / "frozen_change.py"
    module.write_text(USES)
    try:
        arguments = ("--strict", "--config-file", "") if checker == "mypy" else ()
        completed = run(expected_packages, checker, *arguments, module.name)
    finally:
        module.unlink()
    lines = re.findall(r"frozen_change\.py:(\d+):.* error: ", completed.stdout)
    assert lines == ["5", "7"], completed.stdout
    assert completed.stdout.count("read-only") >= len(lines)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"base_class": "Base"}, "base_class must be package.module.name, not 'Base'"),
        ({"base_class": "app.Decimal"}, "base_class: app.Decimal: generated code has another"),
        ({"base_class": "app._Base"}, "base_class: _Base cannot be the name of a class"),
        ({"frozen_models": "yes"}, "frozen_models must be true or false, not 'yes'"),
    ],
)
def test_wrong_base_class_is_refused_with_its_cure(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    query = "-- name: ListItems :many\nSELECT * FROM item;"
    write_project(tmp_path, query=query, options={"package": "gen", **options})
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 1
    assert message in completed.stderr
