"""Each block of Python in docs/generator is the generator's output for the blocks beside it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from golden.golden_cases import CASES_FOLDER, files_of, run

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow
DOCS = sorted((ROOT / "docs" / "generator").glob("*.md"))
EXAMPLE = ROOT / "examples" / "booking"
FENCE = re.compile(r"(?ms)^(?:(````)|```)(\w+)\n(.*?)^```(?(1)`)$")


def steps(document: Path) -> Iterator[tuple[str, str, str, list[str]]]:
    """Schema, queries and options, and the Python that they must give."""
    schema = queries = ""
    options = "package: gen\n"
    expected: list[str] = []
    for _, language, text in FENCE.findall(document.read_text()):
        if language == "python":
            expected.append(text)
            continue
        if expected:
            yield schema, queries, options, expected
            expected = []
        if language == "yaml" and "version:" not in text:
            options = text
        elif language == "sql" and "-- name:" in text:
            queries = text
        elif language == "sql":
            schema = text
    if expected:
        yield schema, queries, options, expected


def configuration(options: list[str]) -> str:
    """The configuration of the first page, with an output for each of these options."""
    blocks = FENCE.findall((ROOT / "docs" / "generator" / "README.md").read_text())
    first = str(next(text for _, language, text in blocks if language == "yaml"))
    head, separator, entry = first.partition("      - plugin: asyncpg\n")
    entry, _, _ = entry.partition("          package: gen")
    outputs = [
        separator
        + entry.replace("out: gen", f"out: gen{number}")
        + re.sub(r"(?m)^", " " * 10, each).rstrip(" ")
        for number, each in enumerate(options)
    ]
    return head + "".join(outputs)


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_the_python_of_a_document_is_generated(document: Path, tmp_path: Path) -> None:
    inputs: dict[tuple[str, str], list[tuple[str, list[str]]]] = {}
    for schema, queries, options, expected in steps(document):
        inputs.setdefault((schema, queries), []).append((options, expected))
    for (schema, queries), outputs in inputs.items():
        (tmp_path / "schema.sql").write_text(schema)
        (tmp_path / "query.sql").write_text(queries)
        (tmp_path / "sqlc.yaml").write_text(configuration([options for options, _ in outputs]))
        done = run(tmp_path, "sqlc", "generate")
        assert done.returncode == 0, done.stderr
        for number, (_, expected) in enumerate(outputs):
            files = files_of(tmp_path / f"gen{number}").values()
            written = "\n".join(text.decode() for text in files)
            for block in expected:
                assert block in written, block


def test_tests_named_for_each_feature_exist() -> None:
    page = (ROOT / "docs" / "generator" / "testing.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", page))
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert named <= set(re.findall(r"(?m)^(?:async )?def (test_\w+)", written))


def test_the_first_page_works_from_an_empty_folder(database: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "generator" / "README.md").read_text()
    blocks = {
        (language, "-- name:" in text): text
        for _, language, text in FENCE.findall(page)
        if language != "python"
    }
    (tmp_path / "schema.sql").write_text(blocks["sql", False])
    (tmp_path / "query.sql").write_text(blocks["sql", True])
    (tmp_path / "sqlc.yaml").write_text(blocks["yaml", False])
    (tmp_path / "app.py").write_text(blocks["py", False])
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, Path(sys.executable).name, "app.py", database)
    assert done.returncode == 0, done.stderr
    assert f"```\n{done.stdout}```" in page
    done = run(tmp_path, "sqlc-gen-asyncpg", "check", "--dsn", database)
    assert done.stdout == "3 queries checked, 0 problems\n"


@pytest.mark.parametrize("name", ["recipes.md", "nested.md"])
def test_the_recipes_run_as_documented(name: str, database: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "generator" / name).read_text()
    blocks = {
        (language, "-- name:" in text): text
        for _, language, text in FENCE.findall(page)
        if language != "python"
    }
    (tmp_path / "schema.sql").write_text(blocks["sql", False])
    (tmp_path / "query.sql").write_text(blocks["sql", True])
    (tmp_path / "sqlc.yaml").write_text(configuration(["package: gen"]).replace("gen0", "gen"))
    (tmp_path / "app.py").write_text(blocks["py", False])
    done = run(tmp_path, "sqlc", "generate")
    assert done.returncode == 0, done.stderr
    done = run(tmp_path, Path(sys.executable).name, "app.py", database)
    assert done.returncode == 0, done.stderr
    assert f"```\n{done.stdout}```" in page
    done = run(tmp_path, "sqlc-gen-asyncpg", "check", "--fresh", "--dsn", database)
    assert done.stdout.endswith(" files and 3 queries checked, 0 problems\n"), done.stdout


def test_the_booking_example_is_fresh_and_runs(database: str, tmp_path: Path) -> None:
    assert CASES_FOLDER.is_dir()
    folder = tmp_path / "booking"
    folder.mkdir()
    for name in ("schema.sql", "sqlc.yaml"):
        (folder / name).write_bytes((EXAMPLE / name).read_bytes())
    (folder / "queries").mkdir()
    (folder / "queries" / "hotel.sql").write_bytes((EXAMPLE / "queries/hotel.sql").read_bytes())
    done = run(folder, "sqlc", "generate")
    assert done.returncode == 0, done.stderr
    assert files_of(folder / "hotel_db") == files_of(EXAMPLE / "hotel_db")
    done = run(EXAMPLE, Path(sys.executable).name, "app.py", database)
    assert done.returncode == 0, done.stderr
    assert "double taken" in done.stdout
    assert "suite free" in done.stdout
    assert "arrival=datetime.time(15, 30)" in done.stdout
    done = run(EXAMPLE, "sqlc-gen-asyncpg", "check", "--dsn", database)
    assert done.stdout == "9 queries checked, 0 problems\n"
