"""Tracks: ordered lists of migration files, each with a tracking table of its own.

File names are golang-migrate's (`000001_initial.up.sql`) with stricter rules: six digits,
contiguous from 1, an up and a down file for every number, nothing else in the directory. Files that
golang-migrate ignores, or applies by accident (`000001_x.up.sql.orig`), are errors here.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Self

from agentrows.errors import InvalidTrack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    import asyncpg

    Precheck = Callable[[asyncpg.Connection], Awaitable[None]]

FILE_NAME: Final = re.compile(r"(?P<version>[0-9]{6})_(?P<name>[a-z0-9_]+)\.(?P<way>up|down)\.sql")
IDENTIFIER: Final = re.compile(r"[a-z_][a-z0-9_]*")
NO_TRANSACTION: Final = re.compile(r"--\s*no-transaction\b:?[ \t]*(?P<reason>.*)")
BLOCK_COMMENT_MARK: Final = re.compile(r"/\*|\*/")
# PostgreSQL cuts names at 63 bytes, and `<table>_history` has to fit as well.
LONGEST_NAME: Final = 63
LONGEST_TABLE: Final = LONGEST_NAME - len("_history")


FIELD_TYPES: Final[dict[str, type]] = {
    "directory": Path,
    "table": str,
    "schema": str,
    "extensions": tuple,
    "after": str,
    "required_version": int,
}
OPTIONAL_FIELDS: Final = ("schema", "after", "required_version")


@dataclass(frozen=True, slots=True)
class File:
    """One SQL file: its label (`core/000001_initial.up.sql`), its text, the hash of its bytes."""

    label: str
    sql: str
    sha256: str

    @property
    def no_transaction(self) -> str | None:
        """The reason why the file cannot run in a transaction; None if it can."""
        line = NO_TRANSACTION.match(self.sql)
        return line["reason"].strip() if line else None

    @property
    def is_blank(self) -> bool:
        """Whether the file has no statement: only spaces, comments and semicolons."""
        return _skip_blank(self.sql) == len(self.sql)

    @classmethod
    def read(cls, path: Path, label: str) -> Self:
        """Read a file; raise InvalidTrack if it is not plain UTF-8 with LF line ends."""
        data = path.read_bytes()
        try:
            sql = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidTrack(f"{label}: is not UTF-8 (byte {error.start})") from None
        for character, name in (("\ufeff", "a byte order mark"), ("\r", "CR"), ("\0", "NUL")):
            if character in sql:
                raise InvalidTrack(f"{label}: contains {name}; save it as plain UTF-8 with LF")
        file = cls(label=label, sql=sql, sha256=hashlib.sha256(data).hexdigest())
        if file.no_transaction == "":
            raise InvalidTrack(f"{label}: `-- no-transaction: <reason>` lacks its reason")
        return file


@dataclass(frozen=True, slots=True)
class Migration:
    """The up file and the down file of one version."""

    version: int
    name: str
    up: File
    down: File


@dataclass(frozen=True, slots=True)
class Track:
    """A directory of migrations, and the tracking table with the applied version.

    `schema`: the schema of the tables, which is created if it is missing; None is the connection's
    current schema. It is the search_path of the track's files, followed by the schemas of the
    installed `extensions`.
    `precheck`: a function that is called with the connection before the first statement of a run
    with files of this track to apply; its errors stop the run.
    `after`: a track earlier in the list, or one of the library's. If that one has files to run
    without a transaction, the files of this track run after them.
    `required_version`: the files above it are optional: without them the application is slower or
    lacks a feature, and a service that starts does not wait for them. None: every file is required.
    An optional file must have the same result when it runs twice, because `up` runs it again if its
    index is missing.
    """

    name: str
    directory: Path
    table: str
    schema: str | None = None
    precheck: Precheck | None = None
    extensions: tuple[str, ...] = ()
    after: str | None = None
    required_version: int | None = None

    @property
    def is_builtin(self) -> bool:
        """Whether its files come with the library."""
        return self.directory.parent == migrations_root()

    def __post_init__(self) -> None:
        """Raise InvalidTrack for a field of a wrong type, or a name that PostgreSQL refuses."""
        self._check_types()
        for field, name, longest in (
            ("table", self.table, LONGEST_TABLE),
            ("schema", self.schema, LONGEST_NAME),
        ):
            if name is None:
                continue
            if not IDENTIFIER.fullmatch(name):
                raise InvalidTrack(
                    f"track {self.name!r}: the {field} {name!r} is not of the form [a-z_][a-z0-9_]*"
                )
            if len(name) > longest:
                raise InvalidTrack(
                    f"track {self.name!r}: the name of the {field} is longer than {longest} "
                    f"characters: {name!r}"
                )
        if self.required_version is not None and self.required_version < 0:
            raise InvalidTrack(
                f"track {self.name!r}: required_version must be 0 or more, "
                f"got {self.required_version}"
            )
        if self.schema is not None and self.schema.startswith("pg_"):
            raise InvalidTrack(
                f"track {self.name!r}: the schema {self.schema!r} begins with pg_, which "
                "PostgreSQL reserves"
            )

    def _check_types(self) -> None:
        """Raise InvalidTrack for a field of a wrong type."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        name = values["name"]
        if not (isinstance(name, str) and name and name.isprintable()):
            raise InvalidTrack(f"a track's name must be text without control characters: {name!r}")
        for field, value in values.items():
            wanted = FIELD_TYPES.get(field, object)
            if value is None and field in OPTIONAL_FIELDS:
                continue
            if not isinstance(value, wanted):
                raise InvalidTrack(
                    f"track {name!r}: {field} must be {wanted.__name__}, "
                    f"not {type(value).__name__}: {value!r}"
                )
        if not all(isinstance(each, str) for each in values["extensions"]):
            raise InvalidTrack(f"track {name!r}: extensions must be a tuple of names")
        if not (values["precheck"] is None or callable(values["precheck"])):
            raise InvalidTrack(f"track {name!r}: precheck must be a function")


@dataclass(frozen=True, slots=True)
class LoadedTrack:
    """A track and its migrations, in order."""

    track: Track
    migrations: tuple[Migration, ...]

    @property
    def newest(self) -> int:
        """The version of the last file."""
        return self.migrations[-1].version

    @property
    def required(self) -> int:
        """The version that this release needs; the files above it are optional."""
        required = self.track.required_version
        return self.newest if required is None else required

    @property
    def optional(self) -> tuple[Migration, ...]:
        """The migrations above the required version."""
        return tuple(each for each in self.migrations if each.version > self.required)


def load(track: Track) -> LoadedTrack:
    """Read the files of a track; raise InvalidTrack, with the file or number, for a wrong one."""
    if not track.directory.is_dir():
        raise InvalidTrack(f"track {track.name!r}: there is no directory {track.directory}")
    ups, downs = _files(track, "up"), _files(track, "down")
    _refuse_strays(track, {*ups.values(), *downs.values()})
    for version in sorted(ups.keys() ^ downs.keys()):
        path, lacks = (ups[version], "down") if version in ups else (downs[version], "up")
        raise InvalidTrack(f"{_label(track, path)}: has no .{lacks}.sql beside it")
    if not ups:
        raise InvalidTrack(f"track {track.name!r}: {track.directory} has no migration")
    loaded = LoadedTrack(track, tuple(_migrations(track, ups, downs)))
    if loaded.required > loaded.newest:
        raise InvalidTrack(
            f"track {track.name!r}: required_version is {loaded.required}, and the newest file is "
            f"{loaded.newest}"
        )
    return loaded


def load_all(tracks: Sequence[Track]) -> tuple[LoadedTrack, ...]:
    """Read the files of every track.

    Raises InvalidTrack also if two tracks have the same name, or if a track is not listed behind
    the track that it comes `after`.
    """
    for name, count in Counter(track.name for track in tracks).items():
        if count > 1:
            raise InvalidTrack(f"{count} tracks are named {name!r}")
    _refuse_disorder(tracks)
    return tuple(load(track) for track in tracks)


def get_track(loaded: Sequence[LoadedTrack], name: str) -> LoadedTrack:
    """Return the track with this name; raise InvalidTrack if there is none."""
    for known in loaded:
        if known.track.name == name:
            return known
    names = ", ".join(each.track.name for each in loaded)
    raise InvalidTrack(f"there is no track {name!r}; there are: {names}")


def _refuse_disorder(tracks: Sequence[Track]) -> None:
    names = [track.name for track in tracks]
    for number, track in enumerate(tracks):
        if track.after is None or track.after in names[:number]:
            continue
        if track.after in names:
            raise InvalidTrack(
                f"track {track.name!r} comes after {track.after!r}, so list it behind that track"
            )
        if track.after not in {path.name for path in migrations_root().iterdir()}:
            raise InvalidTrack(
                f"track {track.name!r} comes after {track.after!r}, and there is no such track; "
                f"there are: {', '.join(names)}"
            )


def migrations_root() -> Path:
    """Return the directory of the built-in tracks: in an installed wheel, or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return package / "migrations" if is_installed() else package.parent.parent / "migrations"


def is_installed() -> bool:
    """Return whether the built-in tracks are in an installed package, and not in a checkout."""
    return (Path(__file__).resolve().parent.parent / "migrations").is_dir()


def _skip_blank(sql: str) -> int:
    """Return where the first statement starts; the length of the text if there is none."""
    at = 0
    while at < len(sql):
        if sql[at] in " \t\n\f\v;":
            at += 1
        elif sql.startswith("--", at):
            at = (sql.find("\n", at) + 1) or len(sql)
        elif sql.startswith("/*", at):
            at = _skip_block_comment(sql, at)
        else:
            return at
    return at


def _skip_block_comment(sql: str, start: int) -> int:
    depth = 0
    for mark in BLOCK_COMMENT_MARK.finditer(sql, start):  # PostgreSQL's block comments nest
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(sql)


def _label(track: Track, path: Path) -> str:
    return f"{track.name}/{path.name}"


def _files(track: Track, way: Literal["up", "down"]) -> dict[int, Path]:
    paths: dict[int, Path] = {}
    for path in sorted(track.directory.iterdir()):
        name = FILE_NAME.fullmatch(path.name)
        if name and name["way"] == way and path.is_file():
            version = int(name["version"])
            if version in paths:
                raise InvalidTrack(
                    f"{_label(track, path)}: {paths[version].name} has the same number"
                )
            paths[version] = path
    return paths


def _refuse_strays(track: Track, taken: Iterable[Path]) -> None:
    for stray in sorted(set(track.directory.iterdir()) - set(taken)):
        raise InvalidTrack(
            f"{_label(track, stray)}: is not named NNNNNN_name.up.sql or NNNNNN_name.down.sql"
        )


def _migrations(track: Track, ups: dict[int, Path], downs: dict[int, Path]) -> Iterable[Migration]:
    for expected, version in enumerate(sorted(ups), start=1):
        if version != expected:
            raise InvalidTrack(
                f"track {track.name!r}: {expected:06} is missing before {ups[version].name}"
            )
        up, down = ups[version], downs[version]
        stem = up.name.removesuffix(".up.sql")
        if down.name != f"{stem}.down.sql":
            raise InvalidTrack(f"{_label(track, down)}: its up is named {up.name}")
        yield Migration(
            version=version,
            name=stem,
            up=File.read(up, _label(track, up)),
            down=File.read(down, _label(track, down)),
        )
