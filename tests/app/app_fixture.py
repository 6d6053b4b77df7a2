"""What the tests of the app share."""

import threading
import unittest
from concurrent.futures import ThreadPoolExecutor

import httpx

from app_folder import DEADLINE, PNG, AppFolder
from app_server import AppServer

CLEANUP = "/api/v1/upload/cleanup"
SUCCESS = "Cleanup completed successfully"
IMAGES = [("files", (f"{number}.png", PNG + bytes([number]), "image/png")) for number in range(3)]


def succeeded(response: httpx.Response) -> httpx.Response:
    """The response, where it is one of success."""
    response.raise_for_status()
    return response


def upload(client: httpx.Client) -> str:
    """A session made through the app."""
    return str(succeeded(client.post("/api/v1/upload/", files=IMAGES)).json()["session_id"])


def images(client: httpx.Client, session_id: str) -> list[bytes]:
    """The images of a session as the app serves them."""
    listed = succeeded(client.get(f"/api/v1/upload/images/{session_id}")).json()["images"]
    return [succeeded(client.get(path)).content for path in listed]


class AppTest(unittest.TestCase):
    """What is asked of every app."""

    app: AppFolder

    def check_whole(self, client: httpx.Client, session_id: str) -> None:
        """A session is served with all its images."""
        self.assertEqual(images(client, session_id), [image[1][1] for image in IMAGES])

    def check_gone(self, client: httpx.Client, session_id: str) -> None:
        """Nothing is left of a session."""
        self.assertEqual(client.get(f"/api/v1/upload/images/{session_id}").status_code, 404)
        self.assertEqual(client.get(f"/files/{session_id}/image_000.png").status_code, 404)
        self.assertNotIn(session_id, self.app.directories())
        for table in ("sessions", "calibration_images"):
            self.assertNotIn(session_id, str(self.app.run(f"SELECT * FROM {table}")))

    def check_beside_uploads(self, server: AppServer, users: int, rounds: int) -> None:
        """While others upload, old sessions, orphans and deleted ones go; no upload fails, and at
        last just theirs are there."""
        client = server.client
        over = threading.Event()

        def upload_until_it_is_over() -> list[str]:
            uploaded = []
            while not over.is_set():
                uploaded.append(upload(client))
                self.check_whole(client, uploaded[-1])
            return uploaded

        with ThreadPoolExecutor() as threads:
            uploading = [threads.submit(upload_until_it_is_over) for _ in range(users)]
            try:
                for _ in range(rounds):
                    doomed, old = upload(client), upload(client)
                    self.app.age(25, old)
                    self.app.add_orphan()
                    succeeded(client.post(CLEANUP))
                    succeeded(client.delete(f"/api/v1/upload/session/{doomed}"))
                    self.check_gone(client, old)
                    self.check_gone(client, doomed)
            finally:
                over.set()
            kept = {session_id for task in uploading for session_id in task.result(DEADLINE)}
        self.assertEqual(client.post(CLEANUP).json()["message"], SUCCESS)
        self.assertEqual(self.app.session_ids(), kept)
        self.assertEqual(self.app.directories(), kept)
        for session_id in kept:
            self.check_whole(client, session_id)
        self.assertNotIn("Traceback", server.log())
