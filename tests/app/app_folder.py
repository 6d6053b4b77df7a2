"""An app's root folder for a test: its code, its database and its uploads."""

import os
import select
import shutil
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg2

SOURCE = Path(__file__).resolve().parents[2]
ADAPTER = SOURCE / "scripts" / "app" / "cleanup.py"

# What the tests run; the adapter finds it through the same variable.
TOOL = os.environ["CALIB_CLEANUP_BIN"]

# The folder of the socket of a PostgreSQL server, where there is one.
SERVER = os.environ.get("CALIB_TEST_POSTGRESQL")

PNG = b"\x89PNG\r\n\x1a\n, as far as anybody here looks"
DEADLINE = 30
"""Seconds after which something that should have happened is taken for lost."""

SCHEMA = """
CREATE TABLE sessions (
    id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, created_at DATETIME, PRIMARY KEY (id));
CREATE TABLE calibration_images (
    id INTEGER NOT NULL, session_id VARCHAR, image_path VARCHAR NOT NULL, uploaded_at DATETIME,
    PRIMARY KEY (id), FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
"""


class AppFolder:
    """The folder, and what the tests ask of it and do to it behind the app's back."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="calib-app-"))
        self.root = self._folder / "app"
        shutil.copytree(SOURCE / "tests" / "app" / "backend", self.root / "backend",
                        ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ADAPTER, self.root / "backend" / "utils")
        self.uploads = self.root / "uploads"
        self.database = self.root / "backend" / "calibration.db"

    def __enter__(self) -> "AppFolder":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        shutil.rmtree(self._folder)

    def create(self) -> None:
        """What the app makes at its first start, as far as a clean-up looks."""
        self.uploads.mkdir()
        with self.connected() as database:
            database.executescript(SCHEMA)

    settings: dict[str, str] = {}
    """What the app needs in its environment."""

    @contextmanager
    def connected(self) -> Iterator[sqlite3.Connection]:
        """The database, for one transaction; no power is lost in a test, so nothing is synced."""
        with closing(sqlite3.connect(self.database, timeout=DEADLINE)) as database, database:
            database.execute("PRAGMA synchronous = OFF")
            yield database

    def write_lock(self) -> "closing[sqlite3.Connection]":
        """Keeps everybody else from writing to the database, until it is closed."""
        database = sqlite3.connect(self.database, isolation_level=None)
        database.execute("BEGIN IMMEDIATE")
        return closing(database)

    def add_session(self, hours_old: float, session_id: str | None = None) -> str:
        """A session with two images."""
        name = str(uuid.uuid4())
        session_id = session_id or name
        paths = [Path("uploads", name, image) for image in ("image_000.png", "image_001.png")]
        with self.connected() as database:
            database.execute("INSERT INTO sessions (id, images_dir) VALUES (?, ?)",
                             (session_id, f"uploads/{name}"))
            database.executemany(
                "INSERT INTO calibration_images (session_id, image_path) VALUES (?, ?)",
                [(session_id, str(path)) for path in paths])
        self.age(hours_old, session_id)
        (self.uploads / name).mkdir()
        for path in paths:
            (self.root / path).write_bytes(PNG)
        return session_id

    def run(self, sql: str, *parameters: str) -> list[Any]:
        """The rows that it gives, if any."""
        with self.connected() as database:
            return database.execute(sql, parameters).fetchall()

    def age(self, hours: float, *session_ids: str) -> None:
        """Makes sessions as old as that, all at once."""
        created = datetime.now(timezone.utc) - timedelta(hours=hours)
        self.run("UPDATE sessions SET created_at = ?"
                 f" WHERE id IN ({', '.join('?' * len(session_ids))})",
                 created.strftime("%Y-%m-%d %H:%M:%S.%f"), *session_ids)

    def add_orphan(self) -> str:
        """A directory without a session."""
        name = str(uuid.uuid4())
        (self.uploads / name).mkdir()
        (self.uploads / name / "image_000.png").write_bytes(PNG)
        return name

    def session_ids(self) -> set[str]:
        """The sessions that the database has."""
        return {row[0] for row in self.run("SELECT id FROM sessions")}

    def directories(self) -> set[str]:
        """The entries of the uploads folder, hidden ones too."""
        return {entry.name for entry in self.uploads.iterdir()}

    def state(self) -> dict[str, object]:
        """Everything that a clean-up could take or change."""
        state: dict[str, object] = {
            str(path): path.read_bytes() if path.is_file() else None
            for path in self.uploads.rglob("*")
        }
        for table in ("sessions", "calibration_images"):
            state[table] = self.run(f"SELECT * FROM {table} ORDER BY id")
        return state


class PostgresqlFolder(AppFolder):
    """The same, with a database of its own on the server that the tests were given."""

    def __init__(self) -> None:
        super().__init__()
        name = f"app_{uuid.uuid4().hex}"
        host = os.path.realpath(SERVER or "")
        server = f"host={host} user=tester dbname="
        self._database = server + name
        with closing(psycopg2.connect(server + "postgres")) as database:
            database.autocommit = True
            database.cursor().execute(f"CREATE DATABASE {name}")
        self.settings = {"DATABASE_URL": f"postgresql://tester@/{name}?host={host}"}

    def run(self, sql: str, *parameters: str) -> list[Any]:
        with closing(psycopg2.connect(self._database)) as database, database:
            cursor = database.cursor()
            cursor.execute(sql.replace("?", "%s"), parameters)
            return list(cursor.fetchall()) if cursor.description else []


class AnnouncedTool:
    """A script that tells the process it runs in, and then becomes the tool."""

    def __init__(self, app: AppFolder) -> None:
        self.path = str(app.root / "announced-tool")
        pipe = app.root / "announcements"
        os.mkfifo(pipe)
        # Open for both, it never ends, and nobody has to wait for the other side to open it.
        self._pipe = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
        Path(self.path).write_text(f'#!/bin/sh\necho $$ >"{pipe}"\nexec "{TOOL}" "$@"\n')
        os.chmod(self.path, 0o755)

    def __enter__(self) -> "AnnouncedTool":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        os.close(self._pipe)

    def started(self) -> int:
        """Waits for the next start; the process."""
        line = b""
        while not line.endswith(b"\n"):
            if not select.select([self._pipe], [], [], DEADLINE)[0]:
                raise TimeoutError("the tool was never started")
            line += os.read(self._pipe, 1)
        return int(line)
