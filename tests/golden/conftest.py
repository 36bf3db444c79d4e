"""The golden packages in one folder, for the tests that import them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from golden.golden_cases import CASES, write_expected

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def expected_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every expected package and the modules of the applications that use them."""
    folder = tmp_path_factory.mktemp("packages")
    for case in CASES:
        write_expected(case, folder)
    return folder
