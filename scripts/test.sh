#!/usr/bin/env bash
# Installs what it needs (Debian 12 or 13), builds, and runs every test: as it is built every day,
# under AddressSanitizer with UndefinedBehaviorSanitizer, and under ThreadSanitizer; then runs the
# adapter in a small app, and looks at format, clang-tidy and the manual.
#
#   scripts/test.sh           what there is time for every day
#   scripts/test.sh dev       only these presets (dev, asan, tsan), without the checks after them;
#                             the sanitizers' ones take what `dev` has built, and drive their
#                             executable through all that `dev` does, which takes 10 minutes each
#   scripts/test.sh unit      only the modules' own tests, with what scripts/demo.sh has built
#
# What stands for macOS, POSIX's calls alone, runs beside Linux's: the label `posix`.
#
# What takes longer has the label `long`, and runs where it is asked for, after a build:
#
#   ctest --test-dir build/dev -L long
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

rest=  # the process that installs what the build does not need, while that runs
install_all() {
  # shellcheck disable=SC2086 # lists of words
  need_packages $build_packages $postgresql_packages catch2
  # shellcheck disable=SC2086
  need_packages $app_packages $package_packages bindfs clang-format clang-tidy coreutils fish fuse3 \
    lintian man-db mandoc mergerfs openssh-sftp-server prometheus prometheus-node-exporter \
    python3-yaml sqlite3 sshfs systemd util-linux zsh &
  rest=$!
}

title() { printf '\n== %s\n' "$*"; }

# Whatever had its files on a disk once may have them in memory then, where there is room for them.
prefer_memory() {
  local memory=/dev/shm room
  # Tests run copies of the executable there.
  if findmnt -n -o OPTIONS -T "$memory" | grep -qw noexec; then return 0; fi
  room=$(df --output=avail --block-size=1M "$memory" 2>/dev/null | tail -n 1) || room=0
  [ "$room" -lt 2048 ] || export TMPDIR=$memory
}

# run_preset NAME [ARGUMENT OF CTEST...]
run_preset() (
  title "$1: tests"
  [ "$1" != tsan ] || prefer_memory
  ctest --preset "$1" --progress "${@:2}"
  case $1 in dev | release) exit 0 ;; esac
  prefer_memory
  # What drives the executable is not built again: an instrumented executable gets the same tests,
  # but those on PostgreSQL that repeat what they did on SQLite. There is no time for it every day.
  [ -z "$CALIB_TEST_DAILY" ] || exit 0
  local driven='^(tool|every call|server):'
  # ThreadSanitizer looks at threads: it gets those where they have something to do, or are stopped.
  local tagged=()
  [ "$1" != tsan ] || tagged=(--label-regex '^threads$')
  CALIB_TEST_EXECUTABLE=$PWD/build/$1/calib-cleanup CALIB_TEST_SANITIZED=1 \
    ctest --preset dev --progress -R "$driven" "${tagged[@]}"
)

# build_and_run NAME [TARGET [ARGUMENT OF CTEST...]]
build_and_run() {
  title "$1: build"
  { cmake --preset "$1" -DCMAKE_UNITY_BUILD=ON -DBUILD_TESTING=ON &&
      cmake --build --preset "$1" --target "${2-all}"; } >build/"$1".log 2>&1 ||
    { cat build/"$1".log; return 1; }
  [ -z "$rest" ] || wait "$rest"
  rest=
  run_preset "$1" "${@:3}"
}

# Debian's Python, whatever else is on PATH: the packages are for that one.
test_app() {
  title "app"
  /usr/bin/python3 -m flake8 --max-line-length=100 scripts/app tests/app
  # The tests wait for servers most of the time.
  MYPYPATH=scripts/app /usr/bin/python3 -m mypy --strict --ignore-missing-imports \
    --cache-dir=build/mypy scripts/app/*.py tests/app/*.py &
  local types=$!
  CALIB_CLEANUP_BIN=$PWD/build/dev/calib-cleanup PYTHONDONTWRITEBYTECODE=1 timeout 300 \
    build/dev/tests/postgresql/postgresql_cluster run /usr/bin/python3 -m unittest discover -s tests/app -p '*_test.py'
  wait "$types"
}

# Other versions format and complain differently, and one must be the measure: Debian 12's.
is_version() { "$1" --version | grep -q "version $2\."; }

check_format() {
  title "format"
  is_version clang-format 14 || { echo "skipped: the sources are formatted with clang-format 14"; return 0; }
  find src tests -name '*.[ch]pp' -exec clang-format --dry-run -Werror {} +
  echo "clang-format has nothing to say"
}

check_tidy() {
  title "clang-tidy"
  is_version clang-tidy 14 || { echo "skipped: the checks are chosen for clang-tidy 14"; return 0; }
  scripts/tidy.py
  echo "clang-tidy has nothing to say"
}

check_manual() {
  title "manual"
  mandoc -Tlint man/*.8
  echo "mandoc has nothing to say"
}

# Where it is set, of the many calls at which a pass is killed, or fails, only some are tried.
export CALIB_TEST_DAILY=
mkdir -p build
if [ "$*" = unit ]; then
  # shellcheck disable=SC2086 # a list of words
  need_packages $build_packages catch2
  build_and_run release unit_tests --tests-regex '^unit:'
  exit
fi
install_all
if [ "$#" -gt 0 ]; then
  for preset in "$@"; do build_and_run "$preset"; done
  exit
fi
CALIB_TEST_DAILY=yes
# The modules' own tests run where they find the most: in the sanitizers' presets.
build_and_run dev executable_tests --exclude-regex '^(unit|fuzz)'
build_and_run asan
build_and_run tsan
# Most of the time the app's tests wait for servers.
test_app >build/app.log 2>&1 &
app=$!
check_format
check_tidy
check_manual
wait "$app" || { cat build/app.log; exit 1; }
cat build/app.log
title "all passed"
