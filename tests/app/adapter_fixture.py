"""What the tests of the adapter share."""

import contextlib
import io
import os
import sys
import unittest
from collections.abc import Callable
from unittest import mock

from app_folder import ADAPTER, AppFolder

sys.path.insert(0, str(ADAPTER.parent))

from cleanup import CleanupError  # noqa: E402


class AdapterTest(unittest.TestCase):
    """A folder with an old session, a young one and an orphan, as the working directory."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.app.create()
        self.enterContext(contextlib.chdir(self.app.root))
        self.out = self.enterContext(contextlib.redirect_stdout(io.StringIO()))
        self.err = self.enterContext(contextlib.redirect_stderr(io.StringIO()))
        self.old = self.app.add_session(25)
        self.young = self.app.add_session(23)
        self.orphan = self.app.add_orphan()

    def set(self, **variables: str) -> None:
        """Sets variables of the environment for this test."""
        self.enterContext(mock.patch.dict(os.environ, variables))

    def put_in_place_of_the_tool(self, script: str) -> str:
        """The path of a shell script that is run instead."""
        path = self.app.root / "script"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        self.set(CALIB_CLEANUP_BIN=str(path))
        return str(path)

    def printed(self) -> list[str]:
        """The lines on stdout so far."""
        return self.out.getvalue().splitlines()

    def check_failed(self, call: Callable[[], object], status: int | None, *parts: str) -> None:
        """It raises with one line, says nothing else, and leaves everything as it was."""
        before = self.app.state()
        with self.assertRaises(CleanupError) as caught:
            call()
        self.assertEqual(caught.exception.status, status)
        self.assertEqual(caught.exception.busy, status == 4)
        self.assertNotRegex(str(caught.exception), "\n|calib-cleanup: error")
        for part in parts:
            self.assertIn(part, str(caught.exception))
        self.assertEqual(self.app.state(), before)
        self.assertEqual(self.printed(), [])

    def check_said(self, call: Callable[[], object], *parts: str) -> None:
        """It returns 0, as the app's own function does, says why on one line, and that is all."""
        before = self.app.state()
        said = len(self.err.getvalue())
        self.assertEqual(call(), 0)
        self.assertRegex(self.err.getvalue()[said:], r"\Acalib-cleanup: error: [^\n]+\n\Z")
        for part in parts:
            self.assertIn(part, self.err.getvalue()[said:])
        self.assertEqual(self.app.state(), before)
        self.assertEqual(self.printed(), [])
