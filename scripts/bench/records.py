"""The rows of the table that are about records: databases of many sessions, without files."""

import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import uuid

import data
import measure
import table
from measure import Failed, median, ratios

# As the tool sets them.
PRAGMAS = """PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=OFF; PRAGMA cell_size_check=ON;
PRAGMA temp_store=MEMORY; PRAGMA synchronous=EXTRA; PRAGMA cache_spill=OFF;"""

LONGEST_WAIT = 0.3  # seconds


class Template:
    """A database that is made once and copied for each run. `expired`: positions of sessions."""

    def __init__(self, folder, sessions, rows, expired, wal=False):
        self.ids = [str(uuid.uuid4()) for _ in range(sessions)]
        self.path = folder / "template.db"
        self.left = sessions - len(expired)
        self.kept = next(self.ids[i] for i in reversed(range(sessions)) if i not in expired)
        data.make_database(self.path, self.ids, rows, expired, wal)

    def copy(self, folder):
        app = data.App(folder / "app")
        app.database.parent.mkdir(parents=True)
        app.uploads.mkdir()
        shutil.copyfile(self.path, app.database)
        (app.uploads / self.kept).mkdir()
        measure.settle(folder)
        return app

    def done(self, app):
        """Checks that a run deleted what it was to delete; removes the copy."""
        database = sqlite3.connect(app.database)
        left = database.execute("SELECT count(*) FROM sessions").fetchone()[0]
        database.close()
        if left != self.left:
            raise Failed(f"{left} sessions are left, and not {self.left}")
        app.remove()


def tables():
    database = sqlite3.connect(":memory:")
    database.executescript(data.schema())
    return [name for name, in database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sessions'")]


def one_transaction():
    """What the sqlite3 shell is given: all in one transaction, set-wise."""
    expired = f"SELECT id FROM sessions WHERE created_at < '{data.timestamp(24)}'"
    return (PRAGMAS + "BEGIN IMMEDIATE;" +
            "".join(f"DELETE FROM {name} WHERE session_id IN ({expired});" for name in tables()) +
            f"DELETE FROM sessions WHERE id IN ({expired}); COMMIT;")


def logged(bench, path, template, command):
    """Runs command(app, environment); gives its time and how long it held the write lock."""
    app = template.copy(path)
    log = bench.scratch / "locks"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "LD_PRELOAD": bench.lock_log, "CALIB_BENCH_LOCKS": str(log)}
    result = command(app, environment)
    template.done(app)
    holds = [float(to) - float(since) for since, to in map(str.split, open(log, encoding="ascii"))]
    return result.seconds, sum(holds), max(holds)


def records(bench):
    sessions = bench.size(100_000, 4_000)
    work = f"records {sessions // 2} of {sessions} x 50"

    def at(name, path):
        for wal in (False, True):
            mode = "WAL" if wal else "journal"
            template = Template(path, sessions, 50, set(range(sessions // 2)), wal)
            contestants = {
                "tool": lambda: logged(bench, path, template, lambda app, environment:
                                       bench.clean_up(app, environment=environment)),
                "sqlite3": lambda: logged(bench, path, template, lambda app, environment: bench.run(
                    ["sqlite3", "-init", "/dev/null", app.database, one_transaction()],
                    environment=environment)),
            }
            results = measure.interleave(contestants, bench.pairs(5, 2), f"{work}, {mode}")
            (ours, our_holds, our_longest), (theirs, their_holds, _) = (
                list(zip(*results[contestant])) for contestant in ("tool", "sqlite3"))
            bench.table.add(f"{work}, {mode}: write lock held : sqlite3", name,
                            ratios(our_holds, their_holds), 1.0,
                            seconds(our_holds, their_holds) +
                            f"; longest {table.number(max(our_longest))} s")
            bench.table.add(f"{work}, {mode}: wall time : sqlite3", name, ratios(ours, theirs), 2.5,
                            seconds(ours, theirs))
            template.path.unlink()

    bench.each_place(work, at, places=[bench.database_place()])


def seconds(ours, theirs):
    return f"{table.number(median(ours))} s / sqlite3 {table.number(median(theirs))} s"


class User:
    def __init__(self, kind, app, session):
        self.process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("users.py"), kind, app.database,
             session], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def leave(self):
        """Gives its longest wait in seconds, how often it was refused, and how often it came."""
        said, _ = self.process.communicate()
        if self.process.returncode != 0:
            raise Failed("a user of the app failed")
        longest, refused, visits = said.split()
        return float(longest), int(refused), int(visits)


def with_users(bench, path, template):
    app = template.copy(path)
    users = [User(kind, app, template.kept) for kind in ("writer", "reader")]
    try:
        bench.clean_up(app)
    finally:
        said = [user.leave() for user in users]
    template.done(app)
    return said


def waits(bench):
    sessions = bench.size(100_000, 4_000)
    half = f"records {sessions // 2} of {sessions} x 50"
    few = f"records {sessions // 50} of {sessions} x 50, scattered"

    def at(name, path):
        for work, expired in ((half, set(range(sessions // 2))),
                              (few, data.scattered(sessions, 0.02))):
            for wal in (False, True):
                mode = "WAL" if wal else "journal"
                template = Template(path, sessions, 50, expired, wal)
                results = measure.interleave(
                    {"tool": lambda: with_users(bench, path, template)}, bench.pairs(5, 2),
                    f"{work}, {mode}, with users")["tool"]
                template.path.unlink()
                for i, kind in enumerate(("writer", "reader")):
                    runs = [run[i] for run in results]
                    bench.table.add(f"{work}, {mode}: longest wait of a {kind}, s", name,
                                    [longest for longest, _, _ in runs], LONGEST_WAIT,
                                    f"refused {sum(refused for _, refused, _ in runs)} of "
                                    f"{sum(visits for _, _, visits in runs)}")

    bench.each_place(half, at, places=[bench.database_place()])
