"""The table of layers and the modules in docs/architecture.md match the source."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy.test_layering import MAY_IMPORT

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "architecture.md").read_text()
WITHOUT_LAYER = {"_version"}


def layers() -> list[set[str]]:
    """Return the parts of each row of the table, from the top."""
    section = DOCUMENT.partition("## Layers\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    return [set(re.findall(r"`(\w+)`", row.split("|")[1])) for row in rows]


def test_every_part_of_the_package_has_one_layer() -> None:
    drawn = [part for layer in layers() for part in layer]

    assert sorted(drawn) == sorted(set(MAY_IMPORT) - WITHOUT_LAYER), (
        "the table of layers in docs/architecture.md differs from MAY_IMPORT in "
        "tests/policy/test_layering.py"
    )


@pytest.mark.parametrize("part", sorted(set(MAY_IMPORT) - WITHOUT_LAYER))
def test_allowed_imports_are_in_the_same_layer_or_below(part: str) -> None:
    numbers = {name: number for number, layer in enumerate(layers()) for name in layer}
    upward = {
        name
        for name in MAY_IMPORT[part] - WITHOUT_LAYER
        if numbers.get(name, -1) < numbers.get(part, 0)
    }

    assert upward == set(), f"docs/architecture.md draws {upward} above {part}"


def test_modules_named_in_the_document_exist() -> None:
    source = ROOT / "src" / "agentrows"
    modules = re.findall(r"`((?:\w+/)*\w+\.(?:py|sql))`", DOCUMENT)

    assert modules
    missing = [name for name in modules if not ((source / name).exists() or (ROOT / name).exists())]
    assert missing == [], "docs/architecture.md names files that do not exist"
