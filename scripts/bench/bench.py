"""Measures each row and prints the table; bench.sh makes the file systems and calls it."""

import argparse
import os
import pathlib
import signal
import sys
import time

import files
import measure
import records
import servers
from harness import Bench


def linear(bench, until):
    now = time.monotonic()
    files.linear(bench, now + (until - now) / 2)
    records.linear(bench, until)


# name: (function, its share of the time with --quick)
ROWS = {
    "pass": (files.whole_pass, 5),
    "jobs": (files.whole_pass, 5),
    "dry-run": (files.dry_run, 1),
    "cold": (files.cold_dry_run, 1),
    "records": (records.records, 2),
    "waits": (records.waits, 2),
    "deeper": (records.deeper, 2),
    "databases": (servers.databases, 2),
    "nothing": (records.nothing, 1),
    "memory": (records.memory, 1),
    "linear": (linear, 3),
    "app-style": (files.app_style, 1),
}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--lock-log", required=True)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--place", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", required=True)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--real-time", action="store_true")
    parser.add_argument("--jobs")
    parser.add_argument("--root", help="what the file system `root` is")
    return parser.parse_args()


def functions(wanted):
    """Each function once, with its share: `pass` and `jobs` come from the same runs."""
    shares = {}
    for name, (function, share) in ROWS.items():
        if name in wanted:
            shares[function] = shares.get(function, 0) + share
    return shares


def main():
    options = arguments()
    # Where the measuring is stopped, what there is gets printed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    measure.end_with_parent()
    measure.real_time = options.real_time
    bench = Bench(options)
    if not bench.places:
        sys.exit("bench.sh: error: no file system to run on: " + "; ".join(options.without))
    shares = functions(bench.wanted)
    try:
        while shares:
            function, share = next(iter(shares.items()))
            now = time.monotonic()
            function(bench, now + (bench.end - now) * share / sum(shares.values()))
            del shares[function]
    finally:
        os.chdir("/")
        bench.print_table(options.without)


if __name__ == "__main__":
    main()
