"""The app as people run it: a process of uvicorn's, in the app's root folder."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType

import httpx

from app_folder import DEADLINE, AppFolder


class AppServer:
    """A running app, and a client of its; `options` are uvicorn's."""

    def __init__(self, app: AppFolder, *options: str, **environment: str) -> None:
        self._lines: list[str] = []
        self._news = threading.Condition()
        self._folder = tempfile.TemporaryDirectory(prefix="calib-app-socket-")
        # It listens before the app runs: whoever connects is served as soon as the app is ready.
        with self._bound() as listener:
            listener.listen()
            self._process = subprocess.Popen(
                # Kept open for long: the client must not use a connection as the app closes it.
                [sys.executable, "-m", "uvicorn", "backend.main:app", "--timeout-keep-alive",
                 str(10 * DEADLINE), "--fd", str(listener.fileno()), *options],
                cwd=app.root, env=os.environ | environment, pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                text=True)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.client = httpx.Client(transport=httpx.HTTPTransport(uds=self._path),
                                   base_url=self.url, timeout=DEADLINE)

    def _bound(self) -> socket.socket:
        """The socket to listen on. Here one that no other program can take for its own."""
        self.url = "http://app"
        self._path: str | None = str(Path(self._folder.name, "socket"))
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(self._path)
        return bound

    def __enter__(self) -> "AppServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.client.close()
        self._process.terminate()
        try:
            self._process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            # The handler of uvicorn's reloader sets an Event, and hangs where that is being waited
            # for at this very moment. Its child has to go, too, for our reader to come to an end.
            pid = self._process.pid
            for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        finally:
            self._process.kill()
            self._reader.join()
            self._folder.cleanup()
        if error is not None:
            print(self.log(), file=sys.stderr)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._news:
                    self._lines.append(line)
                    self._news.notify_all()

    def log(self) -> str:
        """What the app has printed so far."""
        with self._news:
            return "".join(self._lines)

    def wait_for_line(self, text: str, times: int = 1) -> None:
        """Returns when the app has printed so many lines with this text."""
        end = time.monotonic() + DEADLINE
        with self._news:
            while sum(text in line for line in self._lines) < times:
                if not self._news.wait(end - time.monotonic()):
                    raise TimeoutError(f"the app never said {text!r}")


class PortServer(AppServer):
    """The same on a port, for a browser."""

    def _bound(self) -> socket.socket:
        self._path = None
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        return bound
