"""Runs commands, in turn, and takes their time."""

import contextlib
import ctypes
import os
import signal
import statistics
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)

# Where True, what is measured runs ahead of all else on the machine.
real_time = False


class Failed(Exception):
    """A run that did not do its work measures nothing."""


def settle(folder):
    """Writes out what is dirty on the file system of `folder`, so that no run pays for another."""
    directory = os.open(folder, os.O_RDONLY)
    if LIBC.syncfs(directory) != 0:
        raise Failed(f"syncfs {folder}: {os.strerror(ctypes.get_errno())}")
    os.close(directory)


def end_with_parent():
    """A SIGTERM for this process when the one that started it has gone."""
    pr_set_pdeathsig = 1
    if LIBC.prctl(pr_set_pdeathsig, signal.SIGTERM) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def scheduled():
    return {"scheduler": (os.SCHED_RR, os.sched_param(1))} if real_time else {}


def run(arguments, scratch, folder=None, environment=None):
    """Runs a command to its end and gives its seconds; with a status that is not 0 it has
    failed."""
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
                              file_actions=actions, **scheduled())
    try:
        _, status = os.waitpid(process, 0)
    except BaseException:
        # Stopped: what was started ends, too, where it has not ended already.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(process, signal.SIGKILL)
            os.waitpid(process, 0)
        raise
    end = time.monotonic()
    os.chdir("/")
    if status != 0:
        code = os.waitstatus_to_exitcode(status)
        text = errors.read_text(errors="replace").strip().splitlines()
        raise Failed(f"{os.path.basename(arguments[0])}: status {code}: {' '.join(text[-1:])}")
    return end - start


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def interleave(contestants, pairs, title, until):
    """Calls each of `contestants` (name: function) `pairs` times, in turn, the order turned round
    each time, less often where the clock passes `until`; gives name: list of what it returned."""
    results = {name: [] for name in contestants}
    for number in range(pairs):
        if number > 0 and time.monotonic() > until:
            break
        order = list(contestants)
        for name in order if number % 2 == 0 else reversed(order):
            progress(f"{title}: {number + 1} of {pairs}: {name}")
            results[name].append(contestants[name]())
    progress("")
    return results


def ratios(ours, theirs):
    return [one / other for one, other in zip(ours, theirs)]


def peak_bytes(arguments, scratch):
    """The most memory that a command occupies. A process inherits the peak of who starts it, so a
    small one has to."""
    result = scratch / "peak"
    starter = ("import os, sys; process = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ);"
               "_, status, usage = os.wait4(process, 0);"
               "open(sys.argv[1], 'w').write(str(usage.ru_maxrss * 1024));"
               "sys.exit(os.waitstatus_to_exitcode(status))")
    run([sys.executable, "-S", "-c", starter, result, *arguments], scratch)
    return int(result.read_text())


median = statistics.median
