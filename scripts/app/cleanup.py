"""Deletes expired upload sessions, and what no session claims, by calib-cleanup.

Takes the place of the app's own backend/utils/cleanup.py, and needs nothing but Python. Like the
app it works on its working directory: uploads/ there, and the database of DATABASE_URL in the app's
own backend/config.py. Where that is not there, or does not say, the tool looks for DATABASE_URL in
the environment and for a .env, as the app mostly does.

CALIB_CLEANUP_BIN is the path of the executable where it is not on PATH. What an administrator sets
for safety holds here too: CALIB_CLEANUP_DRY_RUN, _MAX_DELETE, _ORPHAN_GRACE, _LOCK_WAIT and others.

A pass that leaves something behind gives its numbers all the same, and says on stderr what stays
and why. Where a pass could not run, nothing is changed; where it was stopped, what is done is done
whole. cleanup_old_sessions and cleanup_orphaned_files say so on stderr and return 0, as they always
did; run_cleanup and delete_session_now raise CleanupError. One pass at a time runs in a process.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

__all__ = [
    "CleanupError",
    "CleanupResult",
    "cleanup_old_sessions",
    "cleanup_orphaned_files",
    "delete_session",
    "delete_session_now",
    "run_cleanup",
]

# Where and what to clean is the app's to say, and how to answer is ours: set for another app, or
# for a pass by hand, these must not reach the tool. All others do: it refuses mistyped ones.
_SETTLED_HERE = frozenset(
    f"CALIB_CLEANUP_{option}"
    for option in (
        "APP_DIR", "COLOR", "DATABASE", "HOURS", "JSON", "ORPHANS_ONLY", "PROGRESS", "QUIET",
        "UPLOADS", "VERBOSE",
    )
)

# The tool's remedies name its options. For who runs the app some of them are variables, and some
# are not to be set at all.
_VARIABLE = re.compile(
    r"(?<![\w-])--(dry-run|jobs|keep|lock-wait|max-delete|metrics|orphan-grace|vacuum)(?![\w-])")
_BY_HAND = re.compile(
    r"(?<![\w-])--(app-dir|config|database|orphans-only|session|uploads)(?![\w-])")
_WHAT_COUNTS = ("; that is for calib-cleanup by hand: here the app's DATABASE_URL counts, and the "
                "folder in which it is started")

# The longest grace that the tool takes, 100 years in minutes: no directory is that old.
_NO_ORPHANS = f"--orphan-grace={100 * 365 * 24 * 60}"

_PARTIAL = 1
_UNABLE = 3
_BUSY = 4

# A route may wait that many seconds, in the pool of threads that uploads use, too.
_ROUTE_WAIT = 2.0
# An hourly task has the time, but not for ever.
_TASK_WAIT = 600.0

# So long after a pass what it has proven still serves the next one.
_PROOF_SECONDS = 300.0


class _Process:
    """What the passes of this process share. A fork makes a new one."""

    def __init__(self) -> None:
        # One at a time: a second one would only wait for the first. An RLock would let a signal's
        # handler in, in the middle of a pass.
        self.turn = threading.Lock()
        self.at_work: int | None = None  # the thread whose turn it is
        # So many routes may wait at once.
        self.waiting = threading.BoundedSemaphore(8)
        # What the last pass told as proof that the folder is the database's, and until when that
        # serves: where it has deleted all sessions, none is left to prove it to the next one.
        self.proof: str | None = None
        self.proven_until = 0.0


_process = _Process()


def _begin_anew() -> None:
    """In a child: whoever was at work here is not in it."""
    global _process
    _process = _Process()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class CleanupError(Exception):
    """The tool could not do it; the text is its own message, one line, for the log.

    status is its exit status, negative where a signal killed it, None where it did not run.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status

    @property
    def busy(self) -> bool:
        """Whether to try again later: another pass is at work, or the database is locked."""
        return self.status == _BUSY

    @property
    def public(self) -> str:
        """What a client may read: no path of this machine is in it."""
        if self.busy:
            return "a clean-up is running, or the database is locked; try again in a minute"
        return "the clean-up failed; the server's log says why"


class CleanupResult(NamedTuple):
    """What a pass has deleted, as POST /api/v1/upload/cleanup answers it. It names no path."""

    message: str
    deleted_sessions: int
    deleted_orphaned_directories: int


class _Report(NamedTuple):
    """What is read of the tool's JSON document."""

    message: str
    status: int
    dry_run: bool
    sessions: int
    directories: int
    session_directories: list[str]
    orphaned_directories: list[str]
    proof: str | None

    @classmethod
    def parse(cls, document: bytes) -> _Report | None:
        """The report; None where the tool wrote none, as on wrong usage."""
        try:
            keys = json.loads(document)
            return cls(
                message=str(keys["message"]),
                status=int(keys["status"]),
                dry_run=bool(keys["dry_run"]),
                sessions=int(keys["deleted_sessions"]),
                directories=int(keys["deleted_orphaned_directories"]),
                # An older tool may not have all of these.
                session_directories=[
                    str(session["directory"]) for session in keys.get("sessions", ())
                    if session["files"] or session["allocated_bytes"]
                ],
                orphaned_directories=[str(orphan["name"]) for orphan in keys.get("orphans", ())],
                proof=str(keys["proof"]) if keys.get("proof") else None,
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            return None

    def print_sessions(self) -> int:
        """Prints what the app prints of sessions; how many are gone."""
        return self._print("Cleanup", self.sessions, "old sessions", self.session_directories)

    def print_directories(self) -> int:
        """Prints what the app prints of orphaned directories; how many are gone."""
        return self._print(
            "Orphaned file cleanup", self.directories, "directories", self.orphaned_directories)

    def _print(self, what: str, count: int, nouns: str, names: list[str]) -> int:
        if self.dry_run:
            done = "dry run: Would delete"
        else:
            # What left something behind is not completed.
            done = "completed: Deleted" if self.status == 0 else "incomplete: Deleted"
            for name in names:
                # Whatever the log's encoding is, it takes this.
                plain = name.isascii() and name.isprintable()
                print("Deleted directory: uploads/" + (name if plain else ascii(name)[1:-1]))
        # The app's own wording: the plural always.
        print(f"{what} {done} {count} {nouns}", flush=True)
        return 0 if self.dry_run else count


def cleanup_old_sessions(hours_old: float = 24) -> int:
    """Deletes sessions created more than hours_old hours ago, and leaked records.

    Orphaned directories stay. Returns how many sessions are gone; 0 where it could not run, which
    is said on stderr. Raises ValueError unless hours_old is a number, finite, 0 or more.
    """
    report = _clean_up_or_say_why(f"--hours={_hours(hours_old)}", _NO_ORPHANS)
    return report.print_sessions() if report else 0


def cleanup_orphaned_files() -> int:
    """Removes directories and records that have no session; returns how many directories are gone.

    0 where it could not run, which is said on stderr. Right after cleanup_old_sessions it knows
    what that has found, also where no session is left.
    """
    report = _clean_up_or_say_why("--orphans-only", proven=True)
    return report.print_directories() if report else 0


def run_cleanup(hours_old: float = 24, wait: float = _ROUTE_WAIT) -> CleanupResult:
    """Both in one pass; the message says where something stays, and stderr what and why.

    wait: so many seconds for another pass, and for the app's lock (CALIB_CLEANUP_LOCK_WAIT for
    these where it is set). A route that waits keeps a thread from the uploads. Raises ValueError
    unless hours_old is a number, finite, 0 or more.
    """
    hours = _hours(hours_old)
    patience = _patience(wait)
    with _turn(wait, route=wait <= _ROUTE_WAIT):
        report = _clean_up(f"--hours={hours}", *patience)
    sessions = report.print_sessions()
    directories = report.print_directories()
    message = report.message
    if report.dry_run:
        message = "Dry run: nothing was changed"
    elif report.status:
        message = "Cleanup incomplete: something stays; the server's log says what and why"
    return CleanupResult(message, sessions, directories)


def delete_session_now(session_id: str, wait: float = _ROUTE_WAIT) -> None:
    """Deletes this session whatever its age: records and directory together, or not at all.

    wait: as in run_cleanup. Raises CleanupError where it is not gone,
    also where there is none of this id, and ValueError for what can be no id: empty, with a NUL, or
    not text.
    """
    if not isinstance(session_id, str) or not session_id or "\0" in session_id:
        raise ValueError("a session id is a text that is not empty and holds no NUL")
    try:
        identifier = session_id.encode()  # UTF-8, as in the database, whatever the locale
    except UnicodeEncodeError:
        raise ValueError("a session id is a text without lone surrogates") from None
    if identifier.startswith(b"@"):  # the tool would take it for a file of ids
        raise CleanupError(f"session {session_id!r}: there is no such session that can be named; "
                           "an id that begins with @ is none of the app's", _PARTIAL)
    patience = _patience(wait)
    with _turn(wait):
        # One argument: as a second one, an id could be taken for an option.
        report = _clean_up(b"--session=" + identifier, *patience)
    if report.status == _PARTIAL:
        raise CleanupError(_as_it_holds_here(report.message), report.status)
    if report.dry_run:
        raise CleanupError("CALIB_CLEANUP_DRY_RUN is set: nothing was deleted", report.status)


# Its name before it turned out that the app's own route has it, too: imported above a route of that
# name it is hidden, and the route calls itself.
delete_session = delete_session_now


def _patience(wait: float) -> tuple[str, ...]:
    """How long the tool waits; what an administrator says holds."""
    if isinstance(wait, bool) or not isinstance(wait, (int, float)) or not 0 <= wait <= 86400:
        raise ValueError(f"wait must be a number of seconds, 0 to 86400, not {wait!r}")
    return () if "CALIB_CLEANUP_LOCK_WAIT" in os.environ else (f"--lock-wait={wait}",)


@contextmanager
def _turn(wait: float, route: bool = True) -> Iterator[None]:
    """Waits for it; raises CleanupError (busy) where it does not come, or too many routes wait."""
    process = _process
    busy = CleanupError("another clean-up of this process is at work; try again", _BUSY)
    if process.at_work == threading.get_ident():
        raise busy  # a signal's handler, in the middle of a pass: that never ends while it waits
    if route and not process.waiting.acquire(blocking=False):
        raise busy
    try:
        if not process.turn.acquire(timeout=wait):
            raise busy
        process.at_work = threading.get_ident()
        try:
            yield
        finally:
            process.at_work = None
            process.turn.release()
    finally:
        if route:
            process.waiting.release()


def _clean_up_or_say_why(*options: str, proven: bool = False) -> _Report | None:
    """In its turn; None where it could not run, which is said.

    proven: what the pass before has found holds for this one, too.
    """
    try:
        with _turn(_TASK_WAIT, route=False):
            fresh = time.monotonic() < _process.proven_until
            proof = (f"--proof={_process.proof}",) if proven and _process.proof and fresh else ()
            return _clean_up(*options, *proof)
    except CleanupError as error:
        print(f"calib-cleanup: error: {error}", file=sys.stderr, flush=True)
        return None


def _hours(hours: float) -> float:
    """Hours as the tool takes them; raises ValueError for anything else."""
    try:
        valid = not isinstance(hours, bool) and math.isfinite(hours) and hours >= 0
    except (TypeError, OverflowError):  # no number, or an integer that no float can hold
        valid = False
    if not valid:
        raise ValueError(f"hours must be a number, 0 or more, not {hours!r}")
    return float(hours)


def _imported(name: str) -> ModuleType | None:
    """The app's module of that name; None where there is none.

    Raises CleanupError where it cannot be imported: guessing could mean another database.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            return None
        raise CleanupError(
            f"cannot ask {name} for the app's database: {type(error).__name__}; run this with the "
            "app's own Python, in its root folder"
        ) from error
    if "." in name:
        return module
    # Any module may have a name without a package: the app's stands in the folder above this one.
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    found = os.path.abspath(module.__file__ or "")
    ours = (os.path.join(folder, f"{name}.py"), os.path.join(folder, name, "__init__.py"))
    return module if found in ours else None


def _database() -> str | None:
    """The database that the app itself uses, as the tool takes it; None where it does not say.

    Only the app knows which .env it has read: under uvicorn's --reload and --workers load_dotenv()
    mostly begins in the working directory, and not in backend/.
    """
    package = __package__ or ""  # none where this is run by its path, away from the app
    above = package.rpartition(".")[0]
    for name in (f"{above}.config".lstrip("."), f"{package}.config") if package else ():
        url: Any = getattr(_imported(name), "DATABASE_URL", None)
        if url is not None and url != "":
            return _as_the_tool_takes_it(url, f"{name}.DATABASE_URL")
    return None


def _as_the_tool_takes_it(url: Any, source: str) -> str:
    """The app's URL as text; SQLAlchemy's own object hides the password in its str()."""
    if hasattr(url, "render_as_string"):
        special = url.query or url.database in (None, "", ":memory:")
        if url.get_backend_name() == "sqlite" and not special:
            return str(os.path.abspath(url.database))
        url = url.render_as_string(hide_password=False)
    text = str(url)
    if "://" not in text or "\0" in text:
        raise CleanupError(
            f"{source} is no URL of a database: write sqlite:///PATH or "
            "postgresql://USER:PASSWORD@HOST/DATABASE"
        )
    return text


def _environment() -> dict[str, str]:
    """The tool's: ours, and the database where the app says it. Nobody sees it among processes."""
    environment = {name: text for name, text in os.environ.items() if name not in _SETTLED_HERE}
    database = _database()
    if database is not None:
        environment["CALIB_CLEANUP_DATABASE"] = database
    return environment


def _as_it_holds_here(line: str) -> str:
    """A line of the tool's, with what its remedy is for who runs the app; the line itself stays."""
    variables = ["CALIB_CLEANUP_" + option.upper().replace("-", "_")
                 for option in dict.fromkeys(_VARIABLE.findall(line))]
    said = f"{line}; here that is {' and '.join(variables)}" if variables else line
    return said + _WHAT_COUNTS if _BY_HAND.search(line) else said


def _clean_up(*options: str | bytes) -> _Report:
    """Runs the tool; raises CleanupError unless it went through, complete or in part."""
    _process.proof = None
    executable = os.environ.get("CALIB_CLEANUP_BIN") or "calib-cleanup"
    try:
        app_dir = os.getcwd()
    except OSError as error:
        raise CleanupError(
            f"no working directory: {error.strerror}; start the app in its root folder"
        ) from error
    environment = _environment()
    try:
        # No time limit: the tool bounds its own waiting, and a long pass is at work.
        done = subprocess.run(
            [executable, "--json", f"--app-dir={app_dir}", *options],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except OSError as error:
        raise CleanupError(
            f"cannot run {executable}: {error.strerror}; install calib-cleanup, or set "
            "CALIB_CLEANUP_BIN to its path"
        ) from error
    said = [_as_it_holds_here(line)
            for line in done.stderr.decode(errors="backslashreplace").splitlines()]
    report = _Report.parse(done.stdout)
    # Where the app ignores SIGCHLD, Python sees status 0 whatever happened.
    status = done.returncode or (report.status if report else 0)
    if report and status in (0, _PARTIAL):
        _process.proof = report.proof
        _process.proven_until = time.monotonic() + _PROOF_SECONDS
        for line in said:
            print(line, file=sys.stderr, flush=True)
        return report
    if status < 0:
        message = f"{executable} was killed by signal {-status}: the next pass settles it"
    elif report and report.status:
        message = _as_it_holds_here(report.message)
    else:
        message = said[-1].strip().removeprefix("calib-cleanup: error: ") if said else ""
    message = message or f"{executable} gave no report: is it calib-cleanup?"
    raise CleanupError(message, status or None)


def main() -> int:
    """By hand: python -m backend.utils.cleanup --hours 24. Ends with the tool's exit status."""
    parser = argparse.ArgumentParser(
        prog="python3 -m backend.utils.cleanup",
        description="Delete old sessions, and what no session claims.",
        epilog="With CALIB_CLEANUP_DRY_RUN=1 in the environment it only says what it would delete; "
               "what that is, and how large, says calib-cleanup --dry-run.",
    )
    parser.add_argument(
        "--hours", type=float, default=24, metavar="N",
        help="delete sessions created more than N hours ago (default: %(default)s)",
    )
    try:
        report = _clean_up(f"--hours={_hours(parser.parse_args().hours)}")
    except ValueError as error:
        parser.error(str(error))
    except CleanupError as error:
        print(f"calib-cleanup: error: {error}", file=sys.stderr)
        if error.status is None:
            return _UNABLE
        return error.status if error.status > 0 else 128 - error.status
    report.print_sessions()
    report.print_directories()
    return report.status


if __name__ == "__main__":
    sys.exit(main())
