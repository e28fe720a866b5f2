"""What every test needs and is slow to make, made once in a process: schemas, graphs, vectors.

Nothing here is a stand-in.  A new SQLite database gets the statements that the migrations gave
to the first one.  A statement is put in words once for all SQLite databases, not once for each
that is opened.  A graph is examined and loaded once.  The engine's answer to an input is kept
under the input's bytes, and a picture of a report under what it is drawn of.  The same text of
settings is read once.  A process with limits is a fork of one that has loaded what such processes
need.  Tests of the migrations and of the engine itself work without any of it: see the fixture
`from_scratch`.
"""

from __future__ import annotations

import hashlib
import pickle
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from sqlalchemy import Connection, Dialect, Engine
from sqlalchemy.util import LRUCache
from worker_forks import Worker

from voiceid import limited_process, settings_text
from voiceid.models.runtime import Session
from voiceid.shipped import SCHEMA_HEAD, shipped
from voiceid.store import upgrade

_MIGRATIONS = shipped("migrations")
_load, _migrate = onnxruntime.InferenceSession, upgrade.run_migrations
_open, _make_engine = Session.open, Engine.__init__
_switched_off: list[str] = []


@contextmanager
def from_scratch() -> Iterator[None]:
    """Load, compute and migrate as the program does alone."""
    _switched_off.append("by a test")
    try:
        yield
    finally:
        _switched_off.pop()


class _Heard:
    """A session of the engine that does not answer the same input twice."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._answers: dict[bytes, list[np.ndarray]] = {}

    def run(self, outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        if _switched_off:
            return self._session.run(outputs, feeds)
        key = _digest(outputs, feeds)
        if key not in self._answers:
            self._answers[key] = self._session.run(outputs, feeds)
        return [answer.copy() for answer in self._answers[key]]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def _digest(outputs: Sequence[str], feeds: Mapping[str, np.ndarray]) -> bytes:
    digest = hashlib.sha256(repr(outputs).encode())
    for name, array in sorted(feeds.items()):
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array))
    return digest.digest()


_sessions: dict[tuple[str, ...], _Heard] = {}


@cache
def _content(path: Path, _stamp: tuple[int, ...]) -> str:
    """Return the hash of a file, which is read again only when its stamp is another."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    file = path.stat()
    return file.st_dev, file.st_ino, file.st_mtime_ns, file.st_size


def _hashed(path: Path) -> str:
    return _content(path, _stamp(path))


def _loaded(graph: str | bytes, options: Any, **more: Any) -> Any:
    """Load a graph, or return the session that was made of the same bytes in the same way."""
    if _switched_off:
        return _load(graph, options, **more)
    settings = {n: getattr(options, n) for n in dir(options) if n.startswith(("intra", "enable"))}
    in_memory = isinstance(graph, bytes)
    content = hashlib.sha256(graph).hexdigest() if in_memory else _hashed(Path(graph))
    key = (content, repr(settings), repr(more))
    if key not in _sessions:
        _sessions[key] = _Heard(_load(graph, options, **more))
    return _sessions[key]


_opened_files: dict[tuple[Any, ...], Session] = {}


def _opened(path: Path, **asked: Any) -> Session:
    """Open a graph file; one that was found good is not hashed and examined again."""
    if _switched_off or not path.is_file():
        return _open(path, **asked)
    key = (path, _stamp(path), repr(sorted(asked.items())))
    if key not in _opened_files:
        _opened_files[key] = _open(path, **asked)
    return _opened_files[key]


def _migrated(connection: Connection, target: str = "head") -> None:
    """Run the migrations, or on a new file what they came to."""
    ours = upgrade.SCHEMA_HEAD == SCHEMA_HEAD and upgrade.migrations_folder() == _MIGRATIONS
    ours = ours and target == "head"
    if _switched_off or not ours or not _is_empty_file(connection):
        _migrate(connection, target)
    else:
        raw = connection.connection.cursor()  # SQLAlchemy would take half of the time
        for statement in _schema():
            raw.execute(statement)


def _is_empty_file(connection: Connection) -> bool:
    if connection.dialect.name != "sqlite":
        return False
    return connection.exec_driver_sql("SELECT name FROM sqlite_master").first() is None


@cache
def _schema() -> tuple[str, ...]:
    """Return the statements that make a database which the migrations have made."""
    with tempfile.TemporaryDirectory() as folder, from_scratch():
        path = Path(folder) / "voices.sqlite3"
        upgrade.upgrade(path)
        with closing(sqlite3.connect(path)) as connection:
            lines = tuple(connection.iterdump())
    return tuple(line for line in lines if line not in {"BEGIN TRANSACTION;", "COMMIT;"})


_N_STATEMENTS = 10_000
_compiled: list[tuple[Dialect, LRUCache[Any, Any]]] = []


def _made(engine: Engine, *args: Any, **more: Any) -> None:
    """Make an engine; that of an SQLite database has the statements of all others."""
    _make_engine(engine, *args, **more)
    if _switched_off or engine.dialect.name != "sqlite":
        return
    if not _compiled:
        _compiled.append((engine.dialect, LRUCache(_N_STATEMENTS)))
    [(engine.dialect, engine._compiled_cache)] = _compiled


def _started(command: Sequence[object], **more: Any) -> Any:
    """Start a process with limits."""
    if _switched_off:
        return subprocess.Popen(command, **more)
    return Worker("limited_worker", text=False, **limited_process._ALONE)


def remember() -> None:
    """Remember from here on, in this process."""
    limited_process.subprocess = SimpleNamespace(**{**vars(subprocess), "Popen": _started})
    onnxruntime.InferenceSession = _loaded
    Session.open = _opened
    upgrade.run_migrations = _migrated
    settings_text._parsed = cache(settings_text._parsed)
    remember_statements()


def remember_statements() -> None:
    """Put a statement in words once, in this process and its forks."""
    Engine.__init__ = _made


_figures: dict[bytes, Any] = {}
_written: dict[tuple[str, int], bytes] = {}


def _drawn(draw: Callable[..., Any]) -> Callable[..., Any]:
    def drawn(*args: Any, **more: Any) -> Any:
        if _switched_off:
            return draw(*args, **more)
        given = pickle.dumps((draw.__name__, args, more))
        key = hashlib.sha256(given).digest()
        if key not in _figures:
            _figures[key] = draw(*args, **more)
        return _figures[key]

    return drawn


def _saved(write: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    def saved(figure: Any) -> bytes:
        if not any(figure is kept for kept in _figures.values()):
            return write(figure)
        key = (write.__name__, id(figure))
        if key not in _written:
            _written[key] = write(figure)
        return _written[key]

    return saved


def remember_charts() -> None:
    """Remember from here on the pictures of reports by what they are drawn of."""
    from voiceid.evaluation import charts

    of = vars(charts.pictures)
    drawn = {
        n: _drawn(of[n]) for n in ("cmc", "det", "open_set", "reliability", "score_histograms")
    }
    saved = {name: _saved(of[name]) for name in ("png", "svg")}
    charts.pictures = SimpleNamespace(**{**of, **drawn, **saved})
