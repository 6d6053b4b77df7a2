#!/usr/bin/env bash
# File systems in user space: one that numbers directories by their paths; a file that somebody has
# open, which comes back under another name when it is removed; and one that may give a
# restored directory for as old as it was.
#   fuse_test.sh EXECUTABLE
. "$(dirname "$0")/shell.sh"
need bindfs mergerfs fusermount3 jq sqlite3
[ -w /dev/fuse ] || { echo "skipped: no FUSE file system can be mounted here"; exit 77; }
executable=$1
old=00000000-0000-4000-8000-000000000001
young=00000000-0000-4000-8000-000000000002
app=$scratch/app
make_app "$app"
mkdir "$scratch/first" "$scratch/second" "$scratch/pool"
unmount() {
  ! mountpoint -q "$app/uploads" || fusermount3 -u "$app/uploads"
  ! mountpoint -q "$scratch/pool" || fusermount3 -u "$scratch/pool"
}
trap 'exec 9<&-; unmount; rm -rf "$scratch"' EXIT
add_both() {
  add_session "$app" "$old" "'2020-01-01 00:00:00.000000'"
  add_session "$app" "$young" "strftime('%Y-%m-%d %H:%M:%f', 'now')"
}
# pass STATUS [OPTION...]
pass() { ends_with "$1" "$executable" --app-dir "$app" --uploads "$uploads" "${@:2}"; }
is_gone() { [ ! -e "$uploads/$1" ] && [ -z "$(ls -A "$uploads" | grep -F "$1")" ]; }

mergerfs -o use_ino "$scratch/first:$scratch/second" "$scratch/pool"
uploads=$scratch/pool/uploads
mkdir "$uploads"
rmdir "$app/uploads"
ln -s "$uploads" "$app/uploads"
add_both
check "mergerfs: a pass deletes what is old" pass 0
check "mergerfs: its directory is gone" is_gone "$old"
check "mergerfs: the other one is there" test -d "$uploads/$young"
unmount

rm "$app/uploads"
mkdir "$app/uploads" "$scratch/source"
sqlite3 "$app/backend/calibration.db" "DELETE FROM sessions"
bindfs "$scratch/source" "$app/uploads"
uploads=$app/uploads
add_both
head -c 1000000 /dev/zero >"$uploads/$old/image_001.png"
size() {
  "$executable" --app-dir "$app" --dry-run --json | jq '.sessions[0].apparent_bytes'
}
check "a size is not the one that the kernel remembers" test "$(size)" = 1000000
exec 9<"$uploads/$old/image_001.png"
check "an open file: the pass says so" pass 1
check "an open file: it is named" says "somebody has it open"
check "an open file: nothing is freed" no_line_with '^Freed' "$scratch/said"
check "an open file: the next pass says so, too" pass 1
check "an open file: nothing is freed by that one, either" no_line_with '^Freed' "$scratch/said"
exec 9<&-
check "once it is closed a pass removes it" pass 0
check "once it is closed it is gone" is_gone "$old"
check "the other one is there" test -d "$uploads/$young"

# What stands behind it may give a restored directory for as old as it was, as sshfs does.
unmount
bindfs "$scratch/source" "$app/uploads"
mkdir "$uploads/restored"
touch -d "2020-01-01" "$uploads/restored"
check "unknown age: a pass with a grace succeeds" pass 0 --orphan-grace 1
check "unknown age: it says why an orphan stays" says "1 directory without a session is never old enough"
check "unknown age: and what to do" says "--orphan-grace 0"
check "unknown age: the orphan stays" test -d "$uploads/restored"
check "unknown age: without a grace it goes" pass 0
check "unknown age: it is gone" is_gone restored
