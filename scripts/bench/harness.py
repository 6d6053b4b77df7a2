"""What all rows share: where they run, how large they are, how long they may take."""

import math
import pathlib
import shutil
import time

import measure
import table
from measure import Failed, median

QUICK_SECONDS = 105  # with --quick, for all rows; what is begun is ended


class Bench:
    def __init__(self, options):
        self.tool = options.tool
        self.lock_log = options.lock_log
        self.scratch = options.scratch
        self.places = {name: pathlib.Path(path) for name, path in
                       (place.split("=", 1) for place in options.place)}
        self.quick = options.quick
        self.root = options.root
        self.pairs_wanted = options.pairs
        jobs = options.jobs or self.size("1,2,4,8,16", "2,8")
        self.jobs = [int(number) for number in jobs.split(",")]
        self.wanted = options.only.split(",")
        self.end = time.monotonic() + QUICK_SECONDS if options.quick else math.inf
        self.table = table.Table({"root": f"root ({options.root})"})
        self.machine = table.machine()

    def kind(self, name):
        """What file system a place is on."""
        return self.root if name == "root" else name

    def size(self, usual, quick):
        return quick if self.quick else usual

    def run(self, arguments, **more):
        return measure.run(arguments, self.scratch, **more)

    def tool_command(self, app, *more):
        return [self.tool, "--app-dir", app.root, "--progress", "never", *more]

    def clean_up(self, app, *more, **keywords):
        return self.run(self.tool_command(app, *more), **keywords)

    def interleave(self, contestants, pairs, title, until=math.inf):
        """`pairs`: (usual, with --quick)."""
        return measure.interleave(contestants, self.pairs_wanted or self.size(*pairs), title, until)

    def one_of(self, *names):
        """The first of the places that there is; else the first that there is at all."""
        return [next((name for name in names if name in self.places), next(iter(self.places)))]

    def each_place(self, work, function, places=None, until=math.inf):
        """Calls function(name, path, until) for each place, which shares the time `until` fairly;
        what it could not do is said in the table."""
        names = [name for name in self.places if places is None or name in places]
        # Its disk is shared with all else that runs here, and may take all the time there is.
        names.sort(key=lambda name: name == "root")
        for position, name in enumerate(names):
            path = self.places[name]
            now = time.monotonic()
            if now > until:
                self.table.fail(work, name, "no time left for it", "left out")
                continue
            try:
                function(name, path, now + (until - now) / (len(names) - position))
            except Failed as error:
                self.table.fail(work, name, str(error))
            make_empty(path)

    def print_table(self, without):
        print(self.machine)
        print("A ratio is that of two times in a pair of interleaved runs, the tool's first.")
        print("The goals are those of the full sizes.\n" if self.quick else "")
        self.table.print()
        for why in without:
            print(f"could not make {why.strip()}")


def make_empty(folder):
    for left in folder.iterdir():
        if not left.is_dir():
            left.unlink()
        elif left.name != "lost+found":
            shutil.rmtree(left)


def seconds(ours, theirs, name):
    return f"{table.number(median(ours))} s / {name} {table.number(median(theirs))} s"
