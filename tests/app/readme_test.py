"""What the README tells the app's owner to do, done."""

import os
import re
import subprocess
import sys
import textwrap
import unittest
from pathlib import Path

from app_folder import ADAPTER, DEADLINE, SOURCE, TOOL, AppFolder
from app_server import AppServer


def blocks() -> list[str]:
    """The indented blocks of the section, without their indentation."""
    readme = (SOURCE / "README.md").read_text()
    section = readme.partition("## Use it in the app\n")[2].partition("\n## ")[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.M)
            if block.strip()]


class ReadmeTest(unittest.TestCase):
    """In an app's folder with an old and a young session."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.app.create()
        self.old, self.young = self.app.add_session(25), self.app.add_session(23)

    def run_commands(self, commands: str) -> str:
        """What they print, in the app's root folder and with what is installed on PATH."""
        programs = self.app.root / "bin"
        programs.mkdir(exist_ok=True)
        for name, program in (("calib-cleanup", TOOL), ("python3", sys.executable)):
            if not (programs / name).exists():
                (programs / name).symlink_to(program)
        environment = {name: text for name, text in os.environ.items()
                       if name != "CALIB_CLEANUP_BIN"}
        environment["PATH"] = f"{programs}:{environment['PATH']}"
        adapter = "/usr/share/calib-cleanup/cleanup.py"
        return subprocess.run(
            ["sh", "-ec", commands.replace(adapter, str(ADAPTER))], cwd=self.app.root,
            env=environment, capture_output=True, text=True, timeout=DEADLINE, check=True).stdout


class EveryDay(ReadmeTest):
    """The recipe of several commands."""

    def test_plan_look_and_delete_just_that(self) -> None:
        row = re.search(r"^\| plan, look.*\|$", (SOURCE / "README.md").read_text(), re.M)
        assert row is not None
        plan, look, delete = re.findall(r"`([^`]+)`", row[0])
        self.run_commands(plan)
        self.run_commands(look)
        # It comes due after the look.
        later = self.app.add_session(30)
        printed = self.run_commands(delete)
        self.assertIn("Cleanup completed: Deleted 1 old session\n", printed)
        self.assertEqual(self.app.session_ids(), {self.young, later})


class UseItInTheApp(ReadmeTest):
    """Each command and each piece of code."""

    def test_the_commands(self) -> None:
        replace, clean_up = [block for block in blocks() if "backend/utils" in block
                             or "backend.utils" in block]
        (self.app.root / "backend" / "utils" / "cleanup.py").write_text("# the app's own\n")
        self.run_commands(replace)
        utils = self.app.root / "backend" / "utils"
        self.assertEqual((utils / "cleanup.py").read_text(), ADAPTER.read_text())
        self.assertEqual((utils / "cleanup.py.orig").read_text(), "# the app's own\n")
        self.assertEqual(self.run_commands(clean_up).splitlines(), [
            "Cleanup dry run: Would delete 1 old sessions",
            "Orphaned file cleanup dry run: Would delete 0 directories",
            f"Deleted directory: uploads/{self.old}",
            "Cleanup completed: Deleted 1 old sessions",
            "Orphaned file cleanup completed: Deleted 0 directories",
        ])
        self.assertEqual(self.app.session_ids(), {self.young})

    def test_the_code_is_that_of_the_app_that_is_tested(self) -> None:
        tested = "".join(path.read_text() for path in Path(__file__).parent.glob("backend/*.py"))
        code = [piece.strip("\n") for block in blocks() if "import " in block
                for piece in re.split(r"\n\n(?=\S)", block)]
        functions = [piece for piece in code if "def " in piece]
        self.assertEqual(len(functions), 4)
        for piece in functions:
            self.assertIn(piece, tested)
        for piece in code:
            if piece not in functions and "import " not in piece and "INTERVAL" not in piece:
                self.assertIn(piece, tested)

    def test_the_code_runs_as_it_is_pasted(self) -> None:
        routes, main = [block for block in blocks() if "import " in block]
        backend = self.app.root / "backend"
        (backend / "uploads.py").write_text(routes)
        (backend / "main.py").write_text(
            main.replace("app.add_exception_handler", textwrap.dedent("""\
                from . import uploads
                app = FastAPI()
                app.include_router(uploads.router)
                app.add_exception_handler""")))
        with AppServer(self.app) as server:
            server.wait_for_line("Cleanup completed: Deleted 1 old sessions")
            deleted = server.client.delete(f"/api/v1/upload/session/{self.young}")
            self.assertEqual(deleted.json(), {"message": "Session deleted successfully"})
            self.assertEqual(self.app.directories(), set())
            cleaned = server.client.post("/api/v1/upload/cleanup")
            self.assertEqual(cleaned.json()["deleted_sessions"], 0)
            self.app.uploads.rmdir()
            failed = server.client.post("/api/v1/upload/cleanup")
            self.assertEqual(failed.status_code, 500)
            self.assertNotIn(str(self.app.root), failed.text)


if __name__ == "__main__":
    unittest.main()
