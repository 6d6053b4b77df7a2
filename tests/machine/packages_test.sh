#!/usr/bin/env bash
# The scripts install packages without a question, also where one brings settings that are there
# already: the real apt-get and dpkg, in a root folder of their own.
#   packages_test.sh SCRIPTS
. "$(dirname "$0")/shell.sh"
. "$1/packages.sh"
need apt-get dpkg-deb
if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: dpkg installs as root only"
  exit 77
fi

root=$scratch/root
mkdir -p "$root"/var/lib/dpkg/{info,updates} "$root"/etc "$scratch"/{lists,archives}/partial
touch "$root/var/lib/dpkg/status"
export APT_CONFIG=$scratch/apt.conf
cat >"$APT_CONFIG" <<CONF
Dir::State::status "$root/var/lib/dpkg/status";
Dir::State::lists "$scratch/lists";
Dir::State::extended_states "$scratch/extended_states";
Dir::Cache "$scratch";
Dir::Cache::archives "$scratch/archives";
Dir::Log "$scratch";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "/dev/null";
DPkg::Post-Invoke { };
DPkg::Options { "--root=$root"; "--log=$scratch/dpkg.log"; };
CONF

mkdir -p "$scratch"/package/{DEBIAN,etc}
cat >"$scratch/package/DEBIAN/control" <<CONTROL
Package: calib-test-settings
Version: 1
Architecture: all
Maintainer: nobody <nobody@calib-cleanup.example>
Description: brings settings
CONTROL
echo /etc/calib-test.conf >"$scratch/package/DEBIAN/conffiles"
echo "the package's" >"$scratch/package/etc/calib-test.conf"
quietly dpkg-deb --root-owner-group -b "$scratch/package" "$scratch/calib-test-settings.deb"
echo "the administrator's" >"$root/etc/calib-test.conf"

as_root=()
# With somebody who could answer.
install() { install_packages "$scratch/calib-test-settings.deb" >"$scratch/log" 2>&1 < <(yes); }
install || cat "$scratch/log"
check "it is installed" grep -qx "Status: install ok installed" "$root/var/lib/dpkg/status"
check "without a question" no_line_with "What would you like to do about it" "$scratch/log"
check "settings that were there stay" \
  grep -qx "the administrator's" "$root/etc/calib-test.conf"
