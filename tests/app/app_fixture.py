"""What the tests of the app share."""

import unittest

import httpx

from app_folder import PNG, AppFolder

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
            self.assertNotIn(session_id, str(self.app.state()[table]))
