"""The one table that is printed in the end."""

import os
import platform
import sqlite3

from measure import median


def number(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 100 else f"{value:.0f}"


class Table:
    def __init__(self, labels):
        """`labels`: what a place is called here, where that is not its name."""
        self.labels = labels
        self.lines = [("work", "file system", "median", "range", "goal", "", "runs", "detail")]

    def add(self, work, place, values, goal=None, detail=""):
        """`values`: of each pair or run; where there is a goal, their median should not exceed
        it."""
        middle = median(values)
        verdict = "" if goal is None else "met" if middle <= goal else "missed"
        self.lines.append((work, self.labels.get(place, place), number(middle),
                           f"{number(min(values))} .. {number(max(values))}",
                           "" if goal is None else f"<= {goal:.2f}", verdict, str(len(values)),
                           detail))

    def fail(self, work, place, why, verdict="failed"):
        self.lines.append((work, self.labels.get(place, place), "-", "", "", verdict, "", why))

    def print(self):
        widths = [max(len(line[i]) for line in self.lines) for i in range(len(self.lines[0]))]
        for line in self.lines:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next((line.split(":", 1)[1].strip() for line in file
                      if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (f"{len(os.sched_getaffinity(0))} processors ({model}), {memory:.0f} GiB, Linux "
            f"{platform.release()}, SQLite {sqlite3.sqlite_version}; load before: "
            f"{os.getloadavg()[0]:.1f}")
