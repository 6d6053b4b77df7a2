#!/usr/bin/env bash
# Does what the README says where nothing is installed yet: makes a bare Debian 12 or 13, clones what
# is committed here into a folder that only root may enter, and there runs the README's two commands,
# then its Install, and what that installs. The Debian comes from the mirror that this machine's apt
# uses, and is gone afterwards.
#
#   sudo scripts/fresh.sh bookworm|trixie            everything; takes as long as a build from
#                                                    nothing, scripts/test.sh, and some minutes more
#   sudo scripts/fresh.sh bookworm|trixie --quick    of the tests only the modules' own
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
. scripts/bare_debian.sh

fail() {
  printf 'fresh.sh: %s\n' "$*" >&2
  exit 1
}

# begin STEP: what is at work from here on. It is named where the script ends before its end.
step=
begin() {
  [ -z "$step" ] || printf '%s: %s took %s s\n' "$suite" "$step" "$((SECONDS - began))"
  step=$1
  began=$SECONDS
  [ -z "$step" ] || printf '\n== %s: %s\n' "$suite" "$step"
}
say_how_it_ended() {
  local status=$?
  [ "$status" -ne 0 ] || return 0
  printf 'fresh.sh: %s: "%s" failed with status %s, after %s s in all\n' \
    "$suite" "$step" "$status" "$SECONDS" >&2
}

make_root() {
  make_debian "$suite" "$root" "$folder/log"
  # Of two that differ dpkg asks which one to keep; the package comes with file(1).
  echo "$changed_line" >"$root$changed_file"
}
changed_file=/etc/magic
changed_line='# changed by the administrator'

clone() {
  chmod 700 "$root/root"
  # With sudo the sources belong to somebody else, whom git does not trust.
  printf '[safe]\n\tdirectory = *\n' >"$folder/gitconfig"
  GIT_CONFIG_GLOBAL=$folder/gitconfig git clone --quiet --no-local --depth 1 . "$root/root/calib-cleanup"
  [ -z "$(GIT_CONFIG_GLOBAL=$folder/gitconfig git status --porcelain)" ] ||
    echo "What is not committed is not in it." >&2
}

# From here on this script is in the new system, as if that had been booted. With chroot(8) alone
# the kernel would refuse what it grants a real root.
enter() {
  mount --bind "$root" "$root"
  cd "$root"
  mount -t proc proc proc
  mount -t sysfs -o ro sysfs sys
  mount --rbind /dev dev
  mount -t tmpfs tmpfs dev/shm
  pivot_root . .
  umount -l .
  hash -r
  cd /root/calib-cleanup
}

# as_new COMMAND...: with the environment of a new login, and nobody to answer a question.
as_new() {
  env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    ${http_proxy+http_proxy="$http_proxy"} ${https_proxy+https_proxy="$https_proxy"} \
    ${no_proxy+no_proxy="$no_proxy"} "$@" </dev/null
}

run_steps() {
  folder=$1 suite=$2 root=$1/root
  trap say_how_it_ended EXIT
  begin "debootstrap"
  make_root
  begin "clone"
  clone
  enter

  begin "scripts/demo.sh"
  as_new scripts/demo.sh
  [ "$(cat "$changed_file")" = "$changed_line" ] || fail "$changed_file was replaced"

  begin "scripts/test.sh${3+ $3}"
  as_new scripts/test.sh ${3+"$3"}

  begin "Install"
  as_new cpack --config build/release/CPackConfig.cmake -B build
  quietly /tmp/apt.log as_new apt-get install -y ./build/calib-cleanup_*.deb
  as_new calib-cleanup --app-dir build/demo-app --dry-run
  begin ""
  printf '\n== %s: all passed, in %s s\n' "$suite" "$SECONDS"
}

if [ "${1-}" = --apart ]; then
  shift
  run_steps "$@"
  exit
fi
case "$*" in
  bookworm | trixie) ;;
  "bookworm --quick" | "trixie --quick") set -- "$1" unit ;;
  *) echo "usage: fresh.sh bookworm|trixie [--quick]" >&2; exit 2 ;;
esac
[ "$(id -u)" -eq 0 ] || fail "run it as root: it makes a Debian system"
need_packages debootstrap git
run_apart "$PWD/scripts/fresh.sh" "$@"
