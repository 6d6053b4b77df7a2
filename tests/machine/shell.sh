# Sourced by the tests that are shell scripts. Each ends with status 1 at the first check that
# fails, and with 77 (skipped) where a program that it needs is not installed.
set -euo pipefail
export LC_ALL=C.UTF-8 TZ=UTC0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# need PROGRAM...
need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null && continue
    echo "skipped: $program is not installed"
    exit 77
  done
}

# check WHAT COMMAND...: WHAT is true where COMMAND succeeds.
check() {
  local what=$1
  shift
  if "$@"; then
    echo "ok: $what"
    return
  fi
  echo "NOT TRUE: $what" >&2
  echo "  $*" >&2
  exit 1
}

# ends_with STATUS COMMAND...: what it says is in $scratch/said, and shown where it ends otherwise.
ends_with() {
  local status=0
  "${@:2}" >"$scratch/said" 2>&1 || status=$?
  [ "$status" -eq "$1" ] || { cat "$scratch/said" >&2; return 1; }
}
says() { grep -qF -- "$1" "$scratch/said"; }

quietly() { "$@" >/dev/null; }
no_line_with() { ! grep -qE -- "$@"; }
# A file that is empty has no such line, and nothing to check.
no_line_without() { [ -s "$2" ] && ! grep -qvE -- "$@"; }

# make_app DIR: an app folder without sessions.
make_app() {
  mkdir -p "$1/backend" "$1/uploads"
  sqlite3 "$1/backend/calibration.db" "
    CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL, created_at DATETIME,
      PRIMARY KEY (id));
    CREATE TABLE calibration_images (id INTEGER NOT NULL, session_id VARCHAR, PRIMARY KEY (id),
      FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);"
}

# add_session DIR ID CREATED_AT: row, directory and image; CREATED_AT is SQL.
add_session() {
  sqlite3 "$1/backend/calibration.db" \
    "INSERT INTO sessions VALUES ('$2', 'uploads/$2', $3);
     INSERT INTO calibration_images (session_id) VALUES ('$2');"
  mkdir "$1/uploads/$2"
  echo image >"$1/uploads/$2/image_001.png"
}
