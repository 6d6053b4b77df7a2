"""The rows of the table that are about files."""

import os
import pathlib
import sys

import data
import measure
import table
from harness import seconds
from measure import Failed, median, ratios

FILES = 50  # a session

PASS_GOALS = {"ext4": 0.60, "tmpfs": 0.65, "overlay": 0.65, "discard": 0.35, "xfs": 0.75,
              "btrfs": 1.05}


def fresh(path, sessions, kept=None, files=FILES):
    """`sessions` that have expired, and some that have not."""
    kept = 1 + sessions // 100 if kept is None else kept
    app = data.App(path / "app").make(sessions, kept, files)
    measure.settle(path)
    return app


def done(app):
    """Checks that a run did all that it was to do, and no more; removes what is left."""
    left = app.names()
    if left != set(app.kept):
        raise Failed(f"{len(left)} directories are left, and not {len(app.kept)}")
    app.remove()


def time_pass(bench, path, sessions, *options):
    app = fresh(path, sessions)
    result = bench.clean_up(app, *options)
    done(app)
    return result


def time_rm(bench, path, sessions):
    app = fresh(path, sessions)
    result = bench.run(["rm", "-rf", "--", *app.expired], folder=app.uploads)
    done(app)
    return result


def time_two_rm(bench, path, sessions):
    """What two threads can gain on this machine and file system, whoever they are."""
    app = fresh(path, sessions)
    half = sessions // 2
    result = bench.run(["bash", "-c", f'rm -rf -- "${{@:1:{half}}}" & rm -rf -- "${{@:{half + 1}}}"; '
                        "wait", "-", *app.expired], folder=app.uploads)
    done(app)
    return result


def affordable(bench, path, sessions):
    """So many sessions as rm removes in bearable time; a disk can need 4 ms for each file."""
    probe = 10
    one = time_rm(bench, path, probe) / probe
    return max(probe, min(sessions, int(bench.size(20, 1) / one)))


def pass_goal(kind, seconds_a_file):
    """With `discard`, unlinking waits for some disks, and for others (a loop device) it does not;
    the goal for it is about those."""
    return PASS_GOALS.get("ext4" if kind == "discard" and seconds_a_file < 1e-4 else kind)


def whole_pass(bench, until):
    """The rows `pass` and `jobs`, from the same runs of the tool as it comes."""

    def at(name, path, until):
        sessions = affordable(bench, path, bench.size(2000, 150))
        contestants = {"tool": lambda: time_pass(bench, path, sessions)}
        if "pass" in bench.wanted:
            contestants["rm"] = lambda: time_rm(bench, path, sessions)
            contestants["two rm"] = lambda: time_two_rm(bench, path, sessions)
        if "jobs" in bench.wanted:
            for jobs in bench.jobs:
                contestants[f"{jobs}"] = lambda jobs=jobs: time_pass(bench, path, sessions,
                                                                     f"--jobs={jobs}")
        results = bench.interleave(contestants, (5, 2), f"pass, {name}", until)
        ours = results.pop("tool")
        rm = results.pop("rm", None)
        two_rm = results.pop("two rm", None)
        work = f"pass, {sessions} x {FILES} files"
        if rm:
            bench.table.add(f"{work} : rm -rf", name, ratios(ours, rm),
                            pass_goal(bench.kind(name), median(rm) / sessions / FILES),
                            seconds(ours, rm, "rm"))
            bench.table.add(f"two rm -rf, {sessions // 2} each, at once : rm -rf", name,
                            ratios(two_rm, rm), None, seconds(two_rm, rm, "rm"))
        if results:
            best = min(results, key=lambda jobs: median(results[jobs]))
            bench.table.add(f"{work} : best --jobs", name, ratios(ours, results[best]), 1.15,
                            f"{table.number(median(ours))} s / " + ", ".join(
                                f"{jobs}: {table.number(median(values))}"
                                for jobs, values in results.items()))

    bench.each_place("pass", at, until=until)


def drop_caches(path):
    measure.settle(path)
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3", encoding="ascii")


def compare_with_du(bench, work, goal, prepare, places, pairs, until):
    def at(name, path, until):
        sessions = affordable(bench, path, bench.size(2000, 300))
        app = fresh(path, sessions)

        def timed(command):
            prepare(path)
            return bench.run(command)

        contestants = {"tool": lambda: timed(bench.tool_command(app, "--dry-run")),
                       "du": lambda: timed(["du", "-s", app.uploads])}
        for contestant in contestants.values():
            contestant()
        results = bench.interleave(contestants, pairs, f"{work}, {name}", until)
        bench.table.add(f"{work}, {sessions} x {FILES} files : du -s", name,
                        ratios(results["tool"], results["du"]),
                        goal if bench.kind(name) in ("ext4", "discard") else None,
                        seconds(results["tool"], results["du"], "du"))
        app.remove()

    bench.each_place(work, at, bench.one_of("ext4") if bench.quick else places, until)


def dry_run(bench, until):
    compare_with_du(bench, "dry run, warm", 0.55, lambda path: None, bench.places, (15, 5), until)


def cold_dry_run(bench, until):
    work = "dry run, cold"
    if os.geteuid() != 0 or not os.access("/proc/sys/vm/drop_caches", os.W_OK):
        bench.table.fail(work, "", "dropping the caches takes root")
        return

    def prepare(path):
        drop_caches(path)
        # The programs themselves are not what is to be cold.
        bench.run([bench.tool, "--version"])
        bench.run(["du", "--version"])

    compare_with_du(bench, work, 0.50, prepare, set(bench.places) - {"tmpfs"}, (5, 3), until)


def linear(bench, until):
    """Ten times the sessions: the time of a pass and of a dry run."""
    def time_dry_run(path, sessions):
        app = fresh(path, sessions)
        result = bench.clean_up(app, "--dry-run")
        app.remove()
        return result

    def at(name, path, until):
        small = affordable(bench, path, bench.size(5000, 400)) // 10
        for work, timed in (("pass", lambda sessions: time_pass(bench, path, sessions)),
                            ("dry run", lambda sessions: time_dry_run(path, sessions))):
            results = bench.interleave({"ten": lambda: timed(10 * small),
                                        "one": lambda: timed(small)}, (3, 1),
                                       f"linear, {work}", until)
            bench.table.add(f"{work}, {10 * small} : {small} sessions", name,
                            ratios(results["ten"], results["one"]), 11,
                            seconds(results["ten"], results["one"], ""))

    bench.each_place("linear", at, bench.one_of("ext4"), until)


def app_style(bench, until):
    """Against a clean-up as the app does it."""

    def timed(path, sessions, command):
        app = fresh(path, sessions // 2, sessions // 2)
        result = bench.run(command(app))
        done(app)
        return result

    def at(name, path, until):
        script = pathlib.Path(__file__).with_name("app_style.py")
        for sessions in bench.size((250, 1000), (50, 100)):
            results = bench.interleave({
                "tool": lambda: timed(path, sessions, bench.tool_command),
                "app": lambda: timed(path, sessions, lambda app: [sys.executable, script,
                                                                  app.database, app.uploads, 24]),
            }, (3, 1), f"app-style, {sessions} sessions", until)
            work = f"pass, {sessions // 2} of {sessions} x {FILES} files"
            bench.table.add(f"{work} : app-style", name,
                            ratios(results["tool"], results["app"]), None,
                            seconds(results["tool"], results["app"], "app"))

    bench.each_place("app-style", at, bench.one_of("ext4"), until)
