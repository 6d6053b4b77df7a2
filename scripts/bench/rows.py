"""The rows of the table that are about files, and what all rows share."""

import os
import pathlib
import shutil

import data
import measure
import table
from measure import Failed, median, ratios

PASS_GOALS = {"ext4": 0.60, "tmpfs": 0.65, "overlay": 0.65, "discard": 0.35, "xfs": 0.75,
              "btrfs": 1.05}


class Bench:
    def __init__(self, options):
        self.tool = options.tool
        self.lock_log = options.lock_log
        self.scratch = options.scratch
        self.places = {name: pathlib.Path(path) for name, path in
                       (place.split("=", 1) for place in options.place)}
        self.quick = options.quick
        self.pairs_wanted = options.pairs
        self.jobs = [int(jobs) for jobs in options.jobs.split(",")]
        self.wanted = options.only.split(",")
        self.table = table.Table()
        self.machine = table.machine()

    def pairs(self, usual, quick):
        return self.pairs_wanted or (quick if self.quick else usual)

    def size(self, usual, quick):
        return quick if self.quick else usual

    def run(self, arguments, **more):
        return measure.run(arguments, self.scratch, **more)

    def clean_up(self, app, *more, **keywords):
        return self.run([self.tool, "--app-dir", app.root, "--progress", "never", *more],
                        **keywords)

    def each_place(self, work, function, places=None):
        """Calls function(name, path) for each place; what it could not do is said in the table."""
        for name, path in self.places.items():
            if places is not None and name not in places:
                continue
            try:
                function(name, path)
            except Failed as error:
                self.table.fail(work, name, str(error))
            for left in path.iterdir():
                if left.name != "lost+found":
                    shutil.rmtree(left)

    def database_place(self):
        """Databases stand on a real disk where there is one."""
        return next(iter(self.places))

    def print_table(self, without):
        print(self.machine)
        print("ratios: ours / theirs, the median of interleaved pairs\n")
        self.table.print()
        for why in without:
            print(f"could not make {why}")


def seconds(ours, theirs, name):
    return f"{table.number(median(ours))} s / {name} {table.number(median(theirs))} s"


def fresh(path, **sizes):
    app = data.App(path / "app").make(**sizes)
    measure.settle(path)
    return app


def done(app):
    """Checks that a run did all that it was to do, and no more, and removes what is left."""
    left = app.names()
    if left != set(app.kept):
        raise Failed(f"{len(left)} directories are left, and not {len(app.kept)}")
    app.remove()


def whole_pass(bench, path, sizes, *options):
    app = fresh(path, **sizes)
    result = bench.clean_up(app, *options).seconds
    done(app)
    return result


def remove_files(bench, path, sizes):
    app = fresh(path, **sizes)
    result = bench.run(["rm", "-rf", "--", *app.expired], folder=app.uploads).seconds
    done(app)
    return result


def affordable(bench, path, sessions, files):
    """So many sessions as rm removes in bearable time; a disk can need 4 ms for each file."""
    probe = {"expired": 10, "kept": 1, "files": files}
    one = remove_files(bench, path, probe) / probe["expired"]
    return max(10, min(sessions, round(bench.size(20, 1) / one, -1)))


def pass_and_jobs(bench):
    """Both rows, from the same runs of the tool as it comes."""

    def at(name, path):
        files = 50
        sessions = affordable(bench, path, bench.size(2000, 150), files)
        sizes = {"expired": sessions, "kept": 1 + sessions // 100, "files": files}
        work = f"pass {sessions} x {files} : rm -rf"
        fixed_work = f"pass {sessions} x {files} : its best --jobs"
        contestants = {"tool": lambda: whole_pass(bench, path, sizes)}
        if "pass" in bench.wanted:
            contestants["rm"] = lambda: remove_files(bench, path, sizes)
        if "jobs" in bench.wanted:
            for jobs in bench.jobs:
                contestants[f"{jobs}"] = lambda jobs=jobs: whole_pass(bench, path, sizes,
                                                                      f"--jobs={jobs}")
        results = measure.interleave(contestants, bench.pairs(5, 2), f"{work}, {name}")
        ours = results.pop("tool")
        rm = results.pop("rm", None)
        if rm:
            bench.table.add(work, name, ratios(ours, rm), PASS_GOALS.get(name),
                            seconds(ours, rm, "rm"))
        if results:
            best = min(results, key=lambda jobs: median(results[jobs]))
            all_of_them = ", ".join(f"{jobs}: {table.number(median(values))}"
                                    for jobs, values in results.items())
            bench.table.add(fixed_work, name, ratios(ours, results[best]), 1.15,
                            f"{table.number(median(ours))} s / {all_of_them}")

    bench.each_place("pass", at)


def run_once(function):
    """For two names of one function: the second call has nothing left to do."""
    called = []

    def wrapper(bench):
        if not called:
            called.append(True)
            function(bench)
    return wrapper


def can_drop_caches():
    return os.access("/proc/sys/vm/drop_caches", os.W_OK) and os.geteuid() == 0


def drop_caches(path):
    measure.settle(path)
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")


def dry_run(bench, cold=False):
    sizes = {"expired": bench.size(2000, 300), "kept": bench.size(20, 3), "files": 50}
    work = f"dry run, {'cold' if cold else 'warm'} : du -s"
    goal = 0.50 if cold else 0.55

    def at(name, path):
        app = fresh(path, **sizes)

        def timed(command):
            if cold:
                drop_caches(path)
                # The programs themselves are not what is to be cold.
                bench.run([bench.tool, "--version"])
                bench.run(["du", "--version"])
            return command().seconds

        contestants = {"tool": lambda: timed(lambda: bench.clean_up(app, "--dry-run")),
                       "du": lambda: timed(lambda: bench.run(["du", "-s", app.uploads]))}
        if not cold:
            for contestant in contestants.values():
                contestant()
        results = measure.interleave(contestants, bench.pairs(5 if cold else 15, 3),
                                     f"{work}, {name}")
        bench.table.add(work, name, ratios(results["tool"], results["du"]),
                        goal if name == "ext4" else None,
                        seconds(results["tool"], results["du"], "du"))

    if cold and not can_drop_caches():
        bench.table.fail(work, "", "dropping the caches takes root")
        return
    bench.each_place(work, at, places=set(bench.places) - {"tmpfs"} if cold else None)


both = run_once(pass_and_jobs)
ROWS = {"pass": both, "jobs": both, "dry-run": dry_run, "cold": lambda bench: dry_run(bench, True)}
