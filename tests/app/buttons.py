"""The buttons of a front end, pressed in a browser: what they are for is gone, and nothing else.

Not among those that run every day, for the browser is large: it takes Debian's chromium and
chromium-driver, and ends with status 77 where these are not installed.
"""

import re
import shutil
import subprocess
import sys
import unittest
from types import TracebackType
from typing import Any

import httpx

from app_fixture import CLEANUP, AppTest, succeeded, upload
from app_folder import DEADLINE, AppFolder
from app_server import PortServer

DRIVER = "chromedriver"


class Browser:
    """A headless Chromium, driven as WebDriver says (https://www.w3.org/TR/webdriver2/)."""

    def __init__(self) -> None:
        # It ends the browser with itself.
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        for line in self._driver.stdout:
            if port := re.search(r"started successfully on port (\d+)", line):
                break
        else:
            raise RuntimeError(f"{DRIVER} did not start")
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port[1]}", timeout=DEADLINE)
        # root has no sandbox, and a container may have no room in /dev/shm.
        arguments = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        self._session = ""
        made = self._ask("", capabilities={
            "alwaysMatch": {"goog:chromeOptions": {"args": arguments}}})
        self._session = f"/{made['sessionId']}"

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            self._client.delete(f"/session{self._session}")
        finally:
            self._client.close()
            self._driver.terminate()
            self._driver.communicate(timeout=DEADLINE)

    def _ask(self, command: str, **parameters: Any) -> Any:
        answer = self._client.post(f"/session{self._session}{command}", json=parameters)
        return succeeded(answer).json()["value"]

    def open(self, url: str) -> None:
        """Returns when the page is there."""
        self._ask("/url", url=url)

    def press(self, button: str) -> None:
        """Clicks on it, and waits for what that begins."""
        (element,) = self._ask("/element", using="css selector", value=f"#{button}").values()
        self._ask(f"/element/{element}/click")
        self.run("return action")

    def run(self, script: str) -> Any:
        """What it returns; where that is a promise, what comes of it."""
        return self._ask("/execute/sync", script=script, args=[])


class Buttons(AppTest):
    """Reset takes the session at work, Clear All all of the page."""

    def setUp(self) -> None:
        self.app = self.enterContext(AppFolder())
        self.server = self.enterContext(PortServer(self.app))
        # Somebody else's, whom nobody's buttons reach.
        self.other = upload(self.server.client)
        self.browser = self.enterContext(Browser())
        self.browser.open(self.server.url)
        for _ in range(3):
            self.browser.press("upload")
        self.sessions = self.browser.run("return sessions")
        self.check_left(*self.sessions)

    def check_left(self, *sessions: str) -> None:
        """These and the other one are there, and nothing of any other."""
        self.assertEqual(self.browser.run("return document.getElementById('state').textContent"),
                         f"{len(sessions)} sessions")
        self.assertEqual(self.app.session_ids(), {self.other, *sessions})
        self.assertEqual(self.app.directories(), {self.other, *sessions})
        owners = {row[0] for row in self.app.run("SELECT session_id FROM calibration_images")}
        self.assertEqual(owners, {self.other, *sessions})
        self.check_whole(self.server.client, self.other)

    def test_reset(self) -> None:
        self.browser.press("reset")
        self.check_left(*self.sessions[:2])
        self.check_gone(self.server.client, self.sessions[2])

    def test_clear_all(self) -> None:
        self.browser.press("clear-all")
        self.check_left()
        self.browser.press("upload")
        self.check_left(*self.browser.run("return sessions"))

    def test_what_went_meanwhile(self) -> None:
        self.app.age(25, *self.sessions)
        succeeded(self.server.client.post(CLEANUP))
        self.browser.press("reset")
        self.assertEqual(self.browser.run("return document.getElementById('state').textContent"),
                         "Error: no such session")


if __name__ == "__main__":
    if shutil.which(DRIVER) is None:
        print(f"skipped: {DRIVER} is not installed")
        sys.exit(77)
    unittest.main()
