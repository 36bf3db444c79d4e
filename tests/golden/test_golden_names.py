"""Bad names in every position: the project is refused with a cure, or its code imports and runs."""

from __future__ import annotations

import base64
import json
import re
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT
from subprocess import run as run_process
from typing import Final

from golden.golden_cases import run, write_project
from golden.hostile_names import NAMES, OPTION_NAMES, projects
from sqlc_gen_asyncpg.__main__ import generate
from sqlc_gen_asyncpg.errors import GeneratorError
from sqlc_gen_asyncpg.name_rules import normalized

CALLS: Final = Path(__file__).parent / "call_functions.py"
TYPES: Final = """
from decimal import Decimal
from typing import NewType

class KMoney(int): ...

def from_db(value: Decimal) -> KMoney:
    return KMoney(value)

def to_db(value: KMoney) -> Decimal:
    return Decimal(value)
"""
# Each line of a refusal has its cure in one of these forms.
CURES: Final = re.compile(
    r"write |rename|name one with AS|under another name|give the class another name|cast |declare "
    r"|is not a name in Python|must be a name such as|another converter|name the value"
)
# Names of the schema and of queries that are refused; every other one becomes a usable name.
REFUSED_NAMES: Final = re.compile(
    "its module would be"  # a file called models.sql
    "|PostgreSQL reads .* as its own type|sqlc reports .* too"  # a type called json or int
    "|the type of the expression is not sure|type for it is not sure|the type is unknown"  # `"`
    "|type a b is not known"  # a type with a line break in its name
)


def write_packages(folder: Path) -> dict[tuple[str, str], str]:
    """Write the packages that are generated, and return the problems of all others."""
    names = [name for name in OPTION_NAMES if not name.startswith("__")]
    aliases = [f"globals()[{normalized(name)!r}] = NewType({name!r}, str)" for name in names]
    folder.joinpath("k_types.py").write_text("\n".join([TYPES, *aliases]))
    problems: dict[tuple[str, str], str] = {}
    for number, (position, name, project) in enumerate(projects()):
        package = folder / f"gen_{number}"
        package.mkdir()
        package.joinpath("schema.sql").write_text(project.schema)
        package.joinpath("position.txt").write_text(f"{position} {name!r}")
        try:
            response = json.loads(generate(project.request(package.name), str(package)))
        except GeneratorError as error:
            problems[position, name] = str(error)
            package.rename(folder / f"refused_{number}")
            continue
        for file in response["files"]:
            package.joinpath(file["name"]).write_bytes(base64.b64decode(file["contents"]))
    return problems


def test_bad_name_is_refused_or_its_functions_run(tmp_path: Path, database: str) -> None:
    problems = write_packages(tmp_path)

    lines = [(*key, line) for key, text in problems.items() for line in text.split("\n")]
    without_cure = [line for line in lines if not CURES.search(line[2])]
    needless = [line for line in lines if line[0] in NAMES and not REFUSED_NAMES.search(line[2])]
    command = [sys.executable, "-W", "error", str(CALLS), str(tmp_path), database]
    completed = run_process(command, stdout=PIPE, stderr=STDOUT, text=True, check=False)  # noqa: S603
    assert completed.returncode == 0, completed.stdout
    assert without_cure == []
    assert needless == []
    assert len(list(tmp_path.glob("gen_*"))) > len(problems)


IMPORTED_SCHEMA = """
CREATE SCHEMA other;
CREATE TYPE mood AS ENUM ('good');
CREATE TYPE type_aliases AS ENUM ('one');
CREATE TYPE pair AS (x int);
CREATE TABLE fields (id uuid PRIMARY KEY, "class" text, pair pair, mood mood);
CREATE TABLE ranges (id int PRIMARY KEY, during int4range);
CREATE TABLE composites (id int PRIMARY KEY, price numeric);
CREATE TABLE base_models (id int PRIMARY KEY, "UUID" text, register text, mro text);
CREATE TABLE uuids (id int PRIMARY KEY);
CREATE TABLE "enum" (id int PRIMARY KEY);
CREATE TABLE kinds (id int PRIMARY KEY, kind text NOT NULL);
CREATE TABLE none (id int PRIMARY KEY);
CREATE TABLE other.kinds (id int PRIMARY KEY, kind text NOT NULL);
"""
IMPORTED_QUERIES = """
-- name: ListFields :many
SELECT * FROM fields;
-- name: Uuid :many
SELECT sqlc.embed(kinds), sqlc.embed(o) FROM kinds JOIN other.kinds AS o USING (id);
-- name: ListPairs :many
SELECT sqlc.embed(x), sqlc.embed(y), x.id FROM kinds AS x LEFT JOIN other.kinds AS y USING (id);
-- name: Tuples :batchexec
INSERT INTO fields (id, class) VALUES (@id, @class);
"""


def test_imports_give_way_to_classes_of_the_schema(tmp_path: Path) -> None:
    options = {
        "package": "gen",
        "overrides": [
            {"column": "kinds.kind", "py_type": "app_types.Kind"},
            {"column": "uuids.*", "enum": {"name": "Annotated", "values": ["1"]}},
        ],
    }
    write_project(tmp_path, query=IMPORTED_QUERIES, schema=IMPORTED_SCHEMA, options=options)
    tmp_path.joinpath("app_types.py").write_text(
        "from typing import NewType\n\nKind = NewType('Kind', str)\n"
    )
    completed = run(tmp_path, "sqlc", "generate")
    assert completed.returncode == 0, completed.stderr
    models = (tmp_path / "gen" / "models.py").read_text()
    query = (tmp_path / "gen" / "query.py").read_text()

    assert "from pydantic import BaseModel as PydanticBaseModel" in models
    assert "class Field(PydanticBaseModel):" in models
    assert "PydanticField(validation_alias=" in models
    assert "from app_types import Kind as AppTypesKind" in models
    assert "class Kind(PydanticBaseModel):" in models
    assert "class None_(PydanticBaseModel):" in models
    assert "    kinds: models.Kind\n    o: models.OtherKind\n" in query
    assert "    x: models.Kind\n    y: models.OtherKind | None\n" in query
    assert "register_: str | None" in models
    lint = ("ruff", "check", "--isolated", "--line-length", "100", "--select", "I,F", "gen")
    assert run(tmp_path, *lint).stdout == "All checks passed!\n"
    formatted = run(
        tmp_path, "ruff", "format", "--isolated", "--line-length", "100", "--diff", "gen"
    )
    assert formatted.returncode == 0, formatted.stdout
    imported = run(
        tmp_path, "python", "-W", "error", "-c", "import gen.models, gen.query, gen.enums"
    )
    assert imported.returncode == 0, imported.stderr
