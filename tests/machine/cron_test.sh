#!/usr/bin/env bash
# The cron example: cron mails what a line prints, so it prints what there is to see to, only.
#   cron_test.sh EXAMPLE EXECUTABLE
. "$(dirname "$0")/shell.sh"
need sqlite3 ionice flock
example=$1
mkdir "$scratch/bin"
ln -s "$2" "$scratch/bin/calib-cleanup"
app=$scratch/app
make_app "$app"
add_session "$app" 00000000-0000-4000-8000-000000000001 "'2020-01-01 00:00:00.000000'"
add_session "$app" 00000000-0000-4000-8000-000000000002 "'2100-01-01'"

check "it begins at start-up and every hour" \
  test "$(grep -cE '^(@reboot|7 \* \* \* \*) +calib  ' "$example")" = 2

# What cron does: the settings are the environment, the command goes to the shell.
run_line() {
  local PASS
  PASS=$(sed -n 's/^PASS=//p' "$example")
  PATH=$scratch/bin:$PATH PASS=${PASS/\/srv\/calibration/$app} CALIB_CLEANUP_LOCK_WAIT=0 \
    sh -c "$(sed -nE "s/^$1 +calib +//p" "$example")" 2>&1 || true
}
sessions() { sqlite3 "$app/backend/calibration.db" 'SELECT count(*) FROM sessions'; }

exec {lock}<"$app/uploads"
flock $lock
check "busy: silent" test -z "$(run_line @reboot)"
check "busy: nothing is deleted" test "$(sessions)" = 2
exec {lock}<&-
check "a warning is printed" \
  grep -q '^calib-cleanup: warning: 1 session is kept' <<<"$(run_line @reboot)"
check "success: it deletes what has expired" test "$(sessions)" = 1
sqlite3 "$app/backend/calibration.db" "UPDATE sessions SET created_at = datetime('now')"
check "success: silent" test -z "$(run_line @reboot)"
mv "$app/backend" "$app/lost"
check "trouble: it prints the tool's message" \
  grep -q '^calib-cleanup: error: .*there is no database' <<<"$(run_line '7 \* \* \* \*')"
