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
from harness import seconds
from measure import Failed, ratios

# As the tool sets them.
PRAGMAS = """PRAGMA trusted_schema=OFF; PRAGMA foreign_keys=OFF; PRAGMA cell_size_check=ON;
PRAGMA temp_store=MEMORY; PRAGMA synchronous=EXTRA; PRAGMA cache_spill=OFF;"""
KEEP_JOURNAL = "PRAGMA journal_mode=PERSIST;"  # not with a write-ahead log

IMAGES = 50  # rows a session
LONGEST_WAIT = 0.3  # seconds
EXPIRED = f"SELECT id FROM sessions WHERE created_at < '{data.timestamp(24)}'"


class Template:
    """A database that is made once and copied for each run. `expired`: positions of sessions."""

    def __init__(self, folder, sessions, rows, expired, wal=False, file="template.db"):
        self.ids = [str(uuid.uuid4()) for _ in range(sessions)]
        self.path = folder / file
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
        left = database.execute(
            "SELECT count(*) FROM sessions WHERE id NOT LIKE 'late-%'").fetchone()[0]
        database.close()
        if left != self.left:
            raise Failed(f"{left} sessions are left, and not {self.left}")
        app.remove()


def tables():
    database = sqlite3.connect(":memory:")
    database.executescript(data.schema())
    return [name for name, in database.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sessions'")]


def one_transaction(wal):
    """What the sqlite3 shell is given: all in one transaction, set-wise."""
    return (PRAGMAS + ("" if wal else KEEP_JOURNAL) + "BEGIN IMMEDIATE;" +
            "".join(f"DELETE FROM {name} WHERE session_id IN ({EXPIRED});" for name in tables()) +
            f"DELETE FROM sessions WHERE id IN ({EXPIRED}); COMMIT;")


def logged(bench, path, template, command):
    """Runs command(app); gives its time, how long it held the write lock in all, and at most."""
    app = template.copy(path)
    log = bench.scratch / "locks"
    log.unlink(missing_ok=True)
    environment = {**os.environ, "LD_PRELOAD": bench.lock_log, "CALIB_BENCH_LOCKS": str(log)}
    taken = bench.run(command(app), environment=environment)
    template.done(app)
    holds = [float(to) - float(since)
             for since, to in map(str.split, log.read_text().splitlines())]
    return taken, sum(holds), max(holds)


def records(bench, until):
    """How long the write lock is held, and the time in all, against one transaction."""
    sessions = bench.size(100_000, 4_000)
    work = f"records, {sessions // 2} of {sessions} x {IMAGES}"

    def at(name, path, until):
        for wal in (False, True):
            mode = f"{work}, {'WAL' if wal else 'journal'}"
            template = Template(path, sessions, IMAGES, set(range(sessions // 2)), wal)
            contestants = {
                "tool": lambda: logged(bench, path, template, bench.tool_command),
                "sqlite3": lambda: logged(bench, path, template, lambda app: [
                    "sqlite3", "-init", "/dev/null", app.database,
                    one_transaction(wal)]),
            }
            results = bench.interleave(contestants, (5, 2), mode, until)
            (ours, our_holds, our_longest), (theirs, their_holds, _) = (
                list(zip(*results[contestant])) for contestant in ("tool", "sqlite3"))
            bench.table.add(f"{mode}: write lock held : sqlite3", name,
                            ratios(our_holds, their_holds), 1.0,
                            seconds(our_holds, their_holds, "sqlite3") +
                            f"; longest {table.number(max(our_longest))} s")
            bench.table.add(f"{mode}: wall time : sqlite3", name, ratios(ours, theirs), 2.5,
                            seconds(ours, theirs, "sqlite3"))
            template.path.unlink()

    bench.each_place(work, at, bench.one_of("root"), until)


class User:
    def __init__(self, kind, app, session):
        self.process = subprocess.Popen(
            [sys.executable, pathlib.Path(__file__).with_name("users.py"), kind, app.database,
             session], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()
        if measure.real_time:
            os.sched_setscheduler(self.process.pid, os.SCHED_RR, os.sched_param(1))

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


def add_waits(bench, place, path, template, work, until):
    """Two rows of the table. The template is gone afterwards."""
    results = bench.interleave({"tool": lambda: with_users(bench, path, template)}, (5, 1),
                               f"{work}, with users", until)["tool"]
    template.path.unlink()
    for position, kind in enumerate(("writer", "reader")):
        runs = [run[position] for run in results]
        bench.table.add(f"{work}: longest wait of a {kind}, s", place,
                        [longest for longest, _, _ in runs], LONGEST_WAIT,
                        f"refused {sum(refused for _, refused, _ in runs)} of "
                        f"{sum(visits for _, _, visits in runs)}")


def waits(bench, until):
    """The longest that a writer and a reader wait beside a pass."""
    sessions = bench.size(100_000, 4_000)

    def at(name, path, until):
        for expired, how in ((set(range(sessions // 2)), ""),
                             (data.scattered(sessions, 0.02), " scattered")):
            for wal in (False, True):
                work = (f"records, {len(expired)}{how} of {sessions} x {IMAGES}, "
                        f"{'WAL' if wal else 'journal'}")
                template = Template(path, sessions, IMAGES, expired, wal)
                add_waits(bench, name, path, template, work, until)

    bench.each_place("records: waits", at, bench.one_of("root"), until)


def add_corners(template, rows, action):
    """A table without an index that hangs on the images, evenly. Where its key holds, the images of
    expired sessions have none."""
    database = sqlite3.connect(template.path)
    database.execute("CREATE TABLE corners (x INTEGER, image_id INTEGER REFERENCES "
                     f"calibration_images (id) ON DELETE {action})")
    images = "SELECT id FROM calibration_images"
    if action == "RESTRICT":
        images += f" WHERE session_id NOT IN ({EXPIRED})"
    count, = database.execute(f"SELECT count(*) FROM ({images})").fetchone()
    database.execute("WITH RECURSIVE x (x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM x WHERE "
                     f"x < {rows // count}) INSERT INTO corners SELECT x, id FROM ({images}), x "
                     "ORDER BY id, x")
    database.commit()
    database.close()


def deeper(bench, until):
    """The longest that a writer and a reader wait where the images have many rows below them."""
    sessions, expired = 2000, data.scattered(2000, 0.05)

    def at(name, path, until):
        for rows in (bench.size(3_000_000, 200_000), bench.size(7_000_000, 400_000)):
            for action in ("CASCADE", "SET NULL", "RESTRICT"):
                for wal in (False, True):
                    work = (f"{len(expired)} of {sessions} x {IMAGES}, {rows} rows below by "
                            f"{action}, {'WAL' if wal else 'journal'}")
                    template = Template(path, sessions, IMAGES, expired, wal)
                    add_corners(template, rows, action)
                    add_waits(bench, name, path, template, work, until)

    bench.each_place("deeper", at, bench.one_of("root"), until)


def nothing(bench, until):
    """A pass that finds nothing to do."""
    sessions = 1000

    def at(name, path, until):
        for rows in (0, IMAGES):
            app = data.App(path / "app").make(0, sessions, files=0, rows=rows)
            contestants = {
                "tool": lambda: bench.clean_up(app),
                "sqlite3": lambda: bench.run(["sqlite3", "-init", "/dev/null", app.database,
                                              "SELECT count(*) FROM sessions"]),
            }
            results = bench.interleave(contestants, (100, 20), "nothing to do", until)
            bench.table.add(f"nothing to do, {sessions} x {rows} : sqlite3 count(*)", name,
                            ratios(results["tool"], results["sqlite3"]), 2.0,
                            seconds(results["tool"], results["sqlite3"], "sqlite3"))
            app.remove()

    bench.each_place("nothing to do", at, bench.one_of("root"), until)


def memory(bench, until):
    """The most memory of a dry run and of a pass, with a directory for each session."""
    sessions = bench.size(1_000_000, 20_000)

    def at(name, path, _until):
        app = data.App(path / "app").make(sessions // 2, sessions // 2, files=0, rows=2)
        for work, options in (("dry run", ["--dry-run"]), ("pass", [])):
            measure.progress(f"memory, {work}")
            peak = measure.peak_bytes(bench.tool_command(app, *options), bench.scratch)
            bench.table.add(f"{work}, {sessions // 2} of {sessions}: memory, MiB", name,
                            [peak / 2**20], 256)
        measure.progress("")
        app.remove()

    bench.each_place("memory", at, bench.one_of("tmpfs"), until)


def linear(bench, until):
    """Ten times the sessions: the time of a pass over records alone."""
    small = bench.size(10_000, 400)

    def timed(path, template):
        app = template.copy(path)
        result = bench.clean_up(app)
        template.done(app)
        return result

    def at(name, path, until):
        templates = {}
        for count in (10 * small, small):
            templates[count] = Template(path, count, IMAGES, set(range(count // 2)),
                                        file=f"template-{count}.db")
        results = bench.interleave({count: lambda template=template: timed(path, template)
                                    for count, template in templates.items()}, (3, 1),
                                   "linear, records", until)
        for template in templates.values():
            template.path.unlink()
        bench.table.add(f"records, {10 * small} : {small} sessions x {IMAGES}", name,
                        ratios(results[10 * small], results[small]), 11,
                        seconds(results[10 * small], results[small], ""))

    bench.each_place("linear, records", at, bench.one_of("root"), until)
