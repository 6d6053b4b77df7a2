#!/usr/bin/env bash
# promtool has nothing to say of --metrics, of a pass that works and of one that fails.
#   metrics_test.sh EXECUTABLE
. "$(dirname "$0")/shell.sh"
need promtool sqlite3
make_app "$scratch/app"
add_session "$scratch/app" 00000000-0000-4000-8000-000000000001 "'2020-01-01 00:00:00.000000'"
metrics=$scratch/calib.prom
pass() { "$1" --app-dir "$scratch/app" --metrics "$metrics" >"$scratch/out" 2>&1; }
lints() { promtool check metrics <"$metrics" >"$scratch/out" 2>&1 || { cat "$scratch/out"; return 1; }; }

check "a pass works" pass "$1"
check "promtool has nothing to say" lints
check "nor a remark" test ! -s "$scratch/out"
for metric in last_run_timestamp_seconds last_success_timestamp_seconds duration_seconds \
  sessions_deleted sessions_kept orphaned_directories_deleted directories_kept freed_bytes \
  uploads_bytes 'errors\{kind="database"\}'; do
  check "it holds $metric" grep -qE "^calib_cleanup_$metric [0-9.]+$" "$metrics"
done
success=$(grep '^calib_cleanup_last_success' "$metrics")
mv "$scratch/app/backend" "$scratch/lost"
pass "$1" || true
check "promtool has nothing to say of a failure" lints
check "the last success is still known" grep -qxF "$success" "$metrics"
check "the error is counted" grep -qx 'calib_cleanup_errors{kind="database"} 1' "$metrics"
