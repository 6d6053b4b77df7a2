"""Runs commands, in turn, and takes their time."""

import ctypes
import dataclasses
import os
import statistics
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A run that did not do its work measures nothing."""


@dataclasses.dataclass
class Run:
    start: float  # seconds of the monotonic clock
    end: float
    peak_bytes: int

    @property
    def seconds(self):
        return self.end - self.start


def settle(folder):
    """Writes out what is dirty on the file system of `folder`, so that no run pays for another."""
    directory = os.open(folder, os.O_RDONLY)
    if LIBC.syncfs(directory) != 0:
        raise Failed(f"syncfs {folder}: {os.strerror(ctypes.get_errno())}")
    os.close(directory)


def run(arguments, scratch, folder=None, environment=None):
    """Runs a command to its end; with a status that is not 0 it has failed."""
    errors = scratch / "stderr"
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, str(errors), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
    ]
    if folder is not None:
        os.chdir(folder)
    arguments = [str(argument) for argument in arguments]
    start = time.monotonic()
    process = os.posix_spawnp(arguments[0], arguments, environment or os.environ,
                              file_actions=actions)
    _, status, usage = os.wait4(process, 0)
    end = time.monotonic()
    os.chdir("/")
    if status != 0:
        code = os.waitstatus_to_exitcode(status)
        text = errors.read_text(errors="replace").strip().splitlines()
        raise Failed(f"{os.path.basename(arguments[0])}: status {code}: {' '.join(text[-1:])}")
    return Run(start, end, usage.ru_maxrss * 1024)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def interleave(contestants, pairs, title):
    """Calls each of `contestants` (name: function) `pairs` times, in turn, the order turned round
    each time; gives name: list of what it returned."""
    results = {name: [] for name in contestants}
    for number in range(pairs):
        order = list(contestants)
        for name in order if number % 2 == 0 else reversed(order):
            progress(f"{title}: {number + 1} of {pairs}: {name}")
            results[name].append(contestants[name]())
    progress("")
    return results


def ratios(ours, theirs):
    return [one / other for one, other in zip(ours, theirs)]


median = statistics.median
