#!/usr/bin/env bash
# Shows calib-cleanup at work. Installs what the build, and then a package of it, needs (Debian 12 or
# 13, or a Mac with Homebrew) and builds first.
#
#   scripts/demo.sh        makes a sandbox app folder, then: a dry run, a real pass, what is left
#   scripts/demo.sh DIR    a dry run on the app folder DIR; changes nothing there
set -euo pipefail
folder=${1:+$(cd -- "$1" && pwd -P)}
cd "$(dirname "$0")/.."
. scripts/packages.sh

sandbox=$PWD/build/demo-app
tool=build/release/calib-cleanup

build() {
  # shellcheck disable=SC2086 # lists of words
  need_packages $build_packages $package_packages "$@"
  echo "Building (a few minutes the first time) ..." >&2
  mkdir -p build
  { cmake --preset release -DBUILD_TESTING=OFF && cmake --build --preset release; } \
    >build/demo.log 2>&1 || { cat build/demo.log >&2; exit 1; }
}

title() { printf '\n--- %s\n\n' "$*"; }

run() {
  printf '$ calib-cleanup %s\n' "$*"
  "$tool" "$@"
}

# A small chessboard, 48 x 48 pixels.
image='iVBORw0KGgoAAAANSUhEUgAAADAAAAAwAQAAAAB/ecQqAAAAFUlEQVR42mNg+A+GJFNkamMY5vYBAChSj3Ho15xK
AAAAAElFTkSuQmCC'

sql() { sqlite3 "$sandbox/backend/calibration.db" "$@"; }

# add_session ID AGE_IN_HOURS IMAGES: row, directory, images, image rows, a result.
add_session() {
  sql "INSERT INTO sessions VALUES ('$1', 'uploads/$1',
         strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '-$2 hours'));
       INSERT INTO calibration_results (session_id, reprojection_error) VALUES ('$1', 0.31);
       WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $3)
       INSERT INTO calibration_images (session_id, image_path)
         SELECT '$1', printf('uploads/$1/image_%03d.png', i) FROM n;"
  add_directory "$1" "$3"
}

# add_directory NAME IMAGES
add_directory() {
  mkdir "$sandbox/uploads/$1"
  local i
  for ((i = 1; i <= $2; i++)); do
    base64 -d <<<"$image" >"$sandbox/uploads/$1/$(printf 'image_%03d.png' "$i")"
  done
}

make_sandbox() {
  rm -rf "$sandbox"
  mkdir -p "$sandbox/backend" "$sandbox/uploads"
  sql "CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL,
         created_at DATETIME, PRIMARY KEY (id));
       CREATE TABLE calibration_images (id INTEGER NOT NULL, session_id VARCHAR,
         image_path VARCHAR NOT NULL, PRIMARY KEY (id),
         FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
       CREATE TABLE calibration_results (id INTEGER NOT NULL, session_id VARCHAR,
         reprojection_error FLOAT, PRIMARY KEY (id), UNIQUE (session_id),
         FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);
       CREATE TABLE stereo_calibration_results (id INTEGER NOT NULL, session_id VARCHAR,
         reprojection_error FLOAT, PRIMARY KEY (id), UNIQUE (session_id),
         FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);"
  local last_week=3f2b8c1e-6d4a-4e19-9b57-0c8d1f2a7e60
  local yesterday=9a1c7d52-08be-4f63-a2d4-51e7c3b90f18
  local this_morning=c47e0b93-52fd-4a08-8e6b-7d9f3a1c2e45
  local just_now=e8d3f6a0-1b29-4c74-b5e8-2f60a9d7c831
  local gone=71b5e2d8-9c03-4d6f-87a1-f4e06b3c9d52
  add_session "$last_week" 170 40
  add_session "$yesterday" 30 24
  add_session "$this_morning" 5 20
  add_session "$just_now" 0 12
  # What years of crashes and half-done clean-ups leave behind.
  add_directory "$gone" 16
  add_directory bulk-test-run-7 30
  echo 'kept: a file directly in the folder' >"$sandbox/uploads/README"
  sql "INSERT INTO calibration_images (session_id, image_path)
         VALUES ('$gone', 'a.png'), ('$gone', 'b.png'), ('$gone', 'c.png');
       INSERT INTO stereo_calibration_results (session_id, reprojection_error)
         VALUES ('stereo_${this_morning}_${just_now}', 0.4),
                ('stereo_${yesterday}_${this_morning}', 0.5);"
}

what_is_left() {
  printf '$ ls uploads\n'
  ls "$sandbox/uploads"
  printf '\n$ sqlite3 backend/calibration.db\n'
  sql -box "SELECT (SELECT count(*) FROM sessions) AS sessions,
                   (SELECT count(*) FROM calibration_images) AS images,
                   (SELECT count(*) FROM calibration_results) AS results,
                   (SELECT count(*) FROM stereo_calibration_results) AS stereo_results"
}

if [ -n "$folder" ]; then
  build
  run --app-dir "$folder" --dry-run
  exit
fi

build sqlite3
make_sandbox
title "A sandbox: four sessions, a stereo pair across two of them, orphans, leaked records"
what_is_left
title "What a pass would do"
run --app-dir "$sandbox" --hours 24 --dry-run
title "A real pass"
run --app-dir "$sandbox" --hours 24 --verbose
title "What is left"
what_is_left
# Something to try it on.
make_sandbox
printf '\nThe sandbox stands again as it was at first. Try it there:\n\n  %s\n' \
  'build/release/calib-cleanup --app-dir build/demo-app --dry-run'
