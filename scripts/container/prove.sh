#!/usr/bin/env bash
# Does what the Dockerfile beside this says, and then what compose.yaml and cronjob.yaml run, without
# a container engine: each stage is a bare Debian 12 in a chroot, from the mirror that this machine's
# apt uses. The instructions are read from the Dockerfile, the commands from the YAML files. Not pip's,
# which fetches the app's requirements: here these are Debian's packages, for the app of tests/app.
#
#   sudo scripts/container/prove.sh
#
# Takes some minutes, most of them for the build.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/packages.sh
. scripts/bare_debian.sh

title() { printf '\n== %s\n' "$*"; }
# check WHAT COMMAND...: WHAT is true where COMMAND succeeds.
check() {
  "${@:2}" || { echo "NOT TRUE: $1: ${*:2}" >&2; exit 1; }
  echo "ok: $1"
}

# instructions STAGE: those of the Dockerfile, one a line.
instructions() {
  grep -v '^#' scripts/container/Dockerfile | sed -e ':more' -e '/\\$/{N;s/\\\n *//;bmore}' |
    awk -v stage="$1" '$1 == "FROM" { inside = $4 == stage; next } inside && NF'
}

# in_root ROOT COMMAND...: as root, with what a new container has in its environment.
container=(env -i PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C.UTF-8)
in_root() {
  local root=$1
  shift
  chroot "$root" "${container[@]}" DEBIAN_FRONTEND=noninteractive ${http_proxy+http_proxy="$http_proxy"} \
    ${https_proxy+https_proxy="$https_proxy"} ${no_proxy+no_proxy="$no_proxy"} "$@" </dev/null
}

# copy ROOT WORKDIR [--from=NAME] SOURCE... TARGET
copy() {
  local root=$1 workdir=$2 from=$folder/context
  shift 2
  case $1 in
    --from=calib-cleanup) from=$folder/source; shift ;;
    --from=*) from=$folder/${1#--from=}; shift ;;
  esac
  local sources=("${@:1:$#-1}") target=${*: -1}
  [[ $target = /* ]] || target=$workdir/$target
  local source
  for source in "${sources[@]}"; do cp -a --no-preserve=ownership "$from/$source" "$root/$target"; done
}

# build STAGE: in $folder/STAGE, which is as its FROM says.
build() {
  local root=$folder/$1 workdir=/ instruction rest words
  while read -r instruction rest; do
    printf '%s %s\n' "$instruction" "$rest"
    case "$instruction $rest" in
      "RUN pip "*) echo "(not here: Debian's packages instead)" ;;
      RUN*) quietly "$folder/log" in_root "$root" sh -ec "cd $workdir; $rest" ;;
      COPY*) read -ra words <<<"$rest" && copy "$root" "$workdir" "${words[@]}" ;;
      WORKDIR*) workdir=$rest && mkdir -p "$root$workdir" ;;
      USER*) user=$rest ;;
      ENV*) container+=("$rest") ;;
      CMD*) app_command=$rest ;;
      *) echo "prove.sh: $instruction is not known here" >&2; return 1 ;;
    esac
  done < <(instructions "$1")
}

# from_yaml FILE KEY...: prints what stands there, words one a line.
from_yaml() {
  /usr/bin/python3 -c '
import sys, yaml
value = yaml.safe_load(open(sys.argv[1]))
for key in sys.argv[2:]:
    value = value[int(key) if key.isdigit() else key]
print("\n".join(map(str, value)) if isinstance(value, list) else value)' "scripts/container/$1" "${@:2}"
}

# exec_as_app COMMAND...: in the app's container, as its user, in its working directory.
exec_as_app() {
  # shellcheck disable=SC2016 # for that shell
  exec chroot --userspec="$user" --groups= "$app" "${container[@]}" \
    sh -c 'cd /app && exec "$@"' sh "$@" </dev/null
}
as_app() { (exec_as_app "$@"); }
# in_read_only_root COMMAND...: the same where only the volumes can be written, without a capability.
in_read_only_root() {
  # shellcheck disable=SC2016
  unshare --mount sh -ec 'mount -o remount,bind,ro "$1" && exec chroot "$@"' sh "$app" \
    "${container[@]}" setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups \
    --no-new-privs --inh-caps=-all --bounding-set=-all sh -c 'cd /app && exec "$@"' sh "$@"
}
# The container's /proc shows what runs in this script's own process namespace.
runs() { grep -qsx -- "$1" "$app"/proc/[0-9]*/comm; }
curl_app() { curl --silent --show-error --fail --unix-socket "$app/app/data/socket" "$@"; }
upload() {
  curl_app -F "files=@$folder/image.png;type=image/png" http://app/api/v1/upload/ |
    sed 's/.*"session_id":"\([^"]*\)".*/\1/'
}
# As the app's user, or it would make a journal of root's.
sql() { as_app python3 -c '
import sqlite3, sys
with sqlite3.connect("/app/data/calibration.db", timeout=30) as database:
    for row in database.execute(sys.argv[1]):
        print(*row)' "$1"; }
age() { sql "UPDATE sessions SET created_at = '2020-01-01 00:00:00.000000' WHERE id = '$1'"; }
is_there() {
  [ "$(sql "SELECT count(*) FROM sessions WHERE id = '$1'")" = 1 ] && [ -d "$app/app/uploads/$1" ]
}
is_gone() {
  [ "$(sql "SELECT count(*) FROM sessions WHERE id = '$1'")" = 0 ] &&
    [ "$(sql "SELECT count(*) FROM calibration_images WHERE session_id = '$1'")" = 0 ] &&
    [ ! -e "$app/app/uploads/$1" ]
}
# wait_for COMMAND...
wait_for() {
  local i
  for ((i = 0; i < 600; i++)); do
    ! "$@" 2>/dev/null || return 0
    sleep 0.1
  done
  echo "prove.sh: it never came to that: $*" >&2
  return 1
}
# ends_within_a_second PROCESS: after SIGTERM.
ends_within_a_second() {
  local began=${EPOCHREALTIME/./} status=0
  kill -TERM "$1"
  wait "$1" || status=$?
  local took=$(((${EPOCHREALTIME/./} - began) / 1000))
  echo "   after $took ms, with status $status"
  [ "$took" -lt 1000 ]
}
# ends_with STATUS COMMAND...
ends_with() {
  local wanted=$1 status=0
  shift
  "$@" >"$folder/said" 2>&1 || status=$?
  sed 's/^/   /' "$folder/said"
  [ "$status" -eq "$wanted" ]
}
says() { grep -qF -- "$1" "$folder/said"; }

prove() {
  folder=$1 app=$1/app
  local suite
  suite=$(sed -n 's/^ARG SUITE=//p' scripts/container/Dockerfile)

  title "debootstrap of $suite, as FROM"
  # shellcheck disable=SC2016 # as it stands there
  check "both stages are of that one" test \
    "$(grep -c '^FROM .*-${SUITE} AS\|^FROM debian:${SUITE}-' scripts/container/Dockerfile)" = 2
  make_debian "$suite" "$folder/build" "$folder/log"
  mount -t proc proc "$folder/build/proc"
  mount --rbind /dev "$folder/build/dev"
  cp -a --one-file-system "$folder/build" "$app"
  mount --bind "$app" "$app"
  mount -t proc proc "$app/proc"
  mount --rbind /dev "$app/dev"
  title "Debian's packages, as python:3.11-slim and pip"
  # tini is what an engine runs for `init: true`.
  quietly "$folder/log" in_root "$app" sh -ec 'apt-get update
    apt-get install -y --no-install-recommends python3 python3-dotenv python3-fastapi \
      python3-multipart python3-sqlalchemy uvicorn tini'
  in_root "$app" python3 --version

  # What is committed or will be, and the app's folder, which is the context.
  mkdir "$folder/source" "$folder/context"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$folder/source"
  cp -a tests/app/backend "$folder/context"
  touch "$folder/context/requirements.txt"
  printf '\x89PNG\r\n\x1a\n' >"$folder/image.png"

  title "stage build"
  build build
  title "stage app"
  build app
  check "the adapter is in the app" cmp "$app/app/backend/utils/cleanup.py" scripts/app/cleanup.py
  title "what the executable needs"
  in_root "$app" ldd /usr/local/bin/calib-cleanup | tee "$folder/needs"
  check "libc and libsqlite3 and nothing else" test -z \
    "$(sed -E '/linux-vdso|ld-linux|libc\.so|libm\.so|libsqlite3\.so/d' "$folder/needs")"
  in_root "$app" calib-cleanup --version

  title "the app, on its volumes: $app_command"
  local name words
  mkdir "$folder/volumes"
  for name in data uploads; do
    # A new volume begins as the folder of the image is.
    cp -a "$app/app/$name" "$folder/volumes/$name"
    mount --bind "$folder/volumes/$name" "$app/app/$name"
  done
  mapfile -t words < <(/usr/bin/python3 -c 'import json, sys; print("\n".join(json.loads(sys.argv[1])))' "$app_command")
  exec_as_app tini -s -- "${words[@]}" --uds /app/data/socket >"$folder/app.log" 2>&1 &
  local server=$!
  wait_for curl_app -o /dev/null http://app/docs
  local old young
  old=$(upload) young=$(upload)
  age "$old"
  curl_app -X POST http://app/api/v1/upload/cleanup
  echo
  check "the old session is gone, row and directory" is_gone "$old"
  check "the young one is not" is_there "$young"
  check "DELETE takes the young one" curl_app -o "$folder/said" -X DELETE "http://app/api/v1/upload/session/$young"
  check "it is gone" is_gone "$young"

  title "the container beside it"
  check "it has an init" test "$(from_yaml compose.yaml services cleanup init)" = True
  mapfile -t words < <(from_yaml compose.yaml services cleanup command)
  printf '%s ' "${words[@]}" && echo "(every second)"
  old=$(upload) young=$(upload)
  exec_as_app tini -s -- env INTERVAL=1 "${words[@]}" &
  local beside=$!
  age "$old"
  wait_for is_gone "$old"
  check "an old session goes" is_gone "$old"
  old=$(upload)
  age "$old"
  wait_for is_gone "$old"
  check "and the next one, one interval later" is_gone "$old"
  check "a young one stays" is_there "$young"
  check "it ends within a second of SIGTERM" ends_within_a_second "$beside"
  exec_as_app tini -s -- "${words[@]}" &
  beside=$!
  wait_for runs sleep
  check "in the hour between two passes, too" ends_within_a_second "$beside"
  old=$(upload)
  age "$old"
  # shellcheck disable=SC2016
  exec_as_app python3 -c 'import signal, sqlite3
database = sqlite3.connect("/app/data/calibration.db", isolation_level=None)
database.execute("BEGIN IMMEDIATE")
open("/app/data/locked", "w")
signal.pause()' &
  local locker=$!
  wait_for test -e "$app/app/data/locked"
  exec_as_app tini -s -- "${words[@]}" &
  beside=$!
  wait_for runs calib-cleanup
  check "in a pass that waits for the app's lock, too" ends_within_a_second "$beside"
  kill "$locker"
  wait "$locker" || true
  check "the session that was to go is whole" is_there "$old"
  check "nothing of it is left" test -z "$(grep -lsxE 'sleep|calib-clean.*' "$app"/proc/[0-9]*/comm)"

  title "the CronJob"
  check "no two at once" test "$(from_yaml cronjob.yaml spec concurrencyPolicy)" = Forbid
  local container_of=(spec jobTemplate spec template spec containers 0)
  check "the app's database" grep -qxF \
    "DATABASE_URL=$(from_yaml cronjob.yaml "${container_of[@]}" env 0 value)" \
    <(printf '%s\n' "${container[@]}")
  check "the owner of the uploads" test \
    "$(from_yaml cronjob.yaml "${container_of[@]:0:5}" securityContext runAsUser)" = "${user%:*}"
  mapfile -t words < <(from_yaml cronjob.yaml "${container_of[@]}" command)
  printf '%s ' "${words[@]}" && echo "(nothing writable but the volumes, no capability)"
  old=$(upload)
  age "$old"
  check "it works" ends_with 0 in_read_only_root "${words[@]}"
  check "the old session is gone" is_gone "$old"

  title "PostgreSQL"
  check "libpq is loaded: what is missing is the server" \
    ends_with 3 as_app calib-cleanup --database "postgresql://app@/calibration?host=/nowhere"
  check "it says so" says "/nowhere"

  title "a database file mounted alone"
  young=$(upload)
  old=$(upload)
  age "$old"
  kill "$server"
  wait "$server" || true
  sql "PRAGMA journal_mode = WAL"
  mkdir "$app/app/alone"
  touch "$app/app/alone/calibration.db"
  mount --bind "$app/app/data/calibration.db" "$app/app/alone/calibration.db"
  check "it is refused" ends_with 3 as_app calib-cleanup --database /app/alone/calibration.db
  check "with what to do" says "mount its whole folder instead"
  umount "$app/app/alone/calibration.db"

  title "uploads in a layer of the image"
  mkdir "$folder/upper" "$folder/work"
  chown "$user" "$folder/upper"
  umount "$app/app/uploads"
  mount -t overlay overlay "$app/app/uploads" -o \
    "lowerdir=$folder/volumes/uploads,upperdir=$folder/upper,workdir=$folder/work,redirect_dir=off"
  check "what cannot be moved is left" ends_with 1 as_app calib-cleanup --hours 24
  check "whole" is_there "$old"
  check "with what to do" says "remove it with rm -rf"
  rm -rf "${app:?}/app/uploads/$old"
  check "then the next pass works" ends_with 0 as_app calib-cleanup --hours 24
  check "and the session is gone" is_gone "$old"
  check "the young one is not" is_there "$young"
  title "all proven"
}

if [ "${1-}" = --apart ]; then
  prove "$2"
  exit
fi
[ "$(id -u)" -eq 0 ] || { echo "prove.sh: run it as root: it makes Debian systems" >&2; exit 1; }
need_packages curl debootstrap procps python3 python3-yaml
run_apart "$PWD/scripts/container/prove.sh" "$@"
