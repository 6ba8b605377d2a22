"""From a path to a connection that can be trusted: one clear line for everything that is no run file of ours.

The file itself is never written to, whatever state it was left in, and nothing in it is executed: no extension, no
trigger, no view, no virtual table gets past `_check_schema`.
"""

import difflib
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from results import schema
from results.errors import RunFileError

MAX_VALUE_BYTES = 64 * 2**20
"""The largest text or blob that is written or read."""

_MAGIC = b"SQLite format 3\x00"
_SIDECARS = ("-wal", "-journal")
_PLANNER_STATISTICS = {
    ("table", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("table", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
}
"""Left by ANALYZE, as browsers of SQLite files run it: hints for the query planner and nothing else."""
_CODE = 0xFF
"""Mask from SQLite's extended result codes to the primary ones."""


UNREADABLE = (sqlite3.Error, UnicodeDecodeError)
"""What Python's sqlite3 raises for damaged content; the second for a damaged name inside its own error message."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what SQLite says about unreadable content into RunFileError."""
    try:
        yield
    except UNREADABLE as error:
        why = one_line(error)
        raise RunFileError(f"{path} is damaged or cannot be read ({why}); copy it again from its origin") from error


def one_line(said: object) -> str:
    """What SQLite or a stranger's file says, fit for a message: printable, on one line, not endless."""
    text = "".join(c if c.isprintable() else " " for c in str(said))
    return " ".join(text.split())[:300]


def connect(path: Path) -> sqlite3.Connection:
    """A read-only connection to the run file at `path`, in today's schema.

    What a killed writer left in its WAL is read too. A file of an older schema is migrated in a private copy.
    Raises RunFileError in one line: no such file, a folder, empty, not SQLite, not ours, newer, truncated, damaged.
    """
    path = path.expanduser()
    header = _header(path)
    with reading(path):
        connection = _attach(path.resolve(), header)
        try:
            version = _version(connection, path)
            _check_schema(connection, version, path)
            if version < schema.VERSION:
                connection = _private_copy(connection)
                with connection:
                    migrate(connection)
            connection.execute("PRAGMA query_only = ON")
        except BaseException:
            connection.close()
            raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring an open database to today's schema, inside the caller's transaction."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    for step in schema.MIGRATIONS[version:]:
        step(connection)
    connection.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema.VERSION}")


# ------------------------------------------------------------------------------------------- before SQLite


@dataclass(frozen=True, slots=True)
class _Header:
    """What the first 100 bytes say (sqlite.org/fileformat.html, section 1.3)."""

    wal: bool
    size: int | None
    """Bytes that the database has; None where the header does not vouch for it."""


def _header(path: Path) -> _Header:
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise RunFileError(f"{path} is a folder, not a run file; see what is in it with: mtpbench runs {path}")
        if not stat.S_ISREG(status.st_mode):
            raise RunFileError(f"{path} is not a regular file")
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError as error:
        raise RunFileError(f"no run file {path}{_nearest(path)}") from error
    except (OSError, ValueError) as error:
        raise RunFileError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from error
    if not head:
        raise RunFileError(f"{path} is empty: its run never began, or copying it failed")
    if not head.startswith(_MAGIC[: len(head)]):
        raise RunFileError(f"{path} is not a run file (not an SQLite database)")
    if len(head) < 100:
        raise RunFileError(f"{path} is truncated: it ends after {len(head)} bytes; copy it again")
    page = int.from_bytes(head[16:18])
    vouched = head[24:28] == head[92:96]
    size = int.from_bytes(head[28:32]) * (65536 if page == 1 else page) if vouched else None
    header = _Header(wal=head[19] == 2, size=size)
    if not _left_behind(path) and header.size is not None and status.st_size < header.size:
        raise RunFileError(
            f"{path} is truncated: {status.st_size:,} of its {header.size:,} bytes are there; copy it again"
        )
    return header


def _nearest(path: Path) -> str:
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    names = [file.name for file in path.parent.glob("*.sqlite")]
    near = difflib.get_close_matches(path.name, names, n=1)
    return (
        f"; did you mean {path.parent / near[0]}?" if near else f"; see what is there with: mtpbench runs {path.parent}"
    )


def _left_behind(path: Path) -> bool:
    """Is there a log beside the file, as a running or killed writer leaves it?"""
    beside = (path.with_name(path.name + suffix) for suffix in _SIDECARS)
    return any(file.exists() and file.stat().st_size > 0 for file in beside)


# --------------------------------------------------------------------------------------------- with SQLite


def _attach(path: Path, header: _Header) -> sqlite3.Connection:
    if not _left_behind(path):
        # A WAL file that was copied without its (empty) log has no other reader or writer to mind.
        return _open(f"{path.as_uri()}?mode=ro{'&immutable=1' if header.wal else ''}")
    try:
        return _open(f"{path.as_uri()}?mode=ro")
    except sqlite3.OperationalError as error:
        if getattr(error, "sqlite_errorcode", 0) & _CODE not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return _recovered(path)


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


def _recovered(path: Path) -> sqlite3.Connection:
    """The file and its log, put together in a private copy: a read-only folder leaves SQLite no other way."""
    with TemporaryDirectory(prefix="mtpbench-") as folder:
        copy = Path(folder, "run.sqlite")
        for suffix in ("", *_SIDECARS):
            source = path.with_name(path.name + suffix)
            if source.exists():
                shutil.copyfile(source, f"{copy}{suffix}")
        return _private_copy(_open(f"{copy.as_uri()}?mode=rw"))


def _private_copy(connection: sqlite3.Connection) -> sqlite3.Connection:
    """A copy in a temporary database, which SQLite deletes when it is closed; closes the original."""
    copy = _open("file:")
    try:
        connection.backup(copy)
    except BaseException:
        copy.close()
        raise
    finally:
        connection.close()
    return copy


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != schema.APPLICATION_ID:
        raise RunFileError(f"{path} is an SQLite database, but not a run file of mtpbench")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > schema.VERSION:
        raise RunFileError(
            f"{path} has schema {version} and this mtpbench reads up to schema {schema.VERSION}: "
            "upgrade with: pip install --upgrade mtpbench"
        )
    if version < 1:
        raise RunFileError(f"{path} has schema {version}, which no mtpbench writes")
    return int(version)


def _check_schema(connection: sqlite3.Connection, version: int, path: Path) -> None:
    """Nothing but the tables and indexes that this version has, word for word."""
    with closing(_open("file::memory:")) as reference:
        for step in schema.MIGRATIONS[:version]:
            step(reference)
        expected = _objects(reference)
    found = _objects(connection) - _PLANNER_STATISTICS
    for kind, name in sorted({(kind, name) for kind, name, _ in found ^ expected}):
        raise RunFileError(
            f"{path} is not as mtpbench writes it (the {kind} {name!r} differs or does not belong there); "
            "it was altered, so it is not read"
        )


def _objects(connection: sqlite3.Connection) -> set[tuple[str, str, str | None]]:
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master")
    return {(str(kind), str(name), sql) for kind, name, sql in rows}
