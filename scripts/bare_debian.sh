# shellcheck shell=bash
# Sourced, after packages.sh, by scripts that work where nothing is installed yet.

# run_apart SCRIPT ARGUMENT...: `SCRIPT --apart FOLDER ARGUMENT...` with mounts and processes of its own,
# which end with it, however it ends. Then the folder can go: nothing of this machine is mounted in it.
apart=
run_apart() {
  local script=$1
  shift
  folder=$(mktemp -d "${TMPDIR:-/var/tmp}/calib-cleanup-bare.XXXXXX")
  trap remove_folder EXIT
  unshare --mount --pid --fork --kill-child -- "$script" --apart "$folder" "$@" &
  apart=$!
  local status=0
  wait "$apart" || status=$?
  apart=
  return "$status"
}
remove_folder() {
  [ -z "$apart" ] || { kill -KILL "$apart" || true; wait "$apart" || true; }  # it may be gone by now
  rm -rf "$folder"
}

# quietly LOG COMMAND...: what it prints is shown where it fails.
quietly() {
  local log=$1
  shift
  "$@" >"$log" 2>&1 || {
    local status=$?
    tail -n 50 "$log" >&2
    return "$status"
  }
}

# make_debian SUITE ROOT LOG: from the mirror that this machine's apt uses.
make_debian() {
  local suite=$1 root=$2 log=$3 from
  from=$(debian_mirror)
  quietly "$log" debootstrap --variant=minbase "$suite" "$root" "$from"
  # How this machine gets at the mirror.
  cp /etc/hosts "$root/etc/hosts"
  local authorities=/etc/ssl/certs/ca-certificates.crt
  [[ $from != https:* ]] || install -D -m 644 "$authorities" "$root$authorities"
  apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|ForceIPv)' |
    grep -v 'Auto-\?Detect' >"$root/etc/apt/apt.conf.d/00machine" || true
  # It is thrown away: nothing of it needs to reach the disk. And it shares this machine's network:
  # what is installed does not start there.
  echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
  chmod 755 "$root/usr/sbin/policy-rc.d"
}
