"""The adapter on real folders, with the real executable."""

import math
import os
import signal
import subprocess
import sys
import unittest
from collections.abc import Callable

import cleanup
from adapter_fixture import AdapterTest
from app_folder import ADAPTER, DEADLINE
from cleanup import (
    CleanupResult, cleanup_old_sessions, cleanup_orphaned_files, delete_session_now, run_cleanup,
)


class WhatGoes(AdapterTest):
    """Each function takes what its name says, and no more."""

    def test_old_sessions_go_and_orphans_stay(self) -> None:
        self.assertEqual(cleanup_old_sessions(), 1)
        self.assertEqual(self.app.session_ids(), {self.young})
        self.assertEqual(self.app.directories(), {self.young, self.orphan})
        self.assertEqual(self.printed(), [
            f"Deleted directory: uploads/{self.old}", "Cleanup completed: Deleted 1 old sessions"])
        self.assertEqual(self.err.getvalue(), "")

    def test_an_orphan_from_long_ago_stays_too(self) -> None:
        os.utime(self.app.uploads / self.orphan, (0, 0))
        self.assertEqual(cleanup_old_sessions(), 1)
        self.assertEqual(self.app.directories(), {self.young, self.orphan})

    def test_orphans_go_and_sessions_stay(self) -> None:
        another = self.app.add_orphan()
        self.assertEqual(cleanup_orphaned_files(), 2)
        self.assertEqual(self.app.session_ids(), {self.old, self.young})
        self.assertEqual(self.app.directories(), {self.old, self.young})
        self.assertEqual(sorted(self.printed()), sorted([
            f"Deleted directory: uploads/{self.orphan}", f"Deleted directory: uploads/{another}",
            "Orphaned file cleanup completed: Deleted 2 directories"]))

    def test_one_pass_takes_both(self) -> None:
        self.app.add_session(1000)
        self.assertEqual(run_cleanup(), CleanupResult("Cleanup completed successfully", 2, 1))
        self.assertEqual(self.app.directories(), {self.young})
        self.assertEqual(self.printed()[2::2], [
            "Cleanup completed: Deleted 2 old sessions",
            "Orphaned file cleanup completed: Deleted 1 directories",
        ])

    def test_one_after_the_other_adds_up(self) -> None:
        self.assertEqual((cleanup_old_sessions(), cleanup_orphaned_files()), (1, 1))
        self.assertEqual((cleanup_old_sessions(), cleanup_orphaned_files()), (0, 0))
        self.assertEqual(self.printed()[4:], [
            "Cleanup completed: Deleted 0 old sessions",
            "Orphaned file cleanup completed: Deleted 0 directories",
        ])

    def test_one_after_the_other_where_no_session_is_left(self) -> None:
        delete_session_now(self.young)
        self.assertEqual((cleanup_old_sessions(), cleanup_orphaned_files()), (1, 1))
        self.assertEqual(self.err.getvalue(), "")
        self.assertEqual(self.app.directories(), set())

    def test_the_proof_of_a_pass_serves_the_next_one_alone(self) -> None:
        delete_session_now(self.young)
        self.assertEqual((cleanup_old_sessions(), cleanup_orphaned_files()), (1, 1))
        # It does not renew itself.
        later = self.app.add_orphan()
        self.assertEqual(cleanup_orphaned_files(), 0)
        self.assertIn(later, self.err.getvalue())
        self.assertEqual(self.app.directories(), {later})

    def test_a_proof_does_not_outlive_its_folder(self) -> None:
        delete_session_now(self.young)
        self.assertEqual(cleanup_old_sessions(), 1)
        self.app.uploads.rename(self.app.root / "moved")
        self.app.uploads.mkdir()
        other = self.app.add_orphan()
        self.assertEqual(cleanup_orphaned_files(), 0)
        self.assertEqual(self.app.directories(), {other})

    def test_what_a_log_cannot_take_is_written_out(self) -> None:
        (self.app.uploads / "\u65e5\n").mkdir()
        self.assertEqual(cleanup_orphaned_files(), 2)
        self.assertIn("Deleted directory: uploads/\\u65e5\\n", self.printed())

    def test_one_pass_where_no_session_is_left(self) -> None:
        delete_session_now(self.young)
        self.assertEqual(run_cleanup()[1:], (1, 1))
        self.assertEqual(self.app.directories(), set())

    def test_the_hours_decide(self) -> None:
        self.assertEqual(cleanup_old_sessions(25.5), 0)
        self.assertEqual(cleanup_old_sessions(hours_old=1e300), 0)
        self.assertEqual(run_cleanup(22.5).deleted_sessions, 2)
        new = self.app.add_session(0.001)
        self.assertEqual(cleanup_old_sessions(0), 1)
        self.assertNotIn(new, self.app.directories())

    def test_one_session_goes_whatever_its_age(self) -> None:
        delete_session_now(self.young)
        self.assertEqual(self.app.session_ids(), {self.old})
        self.assertEqual(self.app.directories(), {self.old, self.orphan})

    def test_what_stays_behind_is_said_and_the_rest_counts(self) -> None:
        stuck = self.app.add_session(25)
        with self.app.connected() as database:
            database.execute("UPDATE sessions SET images_dir = '/elsewhere' WHERE id = ?", (stuck,))
        result = run_cleanup()
        self.assertEqual(result.deleted_sessions, 1)
        self.assertEqual(result.message, "Cleanup incomplete: something stays; the server's log "
                                         "says what and why")
        self.assertIn(stuck, self.err.getvalue())
        self.assertEqual(cleanup_old_sessions(), 0)
        self.assertEqual(self.err.getvalue().count(f"session {stuck} is left whole"), 2)


class NumbersAndIds(AdapterTest):
    """What is no number of hours and no id is refused before anything runs."""

    def check_refused(self, call: Callable[[], object]) -> None:
        self.put_in_place_of_the_tool('touch "$0.was-run"')
        before = self.app.state()
        with self.assertRaises(ValueError):
            call()
        self.assertFalse((self.app.root / "script.was-run").exists())
        self.assertEqual(self.app.state(), before)

    def test_hours_that_are_none(self) -> None:
        wrong: list[object] = [-1, -0.001, math.nan, math.inf, -math.inf, True, False, "24", None,
                               10**400]
        functions: list[Callable[..., object]] = [cleanup_old_sessions, run_cleanup]
        for hours in wrong:
            for function in functions:
                with self.subTest(hours=hours, function=function.__name__):
                    self.check_refused(lambda: function(hours))

    def test_ids_that_can_be_none(self) -> None:
        wrong: list[object] = ["", "a\0b", "\0", "\ud800", "a\udcffb", None, 7, b"x"]
        for session_id in wrong:
            with self.subTest(session_id=session_id):
                self.check_refused(lambda: delete_session_now(session_id))  # type: ignore[arg-type]

    def test_no_id_is_taken_for_an_option(self) -> None:
        for session_id in ("--hours=0", "--hours", "-n", "--dry-run", "--", "-", "--orphans-only",
                           "[a,b]", '"a"', "=", "../uploads", "x y", "a\nb", "é", "%s"):
            with self.subTest(session_id=session_id):
                shown = session_id.replace("\n", "\\x0a")
                self.check_failed(lambda: delete_session_now(session_id), 1,
                                  f"session {shown}: there is no such session")

    def test_no_id_is_taken_for_a_file(self) -> None:
        (self.app.root / "ids").write_text(f"{self.old}\n")
        for session_id in ("@ids", "@-", "@/etc/passwd", "@"):
            with self.subTest(session_id=session_id):
                self.check_failed(lambda: delete_session_now(session_id), 1, "no such session")

    def test_the_name_of_before_is_the_same_function(self) -> None:
        self.assertIs(cleanup.delete_session, delete_session_now)

    def test_an_id_that_looks_like_an_option_is_an_id(self) -> None:
        for session_id in ("--hours=0", "-n", "--", "[a,b]", '"a"', "x y"):
            with self.subTest(session_id=session_id):
                self.app.add_session(0, session_id)
                delete_session_now(session_id)
                self.assertEqual(self.app.session_ids(), {self.old, self.young})

    def test_an_id_is_the_same_in_every_locale(self) -> None:
        self.app.add_session(0, "r\u00e9union \u65e5")
        code = r"import cleanup; cleanup.delete_session_now('r\u00e9union \u65e5')"
        done = subprocess.run(
            [sys.executable, "-X", "utf8=0", "-c", code], capture_output=True, text=True,
            timeout=DEADLINE, check=False,
            env={**os.environ, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0",
                 "PYTHONPATH": str(ADAPTER.parent)})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.app.session_ids(), {self.old, self.young})


class ByHand(AdapterTest):
    """python -m backend.utils.cleanup"""

    def run_module(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "backend.utils.cleanup", *arguments],
                              capture_output=True, text=True, timeout=DEADLINE, check=False)

    def test_its_help_tells_of_the_dry_run(self) -> None:
        helped = self.run_module("--help")
        self.assertEqual(helped.returncode, 0)
        self.assertIn("usage: python3 -m backend.utils.cleanup ", helped.stdout)
        self.assertIn("CALIB_CLEANUP_DRY_RUN=1", helped.stdout)

    def test_hours(self) -> None:
        done = self.run_module("--hours", "24")
        self.assertEqual(done.stdout.splitlines(), [
            f"Deleted directory: uploads/{self.old}",
            "Cleanup completed: Deleted 1 old sessions",
            f"Deleted directory: uploads/{self.orphan}",
            "Orphaned file cleanup completed: Deleted 1 directories",
        ])
        self.assertEqual((done.stderr, done.returncode), ("", 0))
        self.assertEqual(self.app.directories(), {self.young})
        self.assertEqual(self.run_module("--hours", "0.5").returncode, 0)
        self.assertEqual(self.app.session_ids(), set())

    def test_without_hours_it_is_24(self) -> None:
        self.assertEqual(self.run_module().returncode, 0)
        self.assertEqual(self.app.session_ids(), {self.young})

    def test_wrong_hours(self) -> None:
        before = self.app.state()
        for hours in ("-1", "nan", "inf", "x", ""):
            done = self.run_module("--hours", hours)
            self.assertEqual((done.returncode, done.stdout), (2, ""), hours)
            self.assertIn("hours", done.stderr)
        self.assertEqual(self.app.state(), before)

    def test_the_tools_status(self) -> None:
        self.set(CALIB_CLEANUP_MAX_DELETE="0")
        self.assertEqual(self.run_module().returncode, 1)
        self.set(DATABASE_URL="sqlite:///backend/other.db")
        done = self.run_module()
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertRegex(done.stderr, r"\Acalib-cleanup: error: [^\n]*other\.db[^\n]*\n\Z")
        self.set(CALIB_CLEANUP_BIN="/nowhere")
        self.assertEqual(self.run_module().returncode, 3)
        self.put_in_place_of_the_tool("kill -KILL $$")
        self.assertEqual(self.run_module().returncode, 128 + signal.SIGKILL)


if __name__ == "__main__":
    unittest.main()
