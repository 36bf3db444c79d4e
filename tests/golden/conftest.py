"""The golden packages in one folder, for the tests that import them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from golden.golden_cases import CASES, write_expected

FOLDER: Final = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, most of which start sqlc."""
    for item in items:
        if item.path.is_relative_to(FOLDER):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def expected_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every expected package and the modules of the applications that use them."""
    folder = tmp_path_factory.mktemp("packages")
    for case in CASES:
        write_expected(case, folder)
    return folder
