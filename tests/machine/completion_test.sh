#!/usr/bin/env bash
# What each shell offers: every option of --help, their values, and session ids from the database.
#   completion_test.sh bash|zsh|fish EXECUTABLE COMPLETIONS
. "$(dirname "$0")/shell.sh"
shell=$1 completions=$3
need "$shell" sqlite3
mkdir "$scratch/bin" "$scratch/home"
ln -s "$2" "$scratch/bin/calib-cleanup"
export PATH=$scratch/bin:$PATH HOME=$scratch/home TERM=dumb
here=$(dirname "$(realpath "$0")")

first=0aaaaaaa-0000-4000-8000-000000000001
second=0bbbbbbb-0000-4000-8000-000000000002
app=$HOME/my\ app
make_app "$app"
add_session "$app" "$first" NULL
add_session "$app" "$second" "'2020-01-01 00:00:00.000000'"
# What a shell must never be handed.
sqlite3 "$app/backend/calibration.db" \
  "INSERT INTO sessions VALUES ('\$(touch $HOME/run)', 'uploads/x', NULL),
     ('\`touch $HOME/run\`', 'uploads/y', NULL), ('--hours', 'uploads/z', NULL)"
cp -r "$app" "$HOME/plain"

# offers LINE: a line each for what the shell offers where the cursor stands at the end of LINE.
case $shell in
  bash) offers() { bash --norc "$here/complete.bash" "$completions/calib-cleanup.bash" "$1"; } ;;
  zsh)
    mkdir "$scratch/functions"
    cp "$completions/calib-cleanup.zsh" "$scratch/functions/_calib-cleanup"
    offers() { zsh -f "$here/complete.zsh" "$scratch/functions" "$1"; }
    ;;
  fish)
    offers() {
      fish --no-config -c "source '$completions/calib-cleanup.fish'; complete -C \$argv[1]" "$1" |
        cut -f 1
    }
    ;;
esac

# offer WHAT LINE WORD...: the shell offers these words, and no others.
offer() {
  local what=$1 line=$2
  shift 2
  offers "$line" | sed '/^$/d' | sort -u >"$scratch/offered"
  printf '%s\n' "$@" | sed '/^$/d' | sort -u >"$scratch/wanted"
  check "$shell: $what" diff "$scratch/wanted" "$scratch/offered"
}

cd "$HOME"
mapfile -t options < <(calib-cleanup --help | grep -oE '^  (-[a-zA-Z],)?--[a-z-]+' | grep -oE -- '--.*')
check "--help has options" test "${#options[@]}" -gt 15
offer "every option of --help" "calib-cleanup --" "${options[@]}"
offer "values of --progress" "calib-cleanup --progress " auto always never
offer "values of --color" "calib-cleanup --dry-run --color a" auto always
offer "ids of the database in --app-dir" "calib-cleanup --app-dir plain --session " \
  "$first" "$second"
offer "ids that begin so" "calib-cleanup --app-dir=plain -n --session 0b" "$second"
offer "ids of the app in the home folder" "calib-cleanup --app-dir ~/plain --session 0a" "$first"
offer "ids of the app in a folder with a blank" \
  "calib-cleanup --app-dir my\\ app --session 0a" "$first"
offer "ids of --database" \
  "calib-cleanup --database plain/backend/calibration.db --session 0a" "$first"
offer "nothing where there is no database" "calib-cleanup --app-dir bin --session "
cd plain
offer "ids of the app in the working folder" "calib-cleanup --session 0a" "$first"
offer "more ids" "calib-cleanup --session $first --session 0b" "$second"
check "$shell: nothing from the database was run" test ! -e "$HOME/run"
check "$shell: nothing was deleted" \
  test "$(sqlite3 backend/calibration.db 'SELECT count(*) FROM sessions')" = 5
