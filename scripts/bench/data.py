"""What the benchmarks work on: app folders with sessions, and databases of records alone."""

import concurrent.futures
import datetime
import os
import pathlib
import random
import re
import shutil
import sqlite3
import uuid

IMAGE = os.urandom(4096)


def schema():
    """The app's tables as the tests have them, so that there is one copy to keep."""
    header = pathlib.Path(__file__).parents[2] / "tests" / "support" / "app_schemas.hpp"
    found = re.search(r'schema_current = R"sql\((.*?)\)sql"', header.read_text(), re.DOTALL)
    if not found:
        raise RuntimeError(f"{header}: no schema_current in it")
    return found[1]


def timestamp(hours_ago):
    moment = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=hours_ago)
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")


class App:
    """An app's root folder."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.database = self.root / "backend" / "calibration.db"
        self.uploads = self.root / "uploads"
        self.expired = []
        self.kept = []

    def make(self, expired, kept, files, rows=None):
        """`expired` and `kept` sessions of `files` images each, the oldest first."""
        self.expired = [str(uuid.uuid4()) for _ in range(expired)]
        self.kept = [str(uuid.uuid4()) for _ in range(kept)]
        self.uploads.mkdir(parents=True)
        self.database.parent.mkdir()
        make_database(self.database, self.expired + self.kept, files if rows is None else rows,
                      set(range(expired)))
        for name in self.expired + self.kept:
            self.make_directory(name, files)
        return self

    def make_directory(self, name, files):
        os.mkdir(self.uploads / name)
        directory = os.open(self.uploads / name, os.O_RDONLY | os.O_DIRECTORY)
        for number in range(files):
            file = os.open(f"image_{number:03}.png", os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                           dir_fd=directory)
            os.write(file, IMAGE)
            os.close(file)
        os.close(directory)

    def remove(self):
        # Where unlinking waits for the disk, only many at a time make it bearable.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            list(pool.map(shutil.rmtree, self.uploads.iterdir()))
        shutil.rmtree(self.root)

    def names(self):
        return set(os.listdir(self.uploads))


def make_database(path, sessions, rows, expired, wal=False):
    """Image rows for each of the ids in `sessions`; those at the positions in `expired` are old."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode=OFF")
    database.execute("PRAGMA synchronous=OFF")
    database.executescript(schema())
    old, new = timestamp(48), timestamp(1)
    database.executemany(
        "INSERT INTO sessions (id, images_dir, created_at) VALUES (?, ?, ?)",
        ((name, f"uploads/{name}", old if position in expired else new)
         for position, name in enumerate(sessions)))
    database.execute(
        """WITH RECURSIVE number(n) AS (SELECT 1 WHERE ?1 > 0
                                        UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
           INSERT INTO calibration_images (session_id, image_path, uploaded_at)
           SELECT id, printf('uploads/%s/image_%03d.png', id, n), created_at
           FROM sessions CROSS JOIN number ORDER BY sessions.rowid, n""", (rows,))
    database.commit()
    database.execute("PRAGMA journal_mode=" + ("WAL" if wal else "DELETE"))
    database.close()


def scattered(count, share):
    return set(random.sample(range(count), round(count * share)))
