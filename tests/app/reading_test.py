"""Files .env and URLs of any bytes, read by the tool as by Python's own libraries, or refused."""

import io
import logging
import os
import random
import subprocess
import tempfile
import unittest
from collections import Counter
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any
from unittest import mock
from urllib.parse import unquote

from dotenv import load_dotenv
from sqlalchemy.engine import make_url

from app_folder import DEADLINE, TOOL

READER = Path(TOOL).parent / "tests" / "app_reader"

NAME = "DATABASE_URL"

# What the grammar of a .env looks at, and what is near it. Python's white space, all of it.
SPACES = ["\t", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\x85", "\xa0", "\u1680",
          *map(chr, range(0x2000, 0x200b)), "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"]
NEAR_SPACES = ["\x08", "\x0e", "\x1b", "\x7f", "\x84", "\x86", "\u180e", "\u200b", "\u2060",
               "\ufeff", "\u2027", "\u202a"]
NEWLINES = ["\n", "\r", "\r\n", "\n\r", "\n\n"]
SPECIAL = ["'", '"', "\\", "\\'", '\\"', "\\\\", "\\n", "\\a", "\\x41", "\\u0041", "=", "#", " #",
           "$", "${A}", "${", "export", "export ", "exported", ":", ";", "`"]
WORDS = ["a", "b", "x.db", "sqlite:///x.db", "é", "€", "\U0001f4f7", "\u0301", NAME, "A", "OTHER"]
BROKEN = [b"\x00", b"\x80", b"\xc0\x80", b"\xc2", b"\xe2\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80",
          b"\xf8\x88\x80\x80\x80", b"\xff", b"\xe0\x80\xaf"]


class Generator:
    """Random texts; the same ones in every run."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one_in(self, count: int) -> bool:
        """Whether it happens this time."""
        return self._random.randrange(count) == 0

    def pick(self, *lists: list[str]) -> str:
        """One text of one of the lists."""
        return self._random.choice(self._random.choice(lists))

    def some(self, most: int, pick: Callable[[], str]) -> str:
        """Some texts in a row, often none."""
        return "".join(pick() for _ in range(self._random.randint(0, most)))

    def blanks(self) -> str:
        """White space, mostly the usual."""
        if not self.one_in(3):
            return self._random.choice(["", "", " ", "  ", "\t"])
        return self.some(2, lambda: self.pick(SPACES, SPACES, NEAR_SPACES))

    def value(self) -> str:
        """What may stand behind an equals sign."""
        quote = self._random.choice(["", "", "'", '"'])
        body = self.some(4, lambda: self.pick(WORDS, WORDS, WORDS, SPACES, SPECIAL))
        if quote and self.one_in(3):
            body += self.pick(NEWLINES, ["\\", "\\\\", "\\" + quote])
        return quote + body + ("" if self.one_in(20) else quote)

    def statement(self) -> str:
        """A line as people write it, more or less."""
        if self.one_in(8):
            return self.some(6, lambda: self.pick(WORDS, SPACES, SPECIAL, NEWLINES, NEAR_SPACES))
        if self.one_in(8):
            return self.blanks() + "#" + self.value()
        export = self._random.choice(["", "", "", "export" + self.blanks()])
        key = self._random.choice([NAME, NAME, NAME, f"'{NAME}'", "OTHER", "A"])
        if self.one_in(20):
            key += self.pick(NEAR_SPACES, SPECIAL)
        value = "=" + self.blanks() + self.value()
        if self.one_in(12):
            value = value[1:] if self.one_in(4) else ""
        comment = self.blanks() + "#" + self.value() if self.one_in(4) else ""
        return self.blanks() + export + key + self.blanks() + value + comment

    def env(self) -> bytes:
        """A whole file."""
        lines = [self.statement() + self.pick(NEWLINES) for _ in range(self._random.randint(1, 4))]
        text = "".join(lines)
        if self.one_in(4):
            text = text.rstrip("\r\n")
        if self.one_in(50):
            text = "\ufeff" + text
        return self.damaged(text.encode(), 25)

    def damaged(self, text: bytes, rarity: int) -> bytes:
        """The text, now and then with bytes in it that are no text."""
        if not self.one_in(rarity):
            return text
        at = self._random.randint(0, len(text))
        return text[:at] + self._random.choice(BROKEN) + text[at:]

    def url(self) -> bytes:
        """A URL of SQLite's, more or less."""
        scheme = self._random.choice(["sqlite"] * 8 + ["sqlite+pysqlite", "SQLite", " sqlite", ""])
        slashes = self._random.choice(["///"] * 4 + ["////"] * 4 + ["//", "/////", "://", "//h/"])
        odd = ["%20", "%2", "%%41", "%zz", "+", "#", "@", ":", "&", "=", "~", "\\", "..", ".", "//",
               "[", "]", ":memory:", "file:", "é", *SPACES, "\n", "\r"]
        path = self.some(5, lambda: self.pick(["a", "x.db", "/", "/"], ["b", "/"], odd))
        argument = self._random.choice(
            ["timeout=5", "uri=true", "mode=ro", "u%72i=1", "timeout=1;uri=1", "vfs=x", "&",
             "check_same_thread=0", "timeout", "cached_statements=7"])
        end = self.blanks() if self.one_in(8) else ""
        query = "?" + argument if self.one_in(6) else ""
        return self.damaged(f"{scheme}:{slashes}{path}{end}".encode(), 60) + query.encode()


def read_by_the_tool(kind: str, texts: list[bytes]) -> list[str]:
    """What it says to each of them."""
    lines = "".join(f"{kind} {text.hex()}\n" for text in texts)
    done = subprocess.run([READER], input=lines, capture_output=True, text=True, check=True,
                          timeout=10 * DEADLINE)
    answers = done.stdout.splitlines()
    assert len(answers) == len(texts)
    return answers


def env_by_python(text: bytes) -> str | None:
    """What load_dotenv() makes of a .env: a line like the tool's, or None where it fails."""
    # What a file opened as text is, without the file.
    stream = io.TextIOWrapper(io.BytesIO(text), encoding="utf-8")
    with mock.patch.dict(os.environ, {"A": "a"}, clear=True):
        try:
            load_dotenv(stream=stream)
        except ValueError:
            return None
        value = os.environ.get(NAME)
    return "nothing" if value is None else f"value {os.fsencode(value).hex()}"


def url_by_python(text: bytes) -> str | None:
    """The file that SQLAlchemy opens by a URL, likewise; None also where releases of it differ."""
    try:
        url = make_url(os.fsdecode(text))
        made: Any = url.get_dialect()().create_connect_args(url)
        (path,), arguments = made
    except Exception:  # whatever it is, the app does not start
        return None
    # The name is decoded since SQLAlchemy 2.1.
    if unquote(url.database or "") != (url.database or "") or "uri" in arguments or "\0" in path:
        return None
    return f"value {os.fsencode(path).hex()}"


class Readings(unittest.TestCase):
    """The tool refuses, or reads the same."""

    def compare(self, texts: list[bytes], kind: str,
                by_python: Callable[[bytes], str | None]) -> Counter[str]:
        """How many were read alike, read alike as a value, and refused though Python read them."""
        counts: Counter[str] = Counter()
        for text, answer in zip(texts, read_by_the_tool(kind, texts)):
            expected = by_python(text)
            if answer.startswith("refused"):
                counts["refused"] += expected is not None
                continue
            self.assertEqual(self.normal(kind, answer), self.normal(kind, expected), text)
            counts["alike"] += 1
            counts["values"] += answer.startswith("value")
        return counts

    def normal(self, kind: str, answer: str | None) -> str | None:
        """The tool leaves a `..` in front to the kernel, and Python leaves two slashes there."""
        if kind == "env" or answer is None:
            return answer
        path = os.path.normpath(bytes.fromhex(answer.removeprefix("value ")))
        return f"value {path.lstrip(b'/').hex()}"

    def test_dotenv_files(self) -> None:
        logging.getLogger("dotenv.main").setLevel(logging.CRITICAL)
        generator = Generator(17)
        texts = [generator.env() for _ in range(20_000)]
        counts = self.compare(texts, "env", env_by_python)
        # Who refuses everything is right, too, and of no use.
        self.assertGreater(counts["alike"], 15_000)
        self.assertGreater(counts["values"], 7_500)

    def test_urls(self) -> None:
        generator = Generator(18)
        texts = [generator.url() for _ in range(20_000)]
        with tempfile.TemporaryDirectory(prefix="calib-url-") as folder, chdir(folder):
            counts = self.compare(texts, "url", url_by_python)
        self.assertGreater(counts["alike"], 9_000)


if __name__ == "__main__":
    unittest.main()
