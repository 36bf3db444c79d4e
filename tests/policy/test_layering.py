"""Imports go down only: the allowed imports of each part, compared with the source."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

# A part of the package → the other parts that it may import.
MAY_IMPORT = {
    # An adapter uses public names and methods of the client, and its framework.
    "a2a": {"agentrows", "bridge", "errors", "validation"},
    "agentrows": {
        *("client", "config", "db", "errors", "gen", "startup", "stores", "validation"),
        "_version",
    },
    "adk": {"agentrows", "bridge", "config", "errors", "lazy_client"},
    "bridge": {"client", "errors", "validation"},
    "claude": {"agentrows", "errors", "lazy_client", "owned_client", "validation"},
    # `agentrows`: the demo is an application.
    "cli": {
        *("_version", "agentrows", "config", "db", "errors", "imports", "migrate", "roles"),
        "named_objects",
    },
    "client": {
        *("config", "db", "errors", "gen", "live_feeds", "migrate", "startup", "stores"),
        "validation",
    },
    "config": {"errors"},
    "db": {"config", "errors", "validation"},
    "errors": set[str](),
    "gen": {"errors", "input_model"},
    "input_model": {"errors"},
    "imports": {"client", "config", "db", "errors", "gen", "stores", "validation"},
    "langgraph": {"agentrows", "bridge", "errors", "named_objects", "validation"},
    "lazy_client": {"bridge", "client", "config", "errors"},
    "live_feeds": {"db", "gen", "stores"},
    "migrate": {"_version", "config", "db", "errors", "gen"},
    "named_objects": {"errors"},
    "openai_agents": {"agentrows", "bridge", "lazy_client", "validation"},
    "owned_client": {"bridge", "client", "errors", "lazy_client", "validation"},
    "pydantic_ai": {"agentrows", "errors", "lazy_client", "owned_client", "validation"},
    "roles": {"errors", "migrate"},
    "startup": {"config", "db", "errors", "gen", "migrate", "stores", "validation"},
    "stores": {"db", "errors", "gen", "validation"},
    "validation": {"errors", "gen"},
    "_version": set[str](),
}
# The same for the generator: the packages a request passes through, and the modules below them.
GENERATOR_MAY_IMPORT = {
    "__init__": set[str](),
    "__main__": {
        "build",
        "check",
        "config_folder",
        "errors",
        "protocol",
        "render",
        "sqlfiles",
    },
    "build": {
        "__init__",
        "errors",
        "infer",
        "ir",
        "name_rules",
        "naming",
        "options",
        "protocol",
        "pytypes",
        "schema",
        "sql",
        "sqlfiles",
    },
    "check": {
        "__init__",
        "build",
        "errors",
        "infer",
        "ir",
        "protocol",
        "pytypes",
        "render",
        "schema",
        "sql",
    },
    "config_folder": set[str](),
    "errors": set[str](),
    "infer": {"errors", "pytypes", "sql"},
    "ir": set[str](),
    "name_rules": {"errors"},
    "naming": {"errors", "name_rules"},
    "options": {"errors", "pytypes"},
    "protocol": {"errors", "pytypes"},
    "pytypes": {"errors"},
    "render": {"__init__", "ir", "name_rules", "naming"},
    "schema": {
        "errors",
        "infer",
        "ir",
        "name_rules",
        "naming",
        "options",
        "protocol",
        "pytypes",
        "sql",
        "sqlfiles",
    },
    "sql": set[str](),
    "sqlfiles": {"errors", "protocol"},
}
# A framework → the part of agentrows that is its adapter, which alone may import it.
ADAPTERS = {
    "claude_agent_sdk": "claude",
    "langchain_core": "langgraph",
    "langgraph": "langgraph",
    "pydantic_ai": "pydantic_ai",
}
# A part → libraries that it must not import.
FORBIDDEN_LIBRARIES = {
    "a2a": {"asyncpg"},
    "gen": {"asyncpg"},
    "stores": {"asyncpg"},
    "config": {"asyncpg"},
    "bridge": {"asyncpg"},
    "claude": {"asyncpg"},
    "owned_client": {"asyncpg"},
    "langgraph": {"asyncpg"},
    "openai_agents": {"asyncpg"},
    "pydantic_ai": {"asyncpg"},
    "sqlc_gen_asyncpg": {"agentrows", "asyncpg"},
}


def modules(package: str) -> list[Path]:
    return sorted((SOURCE / package).rglob("*.py"))


def part_of(path: Path) -> str:
    """Return the part of agentrows that a file belongs to."""
    first = path.relative_to(SOURCE / "agentrows").parts[0]
    return "agentrows" if first == "__init__.py" else first.removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Return the dotted names that a module imports, those only for types included."""
    package = ".".join(path.relative_to(SOURCE).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = f"{package}.{node.module or ''}".strip(".") if node.level else node.module or ""
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def upward(path: Path) -> set[str]:
    """Return the parts that a module imports and must not."""
    own = part_of(path)
    seconds = {
        name.split(".")[1] if "." in name else ""
        for name in imports(path)
        if name.split(".")[0] == "agentrows" and name != "agentrows.__version__"
    }
    # A public class, as in `from agentrows import PostgresClient`, is part of the package itself.
    parts = {second if second.lstrip("_")[:1].islower() else "agentrows" for second in seconds}
    return {part for part in parts if part != own and part not in MAY_IMPORT[own]}


@pytest.mark.parametrize(
    "path", modules("agentrows"), ids=lambda path: str(path.relative_to(SOURCE))
)
def test_module_imports_only_lower_layers(path: Path) -> None:
    assert upward(path) == set(), "these imports are not in MAY_IMPORT"


@pytest.mark.parametrize(
    "path",
    [*modules("agentrows"), *modules("sqlc_gen_asyncpg")],
    ids=lambda path: str(path.relative_to(SOURCE)),
)
def test_module_does_not_import_forbidden_libraries(path: Path) -> None:
    package = path.relative_to(SOURCE).parts[0]
    own = part_of(path) if package == "agentrows" else package
    libraries = {name.split(".")[0] for name in imports(path)}
    if path.parent == SOURCE / "sqlc_gen_asyncpg" / "check":
        libraries.discard("asyncpg")  # the package compares annotations with a server

    assert libraries & FORBIDDEN_LIBRARIES.get(own, set()) == set()
    assert {ADAPTERS[name] for name in libraries & set(ADAPTERS)} <= {own}


def module_name(path: Path) -> str:
    """Return the dotted name of a module, `package.__init__` for that of a package."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


def imported_modules(path: Path, known: set[str]) -> set[str]:
    """Return the modules of the generator that a module imports, those only for types included."""
    result: set[str] = set()
    for name in imports(path):
        if name.split(".")[0] == "sqlc_gen_asyncpg":
            parent = name.rpartition(".")[0]  # the name may be that of a class or a function
            candidates = (name, f"{name}.__init__", parent, f"{parent}.__init__")
            result.add(next(module for module in candidates if module in known))
    return result - {module_name(path)}


def import_graph() -> dict[str, set[str]]:
    paths = modules("sqlc_gen_asyncpg")
    known = {module_name(path) for path in paths}
    return {module_name(path): imported_modules(path, known) for path in paths}


def generator_part(module: str) -> str:
    """Return the package, or the top-level module, that a module of the generator belongs to."""
    return module.split(".")[1]


def cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return modules of which each imports the next, and the last the first; empty if none do."""
    done: set[str] = set()

    def visit(module: str, way: list[str]) -> list[str]:
        if module in way:
            return way[way.index(module) :]
        if module not in done:
            for imported in sorted(graph[module]):
                if circle := visit(imported, [*way, module]):
                    return circle
            done.add(module)
        return []

    for module in sorted(graph):
        if circle := visit(module, []):
            return circle
    return []


@pytest.mark.parametrize(("module", "imported"), sorted(import_graph().items()))
def test_generator_module_imports_lower_packages_only(module: str, imported: set[str]) -> None:
    own = generator_part(module)
    parts = {generator_part(each) for each in imported} - {own}

    assert parts <= GENERATOR_MAY_IMPORT[own]


def test_generator_layers_are_a_hierarchy() -> None:
    assert cycle(GENERATOR_MAY_IMPORT) == []


def test_generator_modules_have_no_import_cycle() -> None:
    assert cycle(import_graph()) == []


def test_import_cycle_is_found() -> None:
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]


def test_nothing_imports_the_generator() -> None:
    assert not [path for path in modules("agentrows") if "sqlc_gen_asyncpg" in str(imports(path))]


def test_upward_import_is_detected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SOURCE", tmp_path)
    below = tmp_path / "agentrows" / "db" / "pool.py"
    below.parent.mkdir(parents=True)

    below.write_text("from agentrows.stores.agents import AgentStore\n")

    assert upward(below) == {"stores"}


def test_gen_contains_only_generated_files() -> None:
    generated = [path for path in modules("agentrows") if part_of(path) == "gen"]

    assert generated
    for path in generated:
        assert path.read_text().startswith("# Code generated by sqlc-gen-asyncpg"), path
