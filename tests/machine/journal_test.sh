#!/usr/bin/env bash
# Under systemd, each line carries its priority, on the stream that is the journal and on no other.
#   journal_test.sh EXECUTABLE
. "$(dirname "$0")/shell.sh"
tool=$1

make_app "$scratch/app"
add_session "$scratch/app" 00000000-0000-4000-8000-000000000001 "'2020-01-01 00:00:00.000000'"
add_session "$scratch/app" 00000000-0000-4000-8000-000000000002 NULL
touch "$scratch/journal"

# run JOURNAL_STREAM ARGUMENTS: stdout to out, stderr to err.
run() {
  local journal=$1
  shift
  JOURNAL_STREAM=$journal "$tool" --app-dir "$scratch/app" "$@" >out 2>err || true
}
cd "$scratch"
touch out err
out=$(stat -c %d:%i out)
err=$(stat -c %d:%i err)

run "$err" --dry-run
check "a warning has 4" grep -q '^<4>calib-cleanup: warning: ' err
check "every line of the journal has a priority" no_line_without '^<[346]>' err
check "the stream that is no journal has none" no_line_with '^<' out

run "$out" --dry-run
check "results have 6" grep -qx '<6>Cleanup dry run: Would delete 1 old session' out
check "every line of results that is not empty has 6" no_line_without '^(<6>.|$)' out
check "stderr beside it has none" no_line_with '^<' err

run "$out" --dry-run --json
check "a JSON document has none" no_line_with '^<' out

run "$err" --session 00000000-0000-4000-8000-00000000000f
check "an error has 3" grep -q '^<3>calib-cleanup: error: ' err
run "$err" --hours x
check "wrong usage has 3" grep -q '^<3>calib-cleanup: error: --hours' err
run "$(stat -c %d:%i journal)" --dry-run
check "another stream's name gives no priorities" no_line_with '^<' out err

# Both streams on one connection, as systemd makes it.
JOURNAL_STREAM=$(stat -c %d:%i journal) "$tool" --app-dir app --progress=never >journal 2>&1
check "a pass has priorities on both streams" no_line_without '^<[46]>' journal
check "and what people grep the log for" \
  grep -qx '<6>Cleanup completed: Deleted 1 old session' journal
