"""Cleans an app's folder the way the app does: as an ORM would, session by session, and without
the tool's care. A session's files go before its records, and the look for orphans reads every
session anew for every directory.

Usage: app_style.py DATABASE UPLOADS HOURS
"""

import datetime
import os
import shutil
import sqlite3
import sys

CHILDREN = ("calibration_images", "calibration_results", "calibration_parameters")


def delete_session(database, uploads, session):
    for table in CHILDREN:
        rows = database.execute(f"SELECT * FROM {table} WHERE session_id = ?",
                                (session,)).fetchall()
        database.executemany(f"DELETE FROM {table} WHERE id = ?", [(row[0],) for row in rows])
    shutil.rmtree(os.path.join(uploads, session))
    database.execute("DELETE FROM sessions WHERE id = ?", (session,))
    database.commit()


def delete_orphans(database, uploads):
    for name in os.listdir(uploads):
        sessions = [session for session, in database.execute("SELECT id FROM sessions")]
        if name not in sessions:
            shutil.rmtree(os.path.join(uploads, name))


def main():
    path, uploads, hours = sys.argv[1:]
    database = sqlite3.connect(path)
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    cutoff = now - datetime.timedelta(hours=float(hours))
    expired = database.execute("SELECT id FROM sessions WHERE created_at < ?",
                               (cutoff.isoformat(" "),)).fetchall()
    for session, in expired:
        delete_session(database, uploads, session)
    delete_orphans(database, uploads)
    database.close()


main()
