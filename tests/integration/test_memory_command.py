"""`agentrows memory`: builds of indexes, and copies, with their output and exit codes."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pytest

from agentrows import ConfigError, PostgresClient, Settings
from support.command_line import run_main
from support.postgres import SERVICE, SUPERUSER, as_role
from support.servers import pgbouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.command_line import Ended
    from support.postgres import Server

DIMENSIONS: Final = ("384", "768", "1024", "1536", "3072")
INDEX: Final = "agentrows_memory_nearest_384"
INVALIDATE: Final = """
UPDATE pg_index SET indisvalid = false
WHERE indexrelid = 'agentrows_memory_nearest_384'::regclass
"""


def run_sql(dsn: str, query: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(as_role(dsn, SUPERUSER))
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def memory(dsn: str, *arguments: str, role: str = SUPERUSER) -> Ended:
    return run_main("memory", *arguments, AGENTROWS_DATABASE_URL=as_role(dsn, role))


def states(dsn: str) -> dict[str, str]:
    """Return the state of each index, by the number of dimensions."""
    lines = memory(dsn, "indexes").out.splitlines()
    assert lines[0] == "dimensions\tindex\tstate"
    return {line.split("\t")[0]: line.split("\t")[2] for line in lines[1:]}


def test_indexes_are_built_once_and_listed(migrated: str) -> None:
    assert states(migrated) == dict.fromkeys(DIMENSIONS, "none")

    built = [memory(migrated, "index", "--dimensions", number) for number in DIMENSIONS]
    again = memory(migrated, "index", "--dimensions", "384")

    assert [(ended.code, ended.out) for ended in built] == [
        (0, f"built the index agentrows_memory_nearest_{number}\n") for number in DIMENSIONS
    ]
    assert "memory_indexes/384.sql done in" in built[0].err
    assert (again.code, again.out, again.err) == (0, f"there is already the index {INDEX}\n", "")
    assert states(migrated) == dict.fromkeys(DIMENSIONS, "valid")


def test_invalid_index_is_dropped_and_built_again(
    migrated: str, caplog: pytest.LogCaptureFixture
) -> None:
    memory(migrated, "index", "--dimensions", "384")
    run_sql(migrated, INVALIDATE)
    assert states(migrated)["384"] == "INVALID"

    ended = memory(migrated, "index", "--dimensions", "384")

    assert ended.code == 0
    assert f"dropping the INVALID index public.{INDEX}" in caplog.text
    assert states(migrated)["384"] == "valid"


def test_dry_run_prints_the_statement(migrated: str) -> None:
    ended = memory(migrated, "index", "--dimensions", "1024", "--dry-run")

    assert ended.code == 0
    assert "CREATE INDEX CONCURRENTLY IF NOT EXISTS agentrows_memory_nearest_1024" in ended.out
    assert states(migrated)["1024"] == "none"


@pytest.mark.parametrize("number", ["100", "0", "-1", "x", "385"])
def test_other_dimensions_are_refused_with_exit_code_2(migrated: str, number: str) -> None:
    ended = memory(migrated, "index", "--dimensions", number)

    assert ended.code == 2
    assert "--dimensions" in ended.err


@pytest.mark.parametrize("arguments", [("index", "--dimensions", "384"), ("indexes",)])
def test_missing_table_is_exit_code_3_with_its_cure(
    database: str, arguments: tuple[str, ...]
) -> None:
    ended = memory(database, *arguments)

    assert ended.code == 3
    assert "run `agentrows migrate up`" in ended.err


def test_role_that_does_not_own_the_table_is_refused(migrated: str) -> None:
    ended = memory(migrated, "index", "--dimensions", "384", role=SERVICE)

    assert ended.code == 1
    assert "does not own public.agentrows_memory" in ended.err
    assert states(migrated)["384"] == "none"


def test_name_of_the_index_on_another_table_is_an_error(migrated: str) -> None:
    run_sql(migrated, f"CREATE INDEX {INDEX} ON session (id)")

    ended = memory(migrated, "index", "--dimensions", "384")

    assert ended.code == 1
    assert "is taken by another relation" in ended.err


def test_build_through_a_pooler_is_refused(server: Server, migrated: str) -> None:
    name = migrated.partition("?")[0].rpartition("/")[2]
    with pgbouncer(Path(server.postgres.pgdata), 5432, "postgres", pool_size=2) as port:
        dsn = f"postgresql://postgres@127.0.0.1:{port}/{name}"
        ended = run_main("memory", "index", "--dimensions", "384", AGENTROWS_DATABASE_URL=dsn)

    assert ended.code == 1
    assert "goes through a pooler" in ended.err


@pytest.fixture
def waiting(migrated: str) -> Iterator[subprocess.Popen[str]]:
    """A build in a process of its own, which waits for a transaction that has changed the table."""
    ended = threading.Event()
    started = threading.Event()

    async def hold() -> None:
        connection = await asyncpg.connect(as_role(migrated, SUPERUSER))
        async with connection.transaction():
            await connection.execute("LOCK TABLE agentrows_memory IN ROW EXCLUSIVE MODE")
            started.set()
            await asyncio.to_thread(ended.wait)
        await connection.close()

    holder = threading.Thread(target=lambda: asyncio.run(hold()))
    holder.start()
    started.wait(30)
    process = subprocess.Popen(  # noqa: S603  a command of ours
        [
            *(str(Path(sys.executable).parent / "agentrows"), "memory", "index"),
            *("--dimensions", "384"),
        ],
        env={**os.environ, "AGENTROWS_DATABASE_URL": as_role(migrated, SUPERUSER)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while states(migrated)["384"] != "INVALID":
        assert time.monotonic() < end
        time.sleep(0.05)
    yield process
    process.kill()
    process.wait()
    ended.set()
    holder.join()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_signal_leaves_an_index_that_the_next_build_replaces(
    migrated: str, waiting: subprocess.Popen[str], number: signal.Signals, code: int
) -> None:
    busy = memory(migrated, "index", "--dimensions", "768", "--lock-timeout", "0")
    waiting.send_signal(number)
    _, error = waiting.communicate(timeout=30)

    assert busy.code == 1
    assert "another runner had the migration lock" in busy.err
    assert waiting.returncode == code
    assert "the index is not finished" in error
    assert states(migrated)["384"] == "INVALID"


MANY: Final = """
INSERT INTO agentrows_memory (
    id, model, user_id, agent_name, content, embedding, words, created_at, updated_at
)
SELECT
    'm-' || n, 'plane', 'mira', 'travel', '', array_fill(1.0, ARRAY[size])::vector, '', now(), now()
FROM generate_series(1, 21000) AS n
CROSS JOIN LATERAL (SELECT CASE WHEN n % 10 < 9 THEN 384 ELSE 2 END AS size) AS sizes
"""


def test_doctor_recommends_an_index_for_many_memories(migrated: str) -> None:
    def doctor() -> Ended:
        return run_main(*("migrate", "doctor"), AGENTROWS_DATABASE_URL=as_role(migrated, SUPERUSER))

    assert "memory index" not in doctor().out
    run_sql(migrated, MANY)
    run_sql(migrated, "ANALYZE agentrows_memory")
    ended = doctor()

    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if "\tmemory index\t" in line]
    assert re.search(r"about 1\d,\d{3} memories of 384 dimensions have none", line)
    assert line.endswith("`agentrows memory index --dimensions 384`")
    memory(migrated, "index", "--dimensions", "384")
    assert "memory index" not in doctor().out


def test_index_of_an_older_release_is_named_with_its_statement(migrated: str) -> None:
    run_sql(migrated, "CREATE INDEX agentrows_memory_embedding_384 ON agentrows_memory (id)")
    drop = "DROP INDEX CONCURRENTLY agentrows_memory_embedding_384"

    listed = memory(migrated, "indexes")
    checked = run_main("migrate", "doctor", AGENTROWS_DATABASE_URL=as_role(migrated, SUPERUSER))

    assert listed.out.endswith(
        f"no search uses agentrows_memory_embedding_384, of an older release:\n    {drop}\n"
    )
    assert checked.code == 0
    assert f"-\told index\tno search uses agentrows_memory_embedding_384: `{drop}`" in checked.out
    run_sql(migrated, drop)
    assert "older release" not in memory(migrated, "indexes").out


FILL: Final = """
INSERT INTO memory (id, agent_name, user_id, content, embedding, created_at)
SELECT 'm-' || n, 'travel', 'mira', 'tea ' || n, array_fill(n::real, ARRAY[768])::vector, now()
FROM generate_series(1, {number}) AS n
"""
EMBED: Final = """
import time

async def embed(texts):
    return [[float(len(text)), 1.0] for text in texts]

def slow(texts):
    time.sleep(0.02)
    return [[1.0, 1.0]] * len(texts)

def broken(texts):
    raise TimeoutError("no answer")
"""
COUNT: Final = "SELECT count(*) FROM agentrows_memory WHERE model = 'plane'"


def copy(dsn: str, *arguments: str, **variables: str) -> Ended:
    settings = {"AGENTROWS_MEMORY_TABLE": "agentrows", "AGENTROWS_MEMORY_MODEL": "plane"}
    return run_main(
        *("memory", "copy", *arguments), AGENTROWS_DATABASE_URL=dsn, **(settings | variables)
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a module of the application."""
    (tmp_path / "my_embedder.py").write_text(EMBED)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_copy_counts_copies_and_is_repeatable(migrated: str) -> None:
    run_sql(migrated, FILL.format(number=1200))

    dry = copy(migrated, "--dry-run")
    assert (dry.code, dry.out) == (0, "would copy 1,200 memories to the model plane\n")
    assert run_sql(migrated, COUNT) == 0
    for number in ("1,200", "0"):
        done = copy(migrated)
        assert (done.code, done.out) == (0, f"copied {number} memories to the model plane\n")
    assert run_sql(migrated, COUNT) == 1200


def test_copy_embeds_again_from_another_model(migrated: str, folder: Path) -> None:
    assert folder.exists()
    run_sql(migrated, FILL.format(number=5))
    assert copy(migrated, AGENTROWS_MEMORY_MODEL="first").code == 0

    done = copy(migrated, "--from-model", "first", "--embed", "my_embedder:embed")

    assert (done.code, done.out) == (0, "copied 5 memories to the model plane\n")
    query = "SELECT embedding::text FROM agentrows_memory WHERE model = 'plane' AND id = 'm-1'"
    assert run_sql(migrated, query) == "[5,1]"


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        ((), {"AGENTROWS_MEMORY_MODEL": ""}, "AGENTROWS_MEMORY_MODEL"),
        (("--from-model", "plane"), {}, "another model"),
        (("--embed", "my_embedder:nothing"), {}, "nothing"),
        (("--embed", "my_embedder:time"), {}, "must be a function"),
        (("--embed", "my_embedder:broken"), {}, "raised TimeoutError: no answer"),
    ],
)
def test_wrong_copy_is_one_line_and_exit_code_1(
    migrated: str,
    folder: Path,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    message: str,
) -> None:
    assert folder.exists()
    run_sql(migrated, FILL.format(number=1))
    ended = copy(migrated, *arguments, **variables)

    assert ended.code == 1
    assert message in ended.last_line
    assert run_sql(migrated, COUNT) == 0


def test_error_of_a_changed_setting_names_the_command(migrated: str) -> None:
    run_sql(migrated, FILL.format(number=1))

    async def start() -> None:
        settings = Settings(memory_table="agentrows", memory_model="plane")
        async with PostgresClient.open(migrated, settings=settings, migrations="off"):
            pass

    with pytest.raises(ConfigError, match=r"`agentrows memory copy`.*client\.copy_memories"):
        asyncio.run(start())
    assert copy(migrated).code == 0
    asyncio.run(start())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_signal_stops_the_copy_and_the_next_one_continues(
    migrated: str, folder: Path, number: signal.Signals, code: int
) -> None:
    run_sql(migrated, FILL.format(number=2000))
    process = subprocess.Popen(  # noqa: S603  a command of ours
        [
            *(str(Path(sys.executable).parent / "agentrows"), "memory", "copy"),
            *("--embed", "my_embedder:slow", "--batch-size", "5"),
        ],
        cwd=folder,
        env={
            **os.environ,
            "AGENTROWS_DATABASE_URL": migrated,
            "AGENTROWS_MEMORY_TABLE": "agentrows",
            "AGENTROWS_MEMORY_MODEL": "plane",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while run_sql(migrated, COUNT) == 0:
        assert time.monotonic() < end
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    stored = run_sql(migrated, COUNT)

    assert process.returncode == code
    assert "every batch before is stored" in error
    assert isinstance(stored, int)
    assert 0 < stored < 2000
    done = copy(migrated, "--embed", "my_embedder:embed", "--batch-size", "1000")
    assert done.out == f"copied {2000 - stored:,} memories to the model plane\n"
    assert run_sql(migrated, COUNT) == 2000


def test_help_fits_80_columns(migrated: str) -> None:
    for arguments in (("--help",), ("index", "--help"), ("indexes", "--help"), ("copy", "--help")):
        assert max(map(len, memory(migrated, *arguments).out.splitlines())) <= 80
