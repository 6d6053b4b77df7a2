"""One user of the app, until standard input ends: writes, reads or uploads as fast as a person does
not, and prints how long it had to wait at the longest, how often it was refused, and how often it
came.

Usage: users.py writer|reader|uploader DATABASE SESSION
"""

import datetime
import select
import sqlite3
import subprocess
import sys
import time
import uuid

PAUSE = 0.03  # seconds between two visits


class Sqlite:
    def __init__(self, path):
        self.database = sqlite3.connect(path)  # Python's own timeout: 5 s

    def run(self, sql):
        """One statement in a transaction of its own; whether it was let in."""
        try:
            self.database.execute(sql).fetchall()
            self.database.commit()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            self.database.rollback()
            return False
        return True


class Postgresql:
    """Through psql, which comes with the server."""

    def __init__(self, url):
        self.psql = subprocess.Popen(["psql", "-XqAt", url], text=True, stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        if not self.run("SELECT 1"):
            raise RuntimeError(f"cannot use {url}")

    def run(self, sql):
        self.psql.stdin.write(f"{sql};\n\\echo state :SQLSTATE\n")
        self.psql.stdin.flush()
        for line in self.psql.stdout:
            if line.startswith("state "):
                return line == "state 00000\n"
        raise RuntimeError("psql has ended")


def write(session, _visit):
    return ("INSERT INTO calibration_images (session_id, image_path) VALUES "
            f"('{session}', 'uploads/{session}/another.png')")


def read(session, _visit):
    return f"SELECT images_dir FROM sessions WHERE id = '{session}'"


def upload(session, visit):
    """A session and an image, by turns."""
    if visit % 2:
        return write(session, visit)
    new = f"late-{uuid.uuid4()}"
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    return ("INSERT INTO sessions (id, images_dir, created_at) VALUES "
            f"('{new}', 'uploads/{new}', '{now}')")


KINDS = {"writer": write, "reader": read, "uploader": upload}


def main():
    kind, place, session = sys.argv[1:]
    database = Postgresql(place) if place.startswith("postgresql:") else Sqlite(place)
    longest, refused, visits = 0.0, 0, 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        sql = KINDS[kind](session, visits)
        start = time.monotonic()
        refused += not database.run(sql)
        longest = max(longest, time.monotonic() - start)
        visits += 1
    print(longest, refused, visits)


main()
