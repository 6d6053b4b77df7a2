"""The adapter where the tool cannot work, and in surroundings that are not its own."""

import contextlib
import math
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import time
import unittest
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from pathlib import Path
from unittest import mock

from adapter_fixture import AdapterTest
from app_folder import DEADLINE, TOOL, AnnouncedTool, AppFolder
from cleanup import (
    CleanupError, CleanupResult, _as_it_holds_here, _environment, cleanup_old_sessions,
    cleanup_orphaned_files, delete_session_now, run_cleanup,
)


def catches(process: int, wanted: signal.Signals) -> bool:
    """Whether a process has a handler for a signal by now."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (wanted - 1) & 1)
    return False


def wait_until(condition: Callable[[], bool]) -> None:
    """Asks again and again until it is so."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("it never came to that")
        os.sched_yield()


class Failures(AdapterTest):
    """What cannot run raises, with the tool's own words, and nothing is lost."""

    def test_no_executable(self) -> None:
        self.set(CALIB_CLEANUP_BIN="/nowhere/calib-cleanup")
        parts = "/nowhere/calib-cleanup", "No such file", "CALIB_CLEANUP_BIN"
        self.check_failed(run_cleanup, None, *parts)
        self.check_failed(lambda: delete_session_now(self.old), None, *parts)
        self.check_said(cleanup_old_sessions, *parts)
        self.check_said(cleanup_orphaned_files, *parts)

    def test_an_executable_that_may_not_run(self) -> None:
        os.chmod(self.put_in_place_of_the_tool("exit 0"), 0o644)
        self.check_failed(run_cleanup, None, "script", "Permission denied")

    def test_something_else_than_the_tool(self) -> None:
        path = self.put_in_place_of_the_tool("exit 0")
        self.check_failed(run_cleanup, None, path, "is it calib-cleanup?")
        for output in ("[]", '"text"', '{"message": "x"}', '{"message": ', "\\377"):
            self.put_in_place_of_the_tool(f"printf '{output}'")
            self.check_failed(run_cleanup, None, path)

    def test_a_library_that_is_missing(self) -> None:
        self.put_in_place_of_the_tool("echo 'error while loading shared libraries' >&2; exit 127")
        self.check_failed(run_cleanup, 127, "error while loading shared libraries")

    def test_killed(self) -> None:
        path = self.put_in_place_of_the_tool("kill -KILL $$")
        self.check_failed(run_cleanup, -signal.SIGKILL, path, "signal 9")

    def test_stopped(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        self.set(CALIB_CLEANUP_BIN=tool.path)
        with self.app.write_lock(), ThreadPoolExecutor() as threads:
            failed = threads.submit(
                self.check_failed, run_cleanup, 128 + signal.SIGTERM, "Stopped by SIGTERM")
            process = tool.started()
            wait_until(lambda: catches(process, signal.SIGTERM))
            os.kill(process, signal.SIGTERM)
            failed.result(DEADLINE)

    def test_no_database(self) -> None:
        self.set(DATABASE_URL="sqlite:///backend/other.db")
        self.check_failed(run_cleanup, 3, str(self.app.root / "backend" / "other.db"))
        self.check_failed(lambda: delete_session_now(self.old), 3, "other.db")
        self.assertFalse((self.app.root / "backend" / "other.db").exists())

    def test_no_uploads_folder(self) -> None:
        self.app.uploads.rename(self.app.root / "moved")
        self.check_failed(run_cleanup, 3, str(self.app.uploads))
        self.check_said(cleanup_old_sessions, str(self.app.uploads))
        self.check_said(cleanup_orphaned_files, str(self.app.uploads))

    def test_a_locked_database(self) -> None:
        self.set(CALIB_CLEANUP_LOCK_WAIT="0.1")
        with self.app.write_lock():
            self.check_failed(run_cleanup, 4, "database")
            self.check_said(cleanup_old_sessions, "database")
        self.assertEqual(run_cleanup().deleted_sessions, 1)

    def test_a_mistyped_variable(self) -> None:
        self.set(CALIB_CLEANUP_DRYRUN="1")
        self.check_failed(run_cleanup, 2, "CALIB_CLEANUP_DRYRUN is not known",
                          "did you mean CALIB_CLEANUP_DRY_RUN?")
        self.check_said(cleanup_old_sessions, "CALIB_CLEANUP_DRYRUN is not known")

    def test_what_a_client_may_read_names_no_path(self) -> None:
        self.app.uploads.rename(self.app.root / "moved")
        with self.assertRaises(CleanupError) as caught:
            delete_session_now(self.old)
        self.assertNotIn("/", caught.exception.public)
        self.set(CALIB_CLEANUP_BIN="/nowhere")
        with self.assertRaises(CleanupError) as caught:
            run_cleanup()
        self.assertNotIn("/", caught.exception.public)

    def test_who_waits_too_long_for_another_pass_of_this_process(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        self.set(CALIB_CLEANUP_BIN=tool.path)
        with ThreadPoolExecutor() as threads:
            with self.app.write_lock():
                hourly = threads.submit(cleanup_old_sessions)
                tool.started()
                with self.assertRaises(CleanupError) as caught:
                    delete_session_now(self.young, wait=0.01)
                self.assertTrue(caught.exception.busy)
                self.assertNotIn("/", caught.exception.public)
            # It itself waits for the lock as long as the tool does.
            self.assertEqual(hourly.result(DEADLINE), 1)
        self.assertIn(self.young, self.app.session_ids())

    def test_waits_that_are_none(self) -> None:
        wrong: list[object] = [-1, math.inf, math.nan, 1e10, None, "2", True]
        for seconds in wrong:
            with self.subTest(wait=seconds), self.assertRaises(ValueError):
                run_cleanup(wait=seconds)  # type: ignore[arg-type]

    def test_a_child_does_not_wait_for_a_pass_of_its_parent(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        self.set(CALIB_CLEANUP_BIN=tool.path)
        with ThreadPoolExecutor() as threads:
            with self.app.write_lock():
                hourly = threads.submit(cleanup_old_sessions)
                tool.started()
                child = os.fork()
                if child == 0:
                    # Its tool is busy, but its turn comes at once.
                    os.environ["CALIB_CLEANUP_LOCK_WAIT"] = "0"
                    try:
                        run_cleanup(wait=0)
                    except CleanupError as error:
                        os._exit(8 if "of this process" in str(error) else 7)
                    os._exit(9)
                tool.started()
                status = os.waitpid(child, 0)[1]
            self.assertEqual(os.waitstatus_to_exitcode(status), 7)
            self.assertEqual(hourly.result(DEADLINE), 1)

    def test_a_handler_does_not_wait_for_the_pass_that_it_interrupts(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        self.set(CALIB_CLEANUP_BIN=tool.path)
        said: list[int] = []
        before = signal.signal(signal.SIGUSR1, lambda *_: said.append(cleanup_orphaned_files()))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        lock = sqlite3.connect(self.app.database, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN IMMEDIATE")

        def interrupt() -> None:
            tool.started()
            os.kill(os.getpid(), signal.SIGUSR1)
            wait_until(lambda: bool(said))
            lock.close()

        with ThreadPoolExecutor() as threads:
            interrupting = threads.submit(interrupt)
            self.assertEqual(cleanup_old_sessions(), 1)
            interrupting.result(DEADLINE)
        self.assertEqual(said, [0])
        self.assertIn("another clean-up of this process is at work", self.err.getvalue())

    def test_a_crowd_does_not_wait(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        self.set(CALIB_CLEANUP_BIN=tool.path)
        with ThreadPoolExecutor(20) as threads:
            with self.app.write_lock():
                hourly = threads.submit(cleanup_old_sessions)
                tool.started()
                waiting = [threads.submit(delete_session_now, self.young, DEADLINE)
                           for _ in range(12)]
                # Eight wait for their turn, and four are told at once that it does not come.
                refused = [future for _, future in zip(range(4), as_completed(waiting, DEADLINE),
                                                       strict=False)]
            self.assertEqual(hourly.result(DEADLINE), 1)
            wait(waiting, DEADLINE)
        errors = [future.exception() for future in waiting]
        for future in refused:
            error = future.exception()
            self.assertTrue(isinstance(error, CleanupError) and error.busy)
        self.assertEqual(sum(error is None for error in errors), 1, errors)
        busy = [error for error in errors if isinstance(error, CleanupError) and error.busy]
        self.assertEqual(len(busy), 4)

    def test_where_the_app_ignores_its_children(self) -> None:
        before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        self.addCleanup(signal.signal, signal.SIGCHLD, before)
        self.set(DATABASE_URL="sqlite:///backend/other.db")
        self.check_failed(run_cleanup, 3, "other.db")
        self.set(DATABASE_URL="")
        self.assertEqual(run_cleanup().deleted_sessions, 1)


class Remedies(AdapterTest):
    """What is said to do can be done by who runs the app."""

    def check_remedy(self, call: Callable[[], object], option: str, here: str) -> None:
        """The one line, of an error or on stderr, names the tool's option, and says more."""
        said = len(self.err.getvalue())
        try:
            call()
            lines = self.err.getvalue()[said:].splitlines()
        except CleanupError as error:
            lines = [str(error)]
        self.assertEqual(len(lines), 1, lines)
        self.assertIn(option, lines[0])
        self.assertRegex(lines[0], here)

    APPS_OWN = "that is for calib-cleanup by hand: here the app's DATABASE_URL counts, and the"

    def test_the_database_is_the_apps_to_say(self) -> None:
        self.set(DATABASE_URL="sqlite:///backend/other.db")
        self.check_remedy(run_cleanup, "--database", self.APPS_OWN)
        self.check_remedy(cleanup_orphaned_files, "--database", self.APPS_OWN)

    def test_the_folder_is_where_the_app_is_started(self) -> None:
        self.app.uploads.rename(self.app.root / "moved")
        self.check_remedy(cleanup_old_sessions, "--uploads", self.APPS_OWN)
        self.check_remedy(lambda: delete_session_now(self.old), "--uploads", self.APPS_OWN)

    def test_orphans_that_are_not_proven(self) -> None:
        for session_id in self.app.session_ids():
            shutil.rmtree(self.app.uploads / session_id)
        self.check_remedy(cleanup_orphaned_files, "--database", self.APPS_OWN)

    def test_a_directory_of_that_name(self) -> None:
        self.check_remedy(lambda: delete_session_now(self.orphan), "--orphans-only", self.APPS_OWN)

    def test_what_can_be_set_is_named_as_it_is_set(self) -> None:
        self.set(CALIB_CLEANUP_LOCK_WAIT="0.1")
        with self.app.write_lock():
            self.check_remedy(cleanup_old_sessions, "--lock-wait",
                              "; here that is CALIB_CLEANUP_LOCK_WAIT$")

    def test_every_option_of_the_tool_is_seen_to(self) -> None:
        listed = subprocess.run([TOOL, "--help"], capture_output=True, text=True, check=True).stdout
        options = set(re.findall(r"--[a-z][a-z-]+", listed))
        # How to print, and what the adapter itself takes by hand: no remedy names one of these.
        options -= {"--color", "--help", "--hours", "--json", "--progress", "--quiet", "--verbose",
                    "--version", "--yes"}
        self.assertIn("--database", options)
        for option in options:
            variable = "CALIB_CLEANUP_" + option[2:].upper().replace("-", "_")
            with mock.patch.dict(os.environ, {variable: "1"}):
                heeded = variable in _environment() and option not in ("--config", "--session")
            self.assertIn(f"here that is {variable}" if heeded else self.APPS_OWN,
                          _as_it_holds_here(f"try {option}"))


class Surroundings(AdapterTest):
    """The working directory and the environment."""

    def test_the_executable_on_the_path(self) -> None:
        self.set(CALIB_CLEANUP_BIN="", PATH=f"{self.app.root / 'bin'}:{os.environ['PATH']}")
        (self.app.root / "bin").mkdir()
        (self.app.root / "bin" / "calib-cleanup").symlink_to(TOOL)
        self.assertEqual(run_cleanup().deleted_sessions, 1)

    def test_another_apps_settings_do_not_count(self) -> None:
        with AppFolder() as other:
            other.create()
            other.add_session(1000)
            other.add_orphan()
            before = other.state()
            self.set(CALIB_CLEANUP_APP_DIR=str(other.root), CALIB_CLEANUP_HOURS="0",
                     CALIB_CLEANUP_DATABASE=str(other.database), CALIB_CLEANUP_JSON="0",
                     CALIB_CLEANUP_UPLOADS=str(other.uploads), CALIB_CLEANUP_ORPHANS_ONLY="1",
                     CALIB_CLEANUP_QUIET="1", CALIB_CLEANUP_VERBOSE="1",
                     CALIB_CLEANUP_PROGRESS="always", CALIB_CLEANUP_COLOR="always")
            self.assertEqual(cleanup_old_sessions(), 1)
            self.assertEqual(cleanup_orphaned_files(), 1)
            self.assertEqual(self.err.getvalue(), "")
            self.assertEqual(self.app.session_ids(), {self.young})
            self.assertEqual(other.state(), before)

    def test_a_dry_run_holds(self) -> None:
        self.set(CALIB_CLEANUP_DRY_RUN="1")
        before = self.app.state()
        self.assertEqual(cleanup_old_sessions(), 0)
        self.assertEqual(cleanup_orphaned_files(), 0)
        self.assertEqual(run_cleanup(), CleanupResult("Dry run: nothing was changed", 0, 0))
        self.assertEqual(self.printed(), 2 * [
            "Cleanup dry run: Would delete 1 old sessions",
            "Orphaned file cleanup dry run: Would delete 1 directories",
        ])
        with self.assertRaisesRegex(CleanupError, "CALIB_CLEANUP_DRY_RUN is set"):
            delete_session_now(self.old)
        self.assertEqual(self.app.state(), before)

    def test_a_limit_holds(self) -> None:
        self.set(CALIB_CLEANUP_MAX_DELETE="1")
        before = self.app.state()
        result = run_cleanup()
        self.assertEqual(result[1:], (0, 0))
        self.assertIn("here that is CALIB_CLEANUP_MAX_DELETE", self.err.getvalue())
        self.assertEqual(self.app.state(), before)

    def test_a_grace_holds(self) -> None:
        self.set(CALIB_CLEANUP_ORPHAN_GRACE="60")
        self.assertEqual(run_cleanup()[1:], (1, 0))
        self.assertEqual(cleanup_orphaned_files(), 0)
        self.assertIn(self.orphan, self.app.directories())

    def test_the_database_of_the_dotenv(self) -> None:
        moved = self.app.root / "data.db"
        self.app.database.rename(moved)
        (self.app.root / "backend" / ".env").write_text("DATABASE_URL='sqlite:///data.db'\n")
        self.assertEqual(run_cleanup()[1:], (1, 1))

    def test_any_working_directory_is_the_apps(self) -> None:
        with contextlib.chdir(self.app.root / "backend"):
            self.check_failed(run_cleanup, 3, str(self.app.root / "backend" / "uploads"))

    def test_a_working_directory_that_is_gone(self) -> None:
        gone = self.app.root / "gone"
        gone.mkdir()
        with contextlib.chdir(gone):
            gone.rmdir()
            self.check_failed(run_cleanup, None, "no working directory", "No such file")


if __name__ == "__main__":
    unittest.main()
