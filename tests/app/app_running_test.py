"""The app as it runs for a long time: what it does by itself, and many users at once."""

import os
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

from app_fixture import CLEANUP, AppTest, upload
from app_folder import DEADLINE, SERVER, AnnouncedTool, AppFolder, PostgresqlFolder
from app_server import AppServer


def run_in(app: AppFolder, code: str) -> str:
    """What Python code prints in the app's root folder."""
    return subprocess.run(
        [sys.executable, "-c", code], cwd=app.root, env=os.environ | app.settings, text=True,
        stdout=subprocess.PIPE, check=True, timeout=DEADLINE).stdout


class OwnApp(AppTest):
    """A folder for each test."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())


class Unasked(OwnApp):
    """What the app does by itself."""

    def start(self, **environment: str) -> AppServer:
        """Runs the app until the test ends."""
        return self.enterContext(AppServer(self.app, **environment))

    def test_start_up(self) -> None:
        with AppServer(self.app) as first:
            old, young = upload(first.client), upload(first.client)
        self.app.age(25, old)
        self.app.add_orphan()
        again = self.start()
        again.wait_for_line("Cleanup completed: Deleted 1 old sessions\n")
        again.wait_for_line("Orphaned file cleanup completed: Deleted 1 directories\n")
        self.check_gone(again.client, old)
        self.check_whole(again.client, young)
        self.assertEqual(self.app.directories(), {young})

    def test_every_hour(self) -> None:
        # An hour of this app is short.
        server = self.start(CLEANUP_INTERVAL_SECONDS="0.05")
        young = upload(server.client)
        server.wait_for_line("Cleanup completed: Deleted 0 old sessions\n")
        self.app.age(25, upload(server.client))
        server.wait_for_line("Cleanup completed: Deleted 1 old sessions\n")
        self.app.age(25, upload(server.client), upload(server.client))
        server.wait_for_line("Cleanup completed: Deleted 2 old sessions\n")
        self.assertEqual(self.app.session_ids(), {young})
        self.check_whole(server.client, young)

    def test_the_database_of_the_dotenv(self) -> None:
        (self.app.root / "data").mkdir()
        (self.app.root / "backend" / ".env").write_text(
            "export DATABASE_URL='sqlite:///data/sessions.db'  # moved\n")
        (self.app.root / ".env").write_text("DATABASE_URL=sqlite:///data/wrong.db\n")
        self.app.database = self.app.root / "data" / "sessions.db"
        client = self.start().client
        old = upload(client)
        self.app.age(25, old)
        self.assertEqual(client.post(CLEANUP).json()["deleted_sessions"], 1)
        self.check_gone(client, old)


class UnderLoad(OwnApp):
    """Nobody waits for a clean-up, and no upload fails beside it."""

    def start(self, tool: AnnouncedTool) -> AppServer:
        """An app whose tool waits longer for a lock than anybody here waits for an answer."""
        return AppServer(self.app, CALIB_CLEANUP_BIN=tool.path,
                         CALIB_CLEANUP_LOCK_WAIT=str(2 * DEADLINE))

    def test_others_are_served_while_a_pass_waits(self) -> None:
        tool = self.enterContext(AnnouncedTool(self.app))
        with self.start(tool) as server, ThreadPoolExecutor() as threads:
            tool.started()  # the pass of the start-up
            old = upload(server.client)
            self.app.age(25, old)
            with self.app.write_lock():
                cleaning = threads.submit(server.client.post, CLEANUP)
                tool.started()
                self.check_whole(server.client, old)
                self.assertFalse(cleaning.done())
            self.assertEqual(cleaning.result(DEADLINE).json()["deleted_sessions"], 1)
            self.check_gone(server.client, old)

    def test_others_are_served_while_the_pass_of_a_start_up_waits(self) -> None:
        with AppServer(self.app) as first:
            old = upload(first.client)
        self.app.age(25, old)
        tool = self.enterContext(AnnouncedTool(self.app))
        lock = self.app.write_lock()
        with self.start(tool) as server:
            with lock:
                tool.started()
                self.check_whole(server.client, old)
                self.assertNotIn("Cleanup completed", server.log())
            server.wait_for_line("Cleanup completed: Deleted 1 old sessions\n")

    def test_no_upload_fails(self) -> None:
        with AppServer(self.app, CLEANUP_INTERVAL_SECONDS="0.05") as server:
            self.check_beside_uploads(server, users=3, rounds=8)


class EachWay(AppTest):
    """Reset and clean-up beside uploads, for each way to run the app, on each database."""

    def check(self, *options: str) -> None:
        """Nothing is left of what went, and nobody else's is harmed."""
        for kind in (AppFolder, PostgresqlFolder) if SERVER else (AppFolder,):
            with self.subTest(kind=kind.__name__), kind() as self.app:
                if "--workers" in options:  # so that they do not both make the tables
                    run_in(self.app, "import backend.main")
                with AppServer(self.app, *options, **self.app.settings) as server:
                    self.check_beside_uploads(server, users=1, rounds=2)

    def test_plain(self) -> None:
        self.check()

    def test_reload(self) -> None:
        self.check("--reload")

    def test_workers(self) -> None:
        self.check("--workers", "2")

    @unittest.skipUnless(SERVER, "there is no PostgreSQL server")
    def test_one_call_after_the_other_where_all_have_expired(self) -> None:
        self.app = self.enterContext(PostgresqlFolder())
        run_in(self.app, "from backend import database, models\n"
                         "models.Base.metadata.create_all(database.engine)")
        self.app.uploads.mkdir()
        for old in (self.app.add_orphan(), self.app.add_orphan()):
            self.app.run("INSERT INTO sessions VALUES (?, ?, '2020-01-01')", old, f"uploads/{old}")
        self.app.add_orphan()
        said = run_in(self.app, "from backend.utils.cleanup import *\n"
                                "print(cleanup_old_sessions(), cleanup_orphaned_files())")
        self.assertEqual(said.splitlines()[-1], "2 1")
        self.assertEqual(self.app.directories(), set())


if __name__ == "__main__":
    unittest.main()
