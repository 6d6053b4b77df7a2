"""One user of the app, until standard input ends: writes or reads as fast as a person does not, and
prints how long it had to wait at the longest, how often it was refused, and how often it came.

Usage: users.py writer|reader DATABASE SESSION
"""

import select
import sqlite3
import sys
import time

PAUSE = 0.03  # seconds between two visits


def write(database, session):
    database.execute("INSERT INTO calibration_images (session_id, image_path) VALUES (?, ?)",
                     (session, f"uploads/{session}/another.png"))
    database.commit()


def read(database, session):
    database.execute("SELECT images_dir FROM sessions WHERE id = ?", (session,)).fetchall()


def main():
    visit = write if sys.argv[1] == "writer" else read
    database = sqlite3.connect(sys.argv[2])  # Python's own timeout: 5 s
    longest, refused, visits = 0.0, 0, 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], PAUSE)[0]:
        start = time.monotonic()
        try:
            visit(database, sys.argv[3])
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            database.rollback()
            refused += 1
        longest = max(longest, time.monotonic() - start)
        visits += 1
    print(longest, refused, visits)


main()
