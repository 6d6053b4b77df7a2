"""The adapter tells the tool which database the app uses; the tool alone finds it as the app."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import unittest
from contextlib import closing
from pathlib import Path

from app_fixture import CLEANUP, AppTest, upload
from app_folder import DEADLINE, AppFolder
from app_server import AppServer

ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "DATABASE_URL"}

# In place of the tool: writes down what it is given, and reports that there was nothing to do.
TOOL_THAT_TELLS = f"""#!{sys.executable}
import json, os, sys
json.dump([sys.argv, os.environ.get("CALIB_CLEANUP_DATABASE")], open(sys.argv[0] + ".told", "w"))
print(json.dumps(dict(message="", status=0, dry_run=False, deleted_sessions=0,
                      deleted_orphaned_directories=0)))
"""


class Given(AppTest):
    """What the tool is given, for each kind of config."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.config = self.app.root / "backend" / "config.py"
        self.tool = self.app.root / "tool"
        self.tool.write_text(TOOL_THAT_TELLS)
        self.tool.chmod(0o755)

    def run_adapter(self, module: str = "backend.utils.cleanup", **variables: str) -> int:
        """Runs it by hand; the exit status. What it says is left in self.said."""
        environment = ENVIRONMENT | {"CALIB_CLEANUP_BIN": str(self.tool)} | variables
        done = subprocess.run([sys.executable, "-m", module], cwd=self.app.root, env=environment,
                              capture_output=True, text=True, timeout=DEADLINE)
        self.said = done.stderr
        return done.returncode

    def told(self) -> str | None:
        """The database that the tool was told of, where nobody else sees it."""
        arguments, database = json.loads(Path(f"{self.tool}.told").read_text())
        self.assertNotIn("secret", " ".join(arguments))
        return str(database) if database is not None else None

    def given(self, **variables: str) -> str | None:
        """The database that the tool is told of now."""
        self.assertEqual(self.run_adapter(**variables), 0, self.said)
        return self.told()

    def check_given(self, config: str, database: str | None) -> None:
        """Whatever others have set for the tool."""
        self.config.write_text(config)
        self.assertEqual(self.given(CALIB_CLEANUP_DATABASE="/somewhere/else.db"), database)

    def test_what_the_app_has_found(self) -> None:
        default = "sqlite:///backend/calibration.db"
        self.assertEqual(self.given(), default)
        (self.app.root / ".env").write_text("DATABASE_URL=sqlite:///root.db\n")
        self.assertEqual(self.given(), "sqlite:///root.db")
        self.assertEqual(self.given(DATABASE_URL="sqlite:///set.db"), "sqlite:///set.db")
        self.assertEqual(self.given(DATABASE_URL=""), default)

    def test_a_url(self) -> None:
        for url in ("sqlite:///x.db", "sqlite:////srv/x%20y.db", "postgresql://u:secret@h/d"):
            self.check_given(f"DATABASE_URL = {url!r}", url)

    def test_a_url_of_sqlalchemy(self) -> None:
        made = "from sqlalchemy.engine import URL, make_url\nDATABASE_URL = "
        url = "postgresql+psycopg2://u:secret@h/d"
        self.check_given(f"{made}make_url('{url}')", url)
        # Where the name is a file's, nothing has to be written as in a URL.
        self.check_given(f"{made}URL.create('sqlite', database='/srv/50%20?b=#c.db')",
                         "/srv/50%20?b=#c.db")
        self.check_given(f"{made}make_url('sqlite+pysqlite:///a/../x.db')",
                         str(self.app.root / "x.db"))
        for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///x.db?uri=true"):
            self.check_given(f"{made}make_url('{url}')", url)

    def test_another_object_that_is_written_as_a_url(self) -> None:
        self.check_given("class Url:\n    def __str__(self):\n        return 'sqlite:///x.db'\n"
                         "DATABASE_URL = Url()", "sqlite:///x.db")

    def test_nothing(self) -> None:
        for config in ("", "DATABASE_URL = None", "DATABASE_URL = ''"):
            self.check_given(config, None)
        self.config.unlink()
        self.assertIsNone(self.given(CALIB_CLEANUP_DATABASE="/somewhere/else.db"))

    def test_a_package_of_another_name(self) -> None:
        nested = self.app.root / "server"
        nested.mkdir()
        (self.app.root / "backend").rename(nested / "backend")
        self.config = nested / "backend" / "config.py"
        self.config.write_text("DATABASE_URL = 'sqlite:///x.db'")
        self.assertEqual(self.run_adapter("server.backend.utils.cleanup"), 0, self.said)
        self.assertEqual(self.told(), "sqlite:///x.db")

    def test_a_config_in_the_same_package(self) -> None:
        self.config.rename(self.app.root / "backend" / "utils" / "config.py")
        self.assertEqual(self.given(), "sqlite:///backend/calibration.db")
        self.check_given("DATABASE_URL = 'sqlite:///x.db'", "sqlite:///x.db")

    def test_an_app_whose_backend_is_on_the_path(self) -> None:
        self.config.write_text("DATABASE_URL = 'sqlite:///x.db'")
        backend = str(self.app.root / "backend")
        self.assertEqual(self.run_adapter("utils.cleanup", PYTHONPATH=backend), 0, self.said)
        self.assertEqual(self.told(), "sqlite:///x.db")
        # Some other package of that name is none of the app's.
        (self.app.root / "config.py").write_text("DATABASE_URL = 'sqlite:///y.db'")
        self.config.unlink()
        self.assertEqual(self.run_adapter("utils.cleanup", PYTHONPATH=backend), 0, self.said)
        self.assertIsNone(self.told())

    def test_what_cannot_be_told(self) -> None:
        for config, part in (
            ("import there_is_no_such_module", "ModuleNotFoundError"),
            ("raise ValueError('secret')", "ValueError"),
            ("DATABASE_URL = 'u:secret@h'", "backend.config.DATABASE_URL is no URL"),
            ("DATABASE_URL = 'sqlite:///secret\\0'", "backend.config.DATABASE_URL is no URL"),
            ("DATABASE_URL = 7", "backend.config.DATABASE_URL is no URL"),
        ):
            self.config.write_text(config)
            self.assertEqual(self.run_adapter(), 3)
            self.assertRegex(self.said, r"\Acalib-cleanup: error: [^\n]+\n\Z")
            self.assertIn(part, self.said)
            self.assertIn("backend.config", self.said)
            self.assertNotIn("secret", self.said)
            self.assertFalse(Path(f"{self.tool}.told").exists())


class RunningApp(AppTest):
    """With a .env in backend/ that one in the root hides or not, by the way the app is run."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.default = self.app.database
        self.named = self.app.root / "backend" / "named.db"
        (self.app.root / "backend" / ".env").write_text("DATABASE_URL=sqlite:///backend/named.db\n")
        (self.app.root / ".env").write_text("OTHER=1\n")

    def check_served(self, used: Path, other: Path, *options: str, workers: int = 1) -> None:
        """The app uses one of the databases, and so does its clean-up."""
        self.app.database = used
        for database in (self.app.database, other):  # so that two workers do not both make it
            subprocess.run([sys.executable, "-c", "import backend.main"], cwd=self.app.root,
                           env=os.environ | {"DATABASE_URL": f"sqlite:///{database}"}, check=True,
                           timeout=DEADLINE)
        server = self.enterContext(AppServer(self.app, *options))
        # Each of them cleans up when it starts.
        server.wait_for_line("Orphaned file cleanup completed", workers)
        old = upload(server.client)
        self.assertEqual(self.app.session_ids(), {old}, "the app itself uses another one")
        # The other one knows the first session: a pass on it takes the second for an orphan.
        with closing(sqlite3.connect(self.app.database)) as source, \
                closing(sqlite3.connect(other)) as copy:
            source.backup(copy)
        young = upload(server.client)
        self.app.age(25, old)
        answer = server.client.post(CLEANUP).json()
        self.assertEqual((answer["deleted_sessions"], answer["deleted_orphaned_directories"]),
                         (1, 0), server.log())
        self.check_gone(server.client, old)
        self.check_whole(server.client, young)

    def test_plain(self) -> None:
        self.check_served(self.named, self.default)

    def test_reload(self) -> None:
        self.check_served(self.default, self.named, "--reload")

    def test_workers(self) -> None:
        self.check_served(self.default, self.named, "--workers", "2", workers=2)


class SameFile(AppTest):
    """A tool by itself finds the .env that an app finds, from backend/ up to the root of all."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.app.create()
        self.above = self.app.root.parent
        # Without a file, python-dotenv takes it for a person at a prompt, and looks where he is.
        self.script = self.above / "ask.py"
        self.script.write_text("from backend.config import DATABASE_URL; print(DATABASE_URL)\n")

    def check_same(self) -> None:
        """Both name the same database."""
        found = subprocess.run(
            [sys.executable, self.script], cwd=self.app.root,
            env={**ENVIRONMENT, "PYTHONPATH": str(self.app.root)}, capture_output=True, text=True,
            timeout=DEADLINE, check=True).stdout.strip()
        path = self.app.root / found.removeprefix("sqlite:///")
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            shutil.copy(self.app.database, path)
        done = subprocess.run([os.environ["CALIB_CLEANUP_BIN"], "--dry-run", "--json"],
                              cwd=self.app.root, env=ENVIRONMENT, capture_output=True, text=True,
                              timeout=DEADLINE)
        self.assertEqual(json.loads(done.stdout)["database"],
                         os.path.join(self.app.root, found[10:]))

    def put(self, folder: Path, name: str) -> None:
        """A .env in the folder that names a database."""
        (folder / ".env").write_text(f"DATABASE_URL=sqlite:///data/{name}.db\n")

    def test_each_place(self) -> None:
        self.check_same()
        for folder in (self.above, self.app.root, self.app.root / "backend"):
            self.put(folder, folder.name)
            self.check_same()

    def test_what_is_passed_over(self) -> None:
        self.put(self.above, "above")
        (self.app.root / ".env").mkdir()
        (self.app.root / "backend" / ".env").symlink_to("nowhere")
        self.check_same()
        (self.app.root / ".env").rmdir()
        (self.app.root / ".env").symlink_to(os.devnull)
        self.check_same()
        (self.above / "elsewhere").mkdir()
        self.put(self.above / "elsewhere", "elsewhere")
        (self.app.root / "backend" / ".env").unlink()
        (self.app.root / "backend" / ".env").symlink_to("../../elsewhere/.env")
        self.check_same()


if __name__ == "__main__":
    unittest.main()
