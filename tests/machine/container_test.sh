#!/usr/bin/env bash
# What scripts/container has is of one piece, and its loop of passes ends when it is told to.
#   container_test.sh SCRIPTS EXECUTABLE
. "$(dirname "$0")/shell.sh"
need sqlite3 /usr/bin/python3
scripts=$1 executable=$2
if ! /usr/bin/python3 -c 'import yaml' 2>"$scratch/out"; then
  echo "skipped: python3-yaml is not installed"
  exit 77
fi

check "the YAML files agree with each other and with the Dockerfile" \
  /usr/bin/python3 - "$scripts/container" <<'END'
import json, re, sys, yaml
folder = sys.argv[1]
compose = yaml.safe_load(open(f"{folder}/compose.yaml"))
app, beside = compose["services"]["app"], compose["services"]["cleanup"]
job = yaml.safe_load(open(f"{folder}/cronjob.yaml"))
pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
(container,) = pod["containers"]
dockerfile = open(f"{folder}/Dockerfile").read()
environment = dict(re.findall(r"^ENV (\w+)=(.*)$", dockerfile, re.M))
user = re.search(r"^USER (\d+):(\d+)$", dockerfile, re.M)
assert app["environment"] == beside["environment"] == environment
assert {entry["name"]: entry["value"] for entry in container["env"]} == environment
mounts = dict(volume.split(":") for volume in app["volumes"])
assert app["volumes"] == beside["volumes"] and set(mounts) == set(compose["volumes"])
assert {mount["subPath"]: mount["mountPath"] for mount in container["volumeMounts"]} == mounts
# Whole folders, and the database is in one of them.
assert environment["DATABASE_URL"].removeprefix("sqlite:///").rpartition("/")[0] == mounts["data"]
assert app["init"] and beside["init"]
assert job["spec"]["concurrencyPolicy"] == "Forbid"
owner = pod["securityContext"]
assert [owner["runAsUser"], owner["runAsGroup"]] == [int(user[1]), int(user[2])]
assert beside["command"][1:] == container["command"][1:]
assert beside["image"] == app["image"] == container["image"]
END

# shellcheck source=/dev/null
. "$scripts/packages.sh"
named=$(sed -e ':more' -e '/\\$/{N;s/\\\n *//;bmore}' "$scripts/container/Dockerfile" |
  sed -n '/g++/s/.*--no-install-recommends //p')
# shellcheck disable=SC2086,SC2154 # lists of words; that one is in packages.sh
check "the build stage has the packages that a build takes" test \
  "$(printf '%s\n' $named | sort)" = "$(printf '%s\n' $build_packages | sort)"

app=$scratch/app
make_app "$app"
id=00000000-0000-4000-8000-000000000001
add_session "$app" "$id" "'2020-01-01 00:00:00.000000'"
# It tells when it begins.
mkdir "$scratch/bin"
printf '#!/bin/sh\necho begun\nexec "%s" "$@"\n' "$executable" >"$scratch/bin/calib-cleanup"
chmod 755 "$scratch/bin/calib-cleanup"

# start [VARIABLE=VALUE]... COMMAND...: what it and its children print comes from $said.
start() {
  exec {said}< <(exec env PATH="$scratch/bin:$PATH" "$@" 2>&1)
  loop=$!
}
# wait_for TEXT: until a line has it.
wait_for() {
  local line
  while read -r -t 60 -u "$said" line; do [[ $line != *"$1"* ]] || return 0; done
  return 1
}
# Nobody has the other end any more: neither the loop, nor a pass, nor what waits for the next hour.
ends() {
  kill -TERM "$loop"
  cat <&"$said" >"$scratch/out"
}
hourly=$scripts/container/calib-cleanup-hourly

start "$hourly" --app-dir "$app" --hours 24
check "a pass begins at once" wait_for begun
check "it works" wait_for "Cleanup completed: Deleted 1 old session"
check "it is at its end" wait_for "Database:"
check "it ends in the hour between two passes" ends

start INTERVAL=0.01 "$hourly" --app-dir "$app" --hours 24
check "one pass" wait_for begun
check "follows the other" wait_for begun
check "as often as it is told to" wait_for begun
check "it ends" ends

mv "$app/uploads" "$scratch/lost"
start INTERVAL=0.01 "$hourly" --app-dir "$app" --hours 24
check "what fails is told" wait_for "calib-cleanup: error: $app/uploads"
check "and the next pass comes" wait_for begun
check "it ends after failures, too" ends
mv "$scratch/lost" "$app/uploads"

add_session "$app" "$id" "'2020-01-01 00:00:00.000000'"
coproc writer { exec sqlite3 "$app/backend/calibration.db"; }
echo "BEGIN IMMEDIATE; SELECT 'locked';" >&"${writer[1]}"
check "the database is locked" read -r -t 60 -u "${writer[0]}" _
start "$hourly" --app-dir "$app" --hours 24 --lock-wait 86400
check "a pass begins, and waits for the database" wait_for begun
check "it ends with that pass" ends
exec {writer[1]}>&-
check "the session is whole" test -e "$app/uploads/$id/image_001.png"
