"""Licences of the frameworks and of their dependencies."""

from __future__ import annotations

from typing import Final

from policy.checks import licences

PAGE: Final = licences.ROOT / "docs" / "licences.md"
PERMISSIVE: Final = {
    "Apache-2.0",
    "BSD",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "PSF-2.0",
    "3-Clause BSD License",
}
# The Mozilla Public License applies to the files of these packages alone.
EXCEPTIONS: Final = {"certifi", "orjson"}


def test_list_of_the_licences_of_adapters_is_fresh() -> None:
    sections = licences.adapters()

    assert sections
    assert sections in PAGE.read_text(), "run `make licences`"
    assert "unknown" not in sections


def test_no_dependency_of_an_adapter_is_copyleft() -> None:
    for title, names in licences.adapter_groups().items():
        for name in names - EXCEPTIONS:
            choices = set(licences.licence(name).split(" OR "))
            assert choices & PERMISSIVE, f"{title}: {name} is under {choices}"
