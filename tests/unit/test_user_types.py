"""mypy with pydantic's plugin accepts programs of users; `make types` checks them without it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[2]
CONFIG = f"""
[mypy]
strict = true
plugins = pydantic.mypy
mypy_path = {ROOT / "src"}
follow_imports = silent
"""
# The plugin types the arguments of a constructor as Any, unless init_typed is true.
UNUSED = "disable_error_code = unused-ignore"
TYPED = """
[pydantic-mypy]
init_typed = true
init_forbid_extra = true
"""


def mypy(folder: Path, config: Iterable[str], program: str) -> str:
    (folder / "mypy.ini").write_text("\n".join(config))
    path = ROOT / "tests" / "typing" / program
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", str(path)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("program", ["user_program.py", "user_settings.py"])
@pytest.mark.parametrize("config", [(CONFIG, UNUSED), (CONFIG, TYPED)], ids=["untyped", "typed"])
def test_mypy_with_the_plugin_accepts_a_program_of_a_user(
    tmp_path: Path, config: tuple[str, ...], program: str
) -> None:
    assert mypy(tmp_path, config, program).startswith("Success")
