"""The row that puts a pass over the same records in SQLite and on a PostgreSQL server side by side,
with somebody who uploads meanwhile."""

import os
import pathlib
import pwd
import shutil
import subprocess

import data
import measure
import records
from measure import Failed

LONGEST_WAIT = 0.15  # seconds
OWNER = "calib"  # of the app's tables: a role without rights of its own


def programs():
    """The folder of the newest server that Debian has installed; None where there is none."""
    folders = [initdb.parent for initdb in
               pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(folders, key=lambda folder: float(folder.parent.name), default=None)


class Server:
    """A cluster of its own, as Debian sets it up but for what works in the background."""

    def __init__(self, folder):
        self.programs = programs()
        self.folder = folder / "postgresql"
        self.folder.mkdir()
        self.user = {}
        if os.getuid() == 0:  # which PostgreSQL refuses
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.user = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            for path in (folder, folder.parent):
                path.chmod(path.stat().st_mode | 0o011)
        self.control = ["pg_ctl", "--pgdata", self.folder / "data", "--wait"]
        self.call("initdb", "--pgdata", self.folder / "data", "--username=postgres",
                  "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions")
        self.call(*self.control, "--log", self.folder / "log", "--options",
                  f"-k '{self.folder}' -c listen_addresses= -c autovacuum=off", "start")
        self.run(f"CREATE ROLE {OWNER} LOGIN")

    def stop(self):
        self.call(*self.control, "--mode=immediate", "stop")
        shutil.rmtree(self.folder)

    def call(self, program, *arguments, script=None):
        # Not into a pipe, which the server would keep open.
        with open(self.folder / "said", "w+", encoding="utf-8") as said:
            done = subprocess.run([self.programs / program, *arguments], cwd="/", text=True,
                                  input=script or "", stdout=said, stderr=subprocess.STDOUT,
                                  check=False, **self.user)
            said.seek(0)
            text = said.read().strip()
        if done.returncode != 0:
            raise Failed(f"{program}: {' '.join(text.splitlines()[-1:])}")
        return text

    def run(self, script, database="postgres", user="postgres"):
        """What the last of the statements gives."""
        return self.call("psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-U", user,
                         "-d", database, script=script)

    def url(self, database):
        return f"postgresql://{OWNER}@/{database}?host={self.folder}"


class ServerTemplate:
    """What records.Template is for SQLite, with the same records."""

    def __init__(self, server, sqlite, expired, index):
        self.server = server
        self.left = sqlite.left
        self.kept = sqlite.kept
        self.name = "indexed" if index else "plain"
        old, new = data.timestamp(48), data.timestamp(1)
        sessions = "".join(f"{name}\tuploads/{name}\t{old if position in expired else new}\n"
                           for position, name in enumerate(sqlite.ids))
        server.run(f"CREATE DATABASE {self.name} OWNER {OWNER}")
        server.run(data.schema().replace("id INTEGER NOT NULL", "id SERIAL NOT NULL")
                   .replace("DATETIME", "TIMESTAMP WITHOUT TIME ZONE"), self.name, OWNER)
        server.run(
            "SET session_replication_role = replica; COPY sessions FROM STDIN;\n" + sessions +
            f"""\\.
            INSERT INTO calibration_images (session_id, image_path, uploaded_at)
            SELECT id, format('uploads/%s/image_%s.png', id, lpad(n::text, 3, '0')), created_at
            FROM (SELECT *, row_number() OVER () AS number FROM sessions) s
            CROSS JOIN generate_series(1, {records.IMAGES}) n ORDER BY number, n;
            {'CREATE INDEX ON calibration_images (session_id);' if index else ''}
            VACUUM ANALYZE;""", self.name)

    def copy(self, folder):
        app = data.App(folder / "app")
        app.uploads.mkdir(parents=True)
        (app.uploads / self.kept).mkdir()
        # Copies the files, and has all that was changed on the disk before and after.
        self.server.run(f"CREATE DATABASE app TEMPLATE {self.name} STRATEGY FILE_COPY")
        app.database = self.server.url("app")
        measure.settle(folder)
        return app

    def done(self, app):
        left = self.server.run("SELECT count(*) FROM sessions WHERE id NOT LIKE 'late-%'", "app")
        self.server.run("DROP DATABASE app WITH (FORCE)")
        app.remove()
        if int(left) != self.left:
            raise Failed(f"{left} sessions are left, and not {self.left}")


def beside_uploads(bench, path, template):
    app = template.copy(path)
    uploader = records.User("uploader", app, template.kept)
    try:
        taken = bench.clean_up(app, "--database", app.database)
    finally:
        said = uploader.leave()
    template.done(app)
    return taken, said


def databases(bench, until):
    """A pass over the same records in both databases, and how long an upload waits beside it.
    Without an index the server reads all images for each session, so there are fewer of them."""
    sessions = bench.size(20_000, 2_000)
    title = f"records of {sessions} sessions in both databases"

    def at(name, path, until):
        server = Server(path)
        try:
            templates = {}
            for count, kinds in ((sessions, ("SQLite", "PostgreSQL")),
                                 (sessions // 10, ("PostgreSQL without an index",))):
                expired = set(range(count // 2))
                sqlite = records.Template(path, count, records.IMAGES, expired,
                                          file=f"template-{count}.db")
                for kind in kinds:
                    templates[f"records, {count // 2} of {count} x {records.IMAGES}, {kind}"] = (
                        sqlite if kind == "SQLite" else
                        ServerTemplate(server, sqlite, expired, index=kind == "PostgreSQL"))
            results = bench.interleave(
                {work: lambda template=template: beside_uploads(bench, path, template)
                 for work, template in templates.items()}, (5, 1), title, until)
        finally:
            server.stop()
        for work, runs in results.items():
            bench.table.add(f"{work}: a pass, s", name, [taken for taken, _ in runs])
            refused, visits = (sum(said[part] for _, said in runs) for part in (1, 2))
            bench.table.add(
                f"{work}: longest wait of an upload, s", name, [said[0] for _, said in runs],
                records.LONGEST_WAIT if work.endswith("SQLite") else LONGEST_WAIT,
                f"refused {refused} of {visits}")

    if programs() is None:
        bench.table.fail(title, "root", "no PostgreSQL server is installed (Debian's postgresql)",
                         "left out")
        return
    bench.each_place(title, at, bench.one_of("root"), until)
