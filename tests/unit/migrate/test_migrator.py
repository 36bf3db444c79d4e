"""The options of a Migrator, and the names of its package."""

from __future__ import annotations

import math
import pkgutil
from types import ModuleType
from typing import Any

import pytest

import agentrows.cli
import agentrows.migrate
import agentrows.roles
from agentrows.errors import InvalidValue
from agentrows.migrate import Migrator, builtin_tracks

DSN = "postgresql://localhost/none"


@pytest.mark.parametrize("value", [-1, math.nan, math.inf, -math.inf, "60", None, True, 1e12])
@pytest.mark.parametrize("name", ["lock_timeout_s", "ddl_lock_timeout_s"])
def test_a_timeout_that_is_not_finite_or_negative_is_refused_by_name(
    name: str, value: object
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(InvalidValue, match=rf"^{name} must be "):
        Migrator(DSN, builtin_tracks(), **options)


def test_a_ddl_lock_timeout_of_zero_is_refused() -> None:
    with pytest.raises(InvalidValue, match=r"ddl_lock_timeout_s must be from 0\.001 "):
        Migrator(DSN, (), ddl_lock_timeout_s=0)
    assert Migrator(DSN, (), lock_timeout_s=0).lock_timeout_s == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("dsn", None), ("tracks", "core"), ("tracks", [1]), ("tracks", None)),
        *(("password", "secret"), ("on_progress", 1)),
    ],
)
def test_an_argument_of_a_wrong_type_is_refused_by_name(name: str, value: object) -> None:
    arguments: dict[str, Any] = {"dsn": DSN, "tracks": builtin_tracks(), name: value}
    with pytest.raises(InvalidValue, match=rf"^{name} must be "):
        Migrator(**arguments)


async def test_a_wrong_argument_of_a_method_is_refused_by_name() -> None:
    migrator = Migrator(DSN, builtin_tracks())
    wrong: Any = "all"
    for name, call in (
        ("transaction", migrator.up(transaction=wrong)),
        ("version", migrator.goto("core", wrong)),
        ("version", migrator.force("core", wrong)),
        ("count", migrator.down("core", wrong)),
        ("target", migrator.plan("core", wrong)),
    ):
        with pytest.raises(InvalidValue, match=rf"^{name} must be "):
            await call


def test_the_repr_has_neither_dsn_nor_password() -> None:
    text = repr(Migrator("postgresql://u:secret@h/d", (), password=lambda: "secret"))
    assert "secret" not in text
    assert "postgresql" not in text


@pytest.mark.parametrize("package", [agentrows.migrate, agentrows.roles, agentrows.cli])
def test_no_attribute_of_a_package_hides_a_submodule(package: ModuleType) -> None:
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    assert names
    # The import of a submodule would replace a function of its name, so none is imported here.
    attributes = {name: vars(package).get(name) for name in names}
    assert [n for n, value in attributes.items() if not isinstance(value, ModuleType | None)] == []
