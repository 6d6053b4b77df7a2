"""The app over HTTP, with the adapter in it and the real executable behind: what it answers."""

import subprocess
import sys
import unittest
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx

from app_fixture import CLEANUP, SUCCESS, AppTest, succeeded, upload
from app_folder import DEADLINE, AppFolder
from app_server import AppServer


class OneApp(AppTest):
    """An app that serves all tests of a class, with an old session, a young one and an orphan."""

    server: AppServer
    client: httpx.Client

    @classmethod
    def setUpClass(cls) -> None:
        cls.app = cls.enterClassContext(AppFolder())
        cls.server = cls.enterClassContext(AppServer(cls.app, CALIB_CLEANUP_LOCK_WAIT="0.1"))
        cls.client = cls.server.client

    def setUp(self) -> None:
        self.old, self.young = upload(self.client), upload(self.client)
        self.app.age(25, self.old)
        self.orphan = self.app.add_orphan()
        self.addCleanup(self.client.post, CLEANUP, params={"hours_old": 0})


class Requests(OneApp):
    """What is asked for is done."""

    def test_cleanup(self) -> None:
        response = self.client.post(CLEANUP, params={"hours_old": 24})
        self.assertEqual((response.status_code, response.json()), (200, {
            "message": SUCCESS, "deleted_sessions": 1, "deleted_orphaned_directories": 1}))
        self.check_gone(self.client, self.old)
        self.check_whole(self.client, self.young)
        self.assertEqual(self.app.directories(), {self.young})
        self.server.wait_for_line("Cleanup completed: Deleted 1 old sessions\n")
        self.server.wait_for_line("Orphaned file cleanup completed: Deleted 1 directories\n")

    def test_the_hours_of_a_cleanup(self) -> None:
        older = upload(self.client)
        self.app.age(49, older)
        self.app.age(23, self.young)
        for query, gone in (("?hours_old=48", older), ("", self.old),
                            ("?hours_old=22.5", self.young)):
            answer = self.client.post(CLEANUP + query)
            self.assertEqual(answer.json()["deleted_sessions"], 1, query)
            self.check_gone(self.client, gone)

    def test_delete(self) -> None:
        response = self.client.delete(f"/api/v1/upload/session/{self.young}")
        self.assertEqual((response.status_code, response.json()),
                         (200, {"message": "Session deleted successfully"}))
        self.check_gone(self.client, self.young)
        self.check_whole(self.client, self.old)
        self.assertEqual(self.app.directories(), {self.old, self.orphan})
        again = self.client.delete(f"/api/v1/upload/session/{self.young}")
        self.assertEqual(again.status_code, 404)

    def test_by_hand_beside_the_app(self) -> None:
        done = subprocess.run([sys.executable, "-m", "backend.utils.cleanup", "--hours", "24"],
                              cwd=self.app.root, capture_output=True, text=True, timeout=DEADLINE,
                              check=True)
        self.assertEqual(done.stdout.splitlines()[1::2], [
            "Cleanup completed: Deleted 1 old sessions",
            "Orphaned file cleanup completed: Deleted 1 directories"])
        self.check_gone(self.client, self.old)
        self.check_whole(self.client, self.young)

    def test_the_documentation(self) -> None:
        succeeded(self.client.get("/docs"))
        paths = succeeded(self.client.get("/openapi.json")).json()["paths"]
        (parameter,) = paths[CLEANUP]["post"]["parameters"]
        schema = parameter.pop("schema")
        self.assertEqual(parameter, {"name": "hours_old", "in": "query", "required": False})
        self.assertEqual((schema["type"], schema["default"], schema["minimum"]), ("number", 24, 0))
        self.assertIn("delete", paths["/api/v1/upload/session/{session_id}"])


class Refusals(OneApp):
    """What cannot be meant or done gets a clear answer, and nothing is lost."""

    def test_hours(self) -> None:
        before = self.app.state()
        for hours_old in ("-1", "-0.5", "nan", "inf", "-inf", "1e999", "x", "", "24h", "true"):
            response = self.client.post(CLEANUP, params={"hours_old": hours_old})
            self.assertEqual(response.status_code, 422, hours_old)
            self.assertIn("detail", response.json())
        self.assertEqual(self.app.state(), before)

    def test_ids(self) -> None:
        before = self.app.state()
        for name in ("--hours=0", "-n", "--orphans-only", "%00", "%ed%a0%80", "..%5c", "nobody"):
            response = self.client.delete(f"/api/v1/upload/session/{name}")
            self.assertEqual(response.status_code, 404, name)
        self.assertEqual(self.app.state(), before)

    def check_fails(self, obstacle: AbstractContextManager[object], status: int,
                    detail: str, logged: str) -> None:
        """Both ways to delete fail while something is in the way, and only the log says by what."""
        with obstacle:
            before = self.app.state()
            for response in (self.client.post(CLEANUP),
                             self.client.delete(f"/api/v1/upload/session/{self.old}")):
                self.assertEqual(response.status_code, status)
                self.assertEqual("retry-after" in response.headers, status == 503)
                self.assertIn(detail, response.json()["detail"])
                self.assertNotIn(str(self.app.root), response.text)
                self.server.wait_for_line(logged)
            self.assertEqual(self.app.state(), before)
        self.check_whole(self.client, self.old)
        self.assertIn(self.orphan, self.app.directories())

    def test_a_locked_database(self) -> None:
        self.check_fails(self.app.write_lock(), 503, "try again", "locked")

    def test_a_folder_that_is_not_there(self) -> None:
        @contextmanager
        def without_uploads() -> Iterator[None]:
            moved = self.app.uploads.rename(self.app.root / "moved")
            yield
            moved.rename(self.app.uploads)

        self.check_fails(without_uploads(), 500, "the server's log", str(self.app.uploads))

    def test_a_tool_that_is_not_there(self) -> None:
        with AppServer(self.app, CALIB_CLEANUP_BIN="/nowhere/calib-cleanup") as broken:
            # The start-up's pass fails, and the app serves.
            broken.wait_for_line("cannot run /nowhere/calib-cleanup")
            for response in (broken.client.post(CLEANUP),
                             broken.client.delete(f"/api/v1/upload/session/{self.old}")):
                self.assertEqual(response.status_code, 500)
                self.assertNotIn("/nowhere", response.text)
                broken.wait_for_line("set CALIB_CLEANUP_BIN")
            self.check_whole(broken.client, self.old)
            self.assertIn(self.orphan, self.app.directories())


if __name__ == "__main__":
    unittest.main()
