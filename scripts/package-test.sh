#!/usr/bin/env bash
# Builds the Debian package in a bare Debian 12 and 13, installs it in another one that is as bare,
# boots that one's systemd in a container, and lets the units work: started by the timer, as the
# owner of the folder, sandboxed, busy, failing, for two apps; then upgrade, removal and purge. The
# Debian systems come from the mirror that this machine's apt uses, and stay in build/package-test.
#
#   sudo scripts/package-test.sh                    both
#   sudo scripts/package-test.sh bookworm|trixie    one of them
#
# Takes some 10 minutes for each, most of it for the build.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

[ "$(id -u)" -eq 0 ] || { echo "package-test.sh: run it as root: it makes and boots containers" >&2; exit 1; }
need_packages debootstrap systemd-container
[ "$#" -gt 0 ] || set -- bookworm trixie
folder=$PWD/build/package-test
mkdir -p "$folder"

title() { printf '\n== %s\n' "$*"; }

# in_root ROOT COMMAND...: runs it in a container without systemd.
in_root() {
  local root=$1
  shift
  systemd-nspawn --quiet --register=no --keep-unit --pipe --as-pid2 --resolv-conf=copy-host \
    --setenv=DEBIAN_FRONTEND=noninteractive --setenv=LC_ALL=C.UTF-8 -D "$root" "$@" </dev/null
}

# boot ROOT: boots it; its package-test.service ends it, with its own status.
boot() {
  # cgroup2 alone, which Debian 13 insists on, whatever this machine has; SIGKILL where it hangs.
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 timeout --kill-after=10 900 \
    systemd-nspawn --quiet --register=no --keep-unit --boot --private-network -D "$1" </dev/null >"$1.console" 2>&1
}

make_base() {
  [ -e "$folder/$1/etc/debian_version" ] && return
  title "$1: debootstrap"
  rm -rf "${folder:?}/$1"
  debootstrap --variant=minbase "$1" "$(debian_mirror)" "$folder/$1.part" >"$folder/$1.log" ||
    { tail -n 20 "$folder/$1.log" >&2; return 1; }
  # It is thrown away: nothing of it needs to reach the disk.
  echo force-unsafe-io >"$folder/$1.part/etc/dpkg/dpkg.cfg.d/unsafe-io"
  mv "$folder/$1.part" "$folder/$1"
}

# new_root SUITE NAME PACKAGE...: prints the path of a copy with these packages.
new_root() {
  local suite=$1 root=$folder/$1-$2
  shift 2
  rm -rf "$root"
  cp -a "$folder/$suite" "$root"
  in_root "$root" sh -c 'apt-get update && apt-get install -y --no-install-recommends "$@"' \
    sh "$@" >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }
  printf '%s\n' "$root"
}

build_packages() {
  local root=$1
  mkdir "$root/src"
  git ls-files -z --cached --others --exclude-standard | tar -c --null -T - | tar -x -C "$root/src"
  in_root "$root" sh -ec '
    cd /src
    cmake --preset release -DBUILD_TESTING=OFF
    cmake --build --preset release
    cpack --config build/release/CPackConfig.cmake -B /packages
    # The next version, to upgrade to.
    cpack --config build/release/CPackConfig.cmake -B /packages/next -D CPACK_PACKAGE_VERSION=99' \
    >"$root.log" 2>&1 || { tail -n 20 "$root.log" >&2; return 1; }
}

for suite in "$@"; do
  make_base "$suite"
  title "$suite: build"
  # shellcheck disable=SC2086 # lists of words
  builder=$(new_root "$suite" builder $build_packages $package_packages lintian)
  build_packages "$builder"
  ls "$builder"/packages/*.deb
  in_root "$builder" sh -c 'lintian --version; lintian --fail-on error,warning /packages/*.deb'
  echo "lintian has nothing to say"

  title "$suite: without systemd"
  root=$(new_root "$suite" target)
  cp "$builder"/packages/*.deb "$root/now.deb"
  cp "$builder"/packages/next/*.deb "$root/next.deb"
  install -m 755 scripts/package/in-container.sh "$root/in-container.sh"
  in_root "$root" /in-container.sh lifecycle

  title "$suite: with systemd"
  in_root "$root" apt-get install -y --no-install-recommends systemd dbus >"$root.log" 2>&1
  cat >"$root/etc/systemd/system/package-test.service" <<UNIT
[Unit]
After=multi-user.target
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
ExecStart=/in-container.sh units
StandardOutput=file:/in-container.log
StandardError=inherit
UNIT
  mkdir -p "$root/etc/systemd/system/graphical.target.wants"
  ln -s ../package-test.service "$root/etc/systemd/system/graphical.target.wants/"
  status=0
  boot "$root" || status=$?
  cat "$root/in-container.log" || cat "$root.console"
  [ "$status" -eq 0 ] || { echo "package-test.sh: $suite: status $status" >&2; exit 1; }
  rm -rf "$builder" "$root"
done
title "all passed"
