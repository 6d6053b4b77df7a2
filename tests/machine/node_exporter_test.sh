#!/usr/bin/env bash
# node_exporter takes the metrics of two apps on one machine: both stand side by side.
#   node_exporter_test.sh EXECUTABLE
. "$(dirname "$0")/shell.sh"
need prometheus-node-exporter sqlite3
folder=$scratch/textfile
mkdir "$folder"
# The second one's name is as unkind as a name can be.
first=$scratch/first second=$scratch/'se"co\nd, }'
id=00000000-0000-4000-8000-000000000001
for app in "$first" "$second"; do make_app "$app"; done
add_session "$first" "$id" "'2020-01-01 00:00:00.000000'"
pass() { quietly "$executable" --app-dir "$1" --metrics "$folder/$2.prom"; }
executable=$1
check "a pass on the first app works" pass "$first" first
check "a pass on the second app works" pass "$second" second

exec {log}< <(exec prometheus-node-exporter --collector.disable-defaults --collector.textfile \
  --collector.textfile.directory="$folder" --web.listen-address=127.0.0.1:0 2>&1)
exporter=$!
trap 'kill "$exporter"; rm -rf "$scratch"' EXIT
port=
while [ -z "$port" ] && read -r -t 60 line <&"$log"; do
  [[ $line != *'"Listening on"'* ]] || port=${line##*:}
done
check "node_exporter listens" test -n "$port"

scrape() {
  exec {connection}<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$connection"
  cat <&"$connection" >"$scratch/page"
  exec {connection}>&-
}
holds() { grep -qF -- "$1" "$scratch/page"; }
check_both() {
  scrape
  check "$1: it takes the files" grep -qx 'node_textfile_scrape_error 0' "$scratch/page"
  check "$1: the first app's is there" holds \
    "calib_cleanup_sessions_deleted{uploads=\"$first/uploads\"} $2"
  check "$1: the second app's is there" holds \
    "calib_cleanup_sessions_deleted{uploads=\"$escaped/uploads\"} 0"
  check "$1: the first one's errors" holds \
    "calib_cleanup_errors{kind=\"uploads\",uploads=\"$first/uploads\"} $3"
  check "$1: the second one's errors" holds \
    "calib_cleanup_errors{kind=\"uploads\",uploads=\"$escaped/uploads\"} 0"
  check "$1: the version of both" test \
    "$(grep -c '^calib_cleanup_info{uploads=.*,version="[0-9.]*"} 1$' "$scratch/page")" = 2
}
escaped=$scratch/'se\"co\\nd, }'
check_both "after two passes" 1 0
mv "$first/uploads" "$scratch/lost"
pass "$first" first 2>"$scratch/out" || true
check_both "after one that failed" 0 1
check "the first one's last success is there still" holds \
  "calib_cleanup_last_success_timestamp_seconds{uploads=\"$first/uploads\"}"
