"""Measures each row and prints the table; bench.sh makes the file systems and calls it."""

import argparse
import os
import pathlib
import signal
import sys

import records
import rows

ROWS = {**rows.ROWS, "records": records.records, "waits": records.waits}


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", required=True)
    parser.add_argument("--lock-log", required=True)
    parser.add_argument("--scratch", required=True, type=pathlib.Path)
    parser.add_argument("--place", action="append", default=[])
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default=",".join(ROWS))
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--jobs", default="1,2,4,8,16")
    return parser.parse_args()


def main():
    options = arguments()
    wanted = options.only.split(",")
    for name in wanted:
        if name not in ROWS:
            sys.exit(f"bench.sh: error: unknown row '{name}'; see --help")
    bench = rows.Bench(options)
    # Where the measuring is stopped, what there is gets printed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for name in ROWS:
            if name in wanted:
                ROWS[name](bench)
    finally:
        os.chdir("/")
        bench.print_table(options.without)


if __name__ == "__main__":
    main()
