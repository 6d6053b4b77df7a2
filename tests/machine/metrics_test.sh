#!/usr/bin/env bash
# promtool has nothing to say of --metrics, of a pass that works and of one that fails, and the alert
# of the manual fires where it should.
#   metrics_test.sh EXECUTABLE MANUAL
. "$(dirname "$0")/shell.sh"
need promtool sqlite3
executable=$1 manual=$2
make_app "$scratch/app"
add_session "$scratch/app" 00000000-0000-4000-8000-000000000001 "'2020-01-01 00:00:00.000000'"
metrics=$scratch/calib.prom
pass() { "$executable" --app-dir "$scratch/app" --metrics "$metrics" >"$scratch/out" 2>&1; }
folder="uploads=\"$scratch/app/uploads\""
lints() { promtool check metrics <"$metrics" >"$scratch/out" 2>&1 || { cat "$scratch/out"; return 1; }; }

check "a pass works" pass
check "promtool has nothing to say" lints
check "nor a remark" test ! -s "$scratch/out"
for metric in last_run_timestamp_seconds last_success_timestamp_seconds duration_seconds \
  sessions_deleted sessions_kept orphaned_directories_deleted directories_kept freed_bytes \
  uploads_bytes errors; do
  check "it holds $metric" grep -qE "^calib_cleanup_$metric\{(kind=\"database\",)?$folder\} [0-9.]+$" \
    "$metrics"
done
success=$(grep '^calib_cleanup_last_success' "$metrics")
mv "$scratch/app/backend" "$scratch/lost"
pass || true
check "promtool has nothing to say of a failure" lints
check "the last success is still known" grep -qxF "$success" "$metrics"
check "the error is counted" \
  grep -qxF "calib_cleanup_errors{kind=\"database\",$folder} 1" "$metrics"
# What a version without labels has left.
sed -i 's/{uploads="[^"]*"}//; s/,uploads="[^"]*"//' "$metrics"
check "there is no label" no_line_with uploads= "$metrics"
pass || true
check "the last success is known from that, too" grep -qxF "$success" "$metrics"

# One app fails for four hours, one has never had a success, one is well.
alert=$(sed -n '/^time() .* calib_cleanup/,/^\.Ed$/p' "$manual" | sed 's/\\-/-/; /^\.Ed$/d')
check "the manual has an alert" test -n "$alert"
cat >"$scratch/rules.yml" <<END
groups:
  - name: calib-cleanup
    rules:
      - alert: Failing
        expr: |
$(sed 's/^/          /' <<<"$alert")
END
cat >"$scratch/tests.yml" <<'END'
rule_files: [rules.yml]
tests:
  - interval: 1m
    input_series:
      - series: calib_cleanup_last_success_timestamp_seconds{uploads="/srv/failing/uploads"}
        values: 60x239
      - series: calib_cleanup_last_success_timestamp_seconds{uploads="/srv/well/uploads"}
        values: 60+60x239
    alert_rule_test:
      - eval_time: 239m
        alertname: Failing
        exp_alerts:
          - exp_labels: {uploads: /srv/failing/uploads}
          - exp_labels: {uploads: /srv/calibration/uploads}
END
check "it fires for those that fail, and for no other" promtool test rules "$scratch/tests.yml"
