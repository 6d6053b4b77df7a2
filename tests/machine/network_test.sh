#!/usr/bin/env bash
# The uploads folder on another machine, which here is this one: over sshfs, or on GlusterFS where
# that is installed.
#   network_test.sh EXECUTABLE sshfs|glusterfs
. "$(dirname "$0")/shell.sh"
executable=$1
kind=$2
need fusermount3 sqlite3
[ -w /dev/fuse ] || { echo "skipped: no FUSE file system can be mounted here"; exit 77; }
old=00000000-0000-4000-8000-000000000001
young=00000000-0000-4000-8000-000000000002
app=$scratch/app
uploads=$scratch/mounted/uploads
make_app "$app"
mkdir "$scratch/served" "$scratch/mounted"

# until_true COMMAND...: asks again until it succeeds.
until_true() {
  local tries=0
  until "$@" >/dev/null 2>&1; do
    [ $((tries += 1)) -lt 200 ] || { echo "NOT TRUE in time: $*" >&2; return 1; }
    sleep 0.1
  done
}

# Without a server: ssh would only start the program that serves, on the other machine.
mount_sshfs() {
  need sshfs
  local server=/usr/lib/openssh/sftp-server
  [ -x "$server" ] || need sftp-server
  printf '#!/bin/sh\nexec %s\n' "$server" >"$scratch/ssh"
  chmod +x "$scratch/ssh"
  trap 'fusermount3 -u "$scratch/mounted"; rm -rf "$scratch"' EXIT
  sshfs -o ssh_command="$scratch/ssh" "nobody:$scratch/served" "$scratch/mounted"
}

# A daemon of its own, with all that it keeps below the test's folder.
mount_glusterfs() {
  need glusterd gluster glusterfs ip unshare
  [ "$(id -u)" = 0 ] || { echo "skipped: only root may start its servers"; exit 77; }
  local address=10.0.0.1
  # It knows one port: that is to be nobody else's.
  if [ -z "${CALIB_TEST_OWN_NETWORK-}" ]; then
    exec unshare --net --mount env CALIB_TEST_OWN_NETWORK=yes bash "$0" "$executable" "$kind"
  fi
  ip link set lo up
  ip address add "$address/32" dev lo  # of a local one it does not take bricks
  mkdir "$scratch/run" "$scratch/lib" "$scratch/log"
  mkdir -p /var/lib/glusterd /var/log/glusterfs
  mount --bind "$scratch/lib" /var/lib/glusterd
  mount --bind "$scratch/log" /var/log/glusterfs
  mount --bind "$scratch/run" /run
  # What else is mounted goes with the last process that sees it.
  trap 'umount "$scratch/mounted"; gluster --mode=script volume stop uploads force >/dev/null
    kill "$(cat "$scratch/server.pid")"; rm -rf "$scratch"' EXIT
  glusterd -p "$scratch/server.pid"
  until_true gluster --mode=script volume create uploads "$address:$scratch/served" force
  quietly gluster --mode=script volume start uploads
  until_true mount -t glusterfs "$address:/uploads" "$scratch/mounted"
}

"mount_$kind"
mkdir "$uploads"
rmdir "$app/uploads"
ln -s "$uploads" "$app/uploads"

# pass STATUS [OPTION...]
pass() { ends_with "$1" "$executable" --app-dir "$app" "${@:2}"; }
are() { [ "$(ls -A "$1" | tr '\n' ' ')" = "$2 " ]; }

add_session "$app" "$old" "'2020-01-01 00:00:00.000000'"
add_session "$app" "$young" "strftime('%Y-%m-%d %H:%M:%f', 'now')"
check "$kind: a dry run foresees it" pass 0 --dry-run
check "$kind: it lists the old session" says "$old"
check "$kind: a pass deletes it" pass 0
check "$kind: the other one is there, and nothing else" are "$uploads" "$young"

# What a killed pass leaves of a session that is to stay, and that the app goes on writing to.
mv "$uploads/$young" "$uploads/.calib-cleanup.$young"
echo other >"$uploads/.calib-cleanup.$young/image_002.png"
mkdir "$uploads/$young"
echo taken >"$uploads/$young/image_002.png"
check "$kind: a merge with a name that is taken is told" pass 1
check "$kind: what can be moved back is back" are "$uploads/$young" "image_001.png image_002.png"
check "$kind: nothing is overwritten" test "$(cat "$uploads/$young/image_002.png")" = taken
mv "$uploads/$young/image_002.png" "$uploads/$young/image_003.png"
check "$kind: once it is not taken the pass succeeds" pass 0
check "$kind: all is back" are "$uploads/$young" "image_001.png image_002.png image_003.png"
check "$kind: nothing is left aside" are "$uploads" "$young"

mkdir "$uploads/restored"
touch -d 2020-01-01 "$uploads/restored"
check "$kind: a grace protects what was restored" pass 0 --orphan-grace 60
check "$kind: it is there" test -d "$uploads/restored"
check "$kind: without a grace it goes" pass 0
check "$kind: nothing else is gone" are "$uploads" "$young"
check "$kind: what stays is whole" are "$uploads/$young" "image_001.png image_002.png image_003.png"
