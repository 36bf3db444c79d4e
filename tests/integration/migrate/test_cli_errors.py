"""Any command line and any server error end in one line on stderr and a documented exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg.exceptions
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.command_line import Ended, run_main
from support.failing_server import FailingServer, failing_server
from support.runners import COMMAND

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS: Final = (
    ("migrate", "up"),
    ("migrate", "down", "1", "--track", "core"),
    ("migrate", "goto", "1", "--track", "core"),
    ("migrate", "force", "1", "--track", "core"),
    ("migrate", "status"),
    ("migrate", "status", "--json", "--check"),
    ("migrate", "version"),
    ("migrate", "verify"),
    ("migrate", "plan"),
    ("migrate", "plan", "--track", "core", "--to", "1"),
    ("migrate", "dry-run"),
    ("migrate", "doctor"),
)
NO_WAIT: Final = {"AGENTROWS_READY_TIMEOUT_S": "0.2", "AGENTROWS_RETRY_TIMEOUT_S": "0"}
KNOWN_STATES: Final = sorted(
    {
        sqlstate
        for each in vars(asyncpg.exceptions).values()
        if isinstance(sqlstate := getattr(each, "sqlstate", None), str) and len(sqlstate) == 5
    }
)
# One of each class, those that a runner meets, and two of no class that PostgreSQL has.
SQLSTATES: Final = sorted(
    {*{state[:2]: state for state in KNOWN_STATES}.values()}
    | {"42501", "42P01", "42601", "25006", "53300", "57014", "57P01", "57P03", "28P01", "3D000"}
    | {"ZZ000", "QQ123"}
)
TRACK: Final = """
from pathlib import Path
from agentrows.migrate import Track
TRACKS = [Track("app", Path(__file__).parent / "sql", "app_versions")]
"""


def assert_documented(ended: Ended, *context: object) -> None:
    """The exit code is one of the table in docs/operations.md, and an error is one line."""
    assert ended.code in (0, 1, 2, 3), (context, ended)
    assert "Traceback" not in ended.err, (context, ended)
    if ended.code in (1, 3):
        assert re.fullmatch(r"agentrows: \S.*", ended.last_line), (context, ended)
        assert ended.last_line.isprintable(), (context, ended)
        assert ended.err.count("agentrows: ") == 1, (context, ended)
    if ended.code == 2:
        assert ended.last_line.startswith("Error: "), (context, ended)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No pyproject.toml is in the current folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def failing() -> Iterator[FailingServer]:
    with failing_server() as server:
        yield server


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("at", "severity"), [("startup", "FATAL"), ("statement", "ERROR"), ("statement", "FATAL")]
)
def test_any_error_of_the_server_is_one_line(
    command: tuple[str, ...], at: str, severity: str, failing: FailingServer
) -> None:
    failing.at, failing.severity = at, severity  # type: ignore[assignment]
    # Each class meets the two commands that most others are made of, and some of the others.
    number = COMMANDS.index(command)
    is_thorough = command in (("migrate", "up"), ("migrate", "status")) and severity == "ERROR"
    for failing.sqlstate in SQLSTATES if is_thorough else SQLSTATES[number % 8 :: 8]:
        ended = run_main(*command, "--dsn", failing.dsn, **NO_WAIT)

        assert ended.code in (1, 3), (failing.sqlstate, ended)
        assert_documented(ended, failing.sqlstate)


@pytest.mark.parametrize("sqlstate", ["01000", "02000", "57P01"])
@pytest.mark.parametrize("command", [("migrate", "up"), ("migrate", "status")], ids=" ".join)
def test_fatal_error_before_a_reset_is_one_line(
    command: tuple[str, ...],
    sqlstate: str,
    failing: FailingServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing.at, failing.severity, failing.sqlstate = "statement", "FATAL", sqlstate
    monkeypatch.setattr(failing, "resets", True)

    # In a process of its own, whose log of asyncio is stderr.
    done = subprocess.run(  # noqa: S603
        [COMMAND, *command, "--dsn", failing.dsn],
        env={**os.environ, **NO_WAIT},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert re.fullmatch(r"agentrows: .*connection.*\n", done.stderr)
    assert done.returncode == 1


@pytest.mark.parametrize("sqlstate", ["42501", "42601", "XX000", "57P03", "ZZ000"])
def test_any_error_of_the_server_is_one_line_of_the_demo(
    sqlstate: str, failing: FailingServer
) -> None:
    failing.at, failing.severity, failing.sqlstate = "statement", "ERROR", sqlstate

    ended = run_main("demo", "--dsn", failing.dsn, **NO_WAIT)

    assert ended.code in (1, 3)
    assert_documented(ended)


def typed(alphabet: str = "abc :./[]%é漢\udcff\x1b'\"\\-0") -> st.SearchStrategy[str]:
    """Texts that a shell can pass: anything but NUL."""
    return st.text(alphabet, max_size=12)


DSNS: Final = st.one_of(
    st.sampled_from(
        [
            "",
            "postgresql://",
            "postgresql://mira@127.0.0.1:1/shop",
            "postgresql://mira@127.0.0.1:99999/shop",
            "postgresql://[::1",
            "embedded:relative",
            "embedded://host/x",
            "embedded:///tmp/a b",
            "mysql://127.0.0.1/shop",
            "host=127.0.0.1",
            "sslmode=verify-full",
            "postgresql://127.0.0.1:1/?sslmode=nonsense",
            "postgresql://127.0.0.1:1/?sslrootcert=/nowhere&sslmode=verify-ca",
        ]
    ),
    typed().map("postgresql://127.0.0.1:1/{}".format),
    typed().map("postgresql://mira@/shop?host=/nowhere&{}".format),
    typed("abc=&%0é").map("postgresql://127.0.0.1:1/shop?{}".format),
)
NUMBERS: Final = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["", "1e999", "-0", "inf", "nan", "0x10", "\u0661", "1_000", "9" * 400]),
    typed(),
)
TRACK_NAMES: Final = st.one_of(st.sampled_from(["app", "cor", "", "rls", "app "]), typed())
SPECS: Final = st.one_of(
    st.sampled_from(
        ["app:TRACKS", "app:NOTHING", "app", ":", "..:x", "json:dumps", "sys:path", "broken:X"]
    ),
    typed(),
)
OPTIONS: Final[dict[str, st.SearchStrategy[str]]] = {
    "--lock-timeout": NUMBERS,
    "--ddl-lock-timeout": NUMBERS,
    "--transaction": st.one_of(st.sampled_from(["run", "file"]), typed()),
    "--to": NUMBERS,
    "--owner": typed(),
    "--service": typed(),
    "--reader": typed(),
    "--schema": typed(),
    "--nonsense": typed(),
}
FLAGS: Final = ("--json", "--check", "--help", "--version", "--sideways")


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command of agentrows with random options of all commands, and values of any kind."""
    names = ["up", "down", "goto", "force", "status", "version", "verify", "plan", "dry-run"]
    command = draw(st.sampled_from([*names, "doctor", "new", "grants", "nonsense", ""]))
    line = ["grants"] if command == "grants" else ["migrate", command]
    if command in ("down", "goto", "force"):
        line.append(draw(NUMBERS))
    if command == "new":
        line.append(draw(typed()))
    if command in ("down", "goto", "force", "new", "plan") and draw(st.booleans()):
        line += ["--track", draw(TRACK_NAMES)]
    if command not in ("grants", "new"):
        line += ["--dsn", draw(DSNS)]
    line += ["--tracks", draw(SPECS)] if draw(st.booleans()) else []
    for option, value in draw(
        st.lists(
            st.sampled_from(sorted(OPTIONS)).flatmap(lambda o: st.tuples(st.just(o), OPTIONS[o])),
            max_size=2,
        )
    ):
        line += [option, value]
    line += draw(st.lists(st.sampled_from(FLAGS), max_size=1))
    return line


@pytest.fixture(scope="module")
def application() -> Iterator[Path]:
    """A folder with a track of an application, and with a module that raises."""
    folder = Path(tempfile.mkdtemp(prefix="agentrows-typed-"))
    (folder / "sql").mkdir()
    (folder / "app.py").write_text(f"{TRACK}NOTHING = [1]\n")
    (folder / "broken.py").write_text("raise KeyError('X')\n")
    for way in ("up", "down"):
        (folder / "sql" / f"000001_notes.{way}.sql").write_text("SELECT 1;\n")
    yield folder
    shutil.rmtree(folder)


@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(line=command_lines())
def test_any_command_line_ends_in_one_line(
    line: list[str], application: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(application)

    ended = run_main(*line, **NO_WAIT)

    if line != ["migrate", ""]:
        assert_documented(ended, line)


@pytest.mark.parametrize("option", ["--lock-timeout", "--ddl-lock-timeout"])
@pytest.mark.parametrize("value", ["inf", "nan", "-1", "1e300", "-inf"])
def test_timeout_that_is_no_number_of_seconds_is_a_usage_error(option: str, value: str) -> None:
    ended = run_main("migrate", "up", f"{option}={value}")

    assert ended.code == 2
    assert option in ended.last_line


@pytest.mark.parametrize(
    "command",
    ["plan", "down 1", "goto 0", "force 0", "new words"],
)
def test_track_that_does_not_exist_is_named(
    command: str, application: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(application)

    ended = run_main("migrate", *command.split(), "--track", "cor", "--tracks", "app:TRACKS")

    assert (ended.code, ended.out) == (1, "")
    assert ended.err == (
        "agentrows: there is no track 'cor'; there are: "
        "core, vector, agentrows, agentrows_vector, app\n"
    )


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("raise KeyError('x')", "cannot be imported: KeyError: 'x'"),
        ("raise SystemExit(0)", "cannot be imported: SystemExit"),
        ("import nowhere", "cannot be imported: ModuleNotFoundError"),
        ("def", "cannot be imported: SyntaxError"),
        ("TRACKS = 5", "must be a list of agentrows.migrate.Track, not int"),
        ("TRACKS = None", "not NoneType"),
        ("TRACKS = Track('app', Path('m'), 't')", "not Track"),
        ("TRACKS = [Track('app', Path('m'), 't'), 'x']", "it contains str"),
        ("TRACKS = [Track('app', 'm', 't')]", "track 'app': directory must be Path, not str: 'm'"),
        ("TRACKS = [Track('', Path('m'), 't')]", "a track's name must be text"),
        ("TRACKS = [Track('a', Path('m'), 't', schema='pg_x')]", "begins with pg_"),
        ("TRACKS = [Track('a', Path('m'), 't', schema='x' * 64)]", "longer than 63 characters"),
        ("TRACKS = [Track('a', Path('m'), 't' * 56)]", "longer than 55 characters"),
        ("TRACKS = [Track('app')]", "cannot be imported: TypeError"),
    ],
)
def test_tracks_of_an_application_that_are_wrong_are_described(
    code: str, problem: str, tmp_path: Path
) -> None:
    module = f"tracks_{abs(hash((code, str(tmp_path))))}"
    head = "from pathlib import Path\nfrom agentrows.migrate import Track\n"
    (tmp_path / f"{module}.py").write_text(f"{head}{code}\n")

    ended = run_main(
        *("migrate", "status", "--dsn", "postgresql://127.0.0.1:1/x", "--tracks"),
        f"{module}:TRACKS",
        **NO_WAIT,
    )

    assert ended.code == 1
    assert problem in ended.last_line
    assert_documented(ended)


@pytest.mark.parametrize(
    ("pyproject", "problem"),
    [
        ('[tool]\nagentrows = "x"', "`agentrows` must be a table"),
        ('tool = "x"', "`tool` must be a table"),
        ("[tool.agentrows]\ntracks = 5", "tracks in [tool.agentrows] must be text"),
        ("[tool.agentrows]\ntracks = ['app:TRACKS']", "tracks in [tool.agentrows] must be text"),
        ("[tool", "is not TOML"),
        ("x = " + "[" * 5000, "is not TOML"),
    ],
)
def test_pyproject_that_is_wrong_is_described(pyproject: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)

    ended = run_main("migrate", "status", "--dsn", "postgresql://127.0.0.1:1/x", **NO_WAIT)

    assert ended.code == 1
    assert problem in ended.last_line
    assert_documented(ended)
