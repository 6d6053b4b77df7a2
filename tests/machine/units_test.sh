#!/usr/bin/env bash
# The systemd units: valid, and sandboxed as far as the job allows.
#   units_test.sh FOLDER EXECUTABLE MANUAL
. "$(dirname "$0")/shell.sh"
need systemd-analyze man
mkdir -p "$scratch/man/man8"
cp "$3" "$scratch/man/man8"
export MANPATH=$scratch/man  # for verify, which looks for what Documentation= names
cp "$1"/*.service "$1"/*.timer "$scratch"
cd "$scratch"
# The tool need not be installed here: systemd finds this one by its path.
sed -i "s,^ExecStart=calib-cleanup ,ExecStart=$2 ," ./*.service
for unit in calib-cleanup calib-cleanup@; do
  check "verify has nothing to say of $unit.service and .timer" \
    test -z "$(systemd-analyze verify "./$unit.service" "./$unit.timer" 2>&1)"
  check "security of $unit.service is 1.5 or better" \
    quietly systemd-analyze security --offline=yes --no-pager --threshold=15 "./$unit.service"
  check "$unit.service: busy is no failure" grep -qx SuccessExitStatus=4 "$unit.service"
  check "$unit.service: a day's grace for orphans" \
    grep -q '^ExecStart=.* --orphan-grace 1440$' "$unit.service"
  check "$unit.timer: missed passes are made up for" grep -qx Persistent=yes "$unit.timer"
  check "$unit: nothing is left to be filled in" no_line_with '@[A-Z_]+@' "$unit".*
done
check "the template reads the file of its instance" \
  grep -q -- '--config /etc/calib-cleanup/%i.toml ' calib-cleanup@.service
