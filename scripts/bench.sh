#!/usr/bin/env bash
# Measures calib-cleanup against rm, du, sqlite3 and a clean-up as the app does it, in interleaved
# runs on data of its own, and prints one table. Asserts nothing: a goal that is missed is printed.
# Everything it makes stands in one temporary folder, and goes with it.
set -euo pipefail

usage() {
  cat <<'END'
Usage: scripts/bench.sh [OPTION]...

  --quick         small data, few pairs: done within two minutes, the build aside
  --only ROWS     only these rows, separated by commas: pass jobs dry-run cold records waits deeper
                  databases nothing memory linear app-style; databases
                  takes a PostgreSQL server that is installed (postgresql)
  --fs NAMES      only these file systems: root ext4 discard xfs btrfs tmpfs overlay; root is the
                  one of --dir, the others are made, which takes root
  --pairs N       pairs of runs for each ratio, instead of the row's own number
  --jobs NUMBERS  the fixed numbers of threads that the row jobs tries (1,2,4,8,16;
                  with --quick 2,8)
  --real-time     run what is measured ahead of all else on a busy machine (root)
  --tool FILE     measure this executable instead of building build/release/calib-cleanup
  --dir DIR       make the temporary folder in DIR (/var/tmp); up to 20 GB
  --help          print this

All rows on all file systems take about an hour; --only and --fs make it less.
END
}

wrong_usage() {
  printf 'bench.sh: error: %s; see --help\n' "$*" >&2
  exit 2
}

all_rows=pass,jobs,dry-run,cold,records,waits,deeper,databases,nothing,memory,linear,app-style
all_systems=root,ext4,discard,xfs,btrfs,tmpfs,overlay
rows=$all_rows
systems=$all_systems
tool=
parent=/var/tmp
image_size=16G
passed_on=()
original=("$@")
while [ "$#" -gt 0 ]; do
  case $1 in
    --help | -h) usage; exit ;;
    --quick) passed_on+=(--quick); image_size=2G; shift; continue ;;
    --real-time) passed_on+=(--real-time); shift; continue ;;
    --only | --fs | --pairs | --jobs | --tool | --dir)
      [ "$#" -ge 2 ] || wrong_usage "$1 needs a value" ;;
    *) wrong_usage "unknown option $1" ;;
  esac
  case $1 in
    --only) rows=$2 ;;
    --fs) systems=$2 ;;
    --pairs | --jobs)
      [[ $2 =~ ^[1-9][0-9]{0,3}(,[1-9][0-9]{0,3})*$ ]] || wrong_usage "$1 takes numbers, not '$2'"
      passed_on+=("$1" "$2")
      ;;
    --tool) tool=$(realpath -e -- "$2") ;;
    --dir) parent=$(realpath -e -- "$2") ;;
  esac
  shift 2
done
# check WHAT LIST ALL: each of LIST must be one of ALL, both separated by commas.
check() {
  local name names
  IFS=, read -ra names <<<"$2"
  for name in "${names[@]}"; do
    [[ ,$3, == *",$name,"* ]] || wrong_usage "unknown $1 '$name'"
  done
}
check row "$rows" "$all_rows"
check "file system" "$systems" "$all_systems"
IFS=, read -ra wanted <<<"$systems"

# Mounts in a namespace of our own go with its last process, whatever ends it.
if [ "$(id -u)" -eq 0 ] && [ -z "${CALIB_BENCH_NAMESPACE:-}" ] &&
  unshare --mount true 2>/dev/null; then
  CALIB_BENCH_NAMESPACE=1 exec unshare --mount --propagation private "$0" "${original[@]}"
fi

cd "$(dirname "$0")/.."
. scripts/packages.sh

prepare() {
  local packages="g++ python3 sqlite3 coreutils"
  [ -n "$tool" ] || packages+=" $build_packages"
  # shellcheck disable=SC2086 # a list of words
  need_packages $packages
  if [ "$(id -u)" -eq 0 ]; then
    local name
    for name in "${wanted[@]}"; do
      # What cannot be installed is missed when the file system is made, and said then.
      case $name in
        ext4 | discard | overlay) need_packages mount e2fsprogs ;;
        xfs) need_packages mount xfsprogs ;;
        btrfs) need_packages mount btrfs-progs ;;
      esac || true
    done
  fi
  [ -n "$tool" ] && return
  echo "Building (a few minutes the first time) ..." >&2
  mkdir -p build
  { cmake --preset release -DBUILD_TESTING=OFF && cmake --build --preset release; } \
    >build/bench.log 2>&1 || { cat build/bench.log >&2; exit 1; }
  tool=$PWD/build/release/calib-cleanup
}

mounted=()
measuring=

clean_up() {
  local i
  if [ -n "$measuring" ]; then
    kill "$measuring" || true
    wait "$measuring" || true
  fi
  for ((i = ${#mounted[@]} - 1; i >= 0; i--)); do
    umount "${mounted[i]}" || umount --lazy "${mounted[i]}" || true
  done
  rm -rf --one-file-system -- "$folder"
}

# make_system NAME: makes and mounts it in "$folder"/NAME; says what stands in the way.
make_system() {
  local image=$folder/$1.image
  local at=$folder/$1
  mkdir "$at"
  case $1 in
    tmpfs) mount -t tmpfs -o size=75% bench "$at" ;;
    overlay)
      local below=$folder/overlay.below
      make_image ext4 "$image" "$below" && mkdir "$below"/{lower,upper,work} &&
        mount -t overlay bench "$at" \
          -o "lowerdir=$below/lower,upperdir=$below/upper,workdir=$below/work"
      ;;
    discard) make_image ext4 "$image" "$at" -o discard ;;
    *) make_image "$1" "$image" "$at" ;;
  esac && mounted+=("$at")
}

# kind_of FOLDER: what file system it stands on, as --fs names them.
kind_of() {
  local type options
  read -r type options < <(findmnt --noheadings --output FSTYPE,OPTIONS --target "$1")
  if [[ $type = ext4 && ,$options, == *,discard,* ]]; then type=discard; fi
  echo "$type"
}

# make_image TYPE IMAGE FOLDER [MOUNT OPTION]...
make_image() {
  local type=$1 image=$2 at=$3
  local options=(-q)
  shift 3
  # Without this the kernel goes on making the file system while it is measured.
  if [ "$type" = ext4 ]; then options+=(-E "lazy_itable_init=0,lazy_journal_init=0"); fi
  truncate -s "$image_size" "$image"
  mkdir -p "$at"
  "mkfs.$type" "${options[@]}" "$image" && mount -t "$type" -o loop "$@" "$image" "$at" || return
  if [ "$at" = "$folder/overlay.below" ]; then mounted+=("$at"); fi
}

prepare
folder=$(mktemp -d "$parent/calib-cleanup-bench.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for name in "${wanted[@]}"; do
  if [ "$name" != root ] && [ "$(id -u)" -ne 0 ]; then
    passed_on+=(--without "$name: mounting takes root")
  elif [ "$name" = root ]; then
    mkdir "$folder/root"
    passed_on+=(--place "root=$folder/root" --root "$(kind_of "$folder")")
  elif make_system "$name" >"$folder/log" 2>&1; then
    passed_on+=(--place "$name=$folder/$name")
  else
    passed_on+=(--without "$name: $(tr '\n' ' ' <"$folder/log")")
  fi
done

# A copy, so that a build meanwhile changes nothing.
cp -- "$tool" "$folder/calib-cleanup"
g++ -std=c++17 -O2 -shared -fPIC scripts/bench/lock_log.cpp -o "$folder/lock_log.so" -ldl
# Debian's own python3: its sqlite3 and the sqlite3 shell are then one library.
env -u DATABASE_URL PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 scripts/bench/bench.py \
  --tool "$folder/calib-cleanup" --lock-log "$folder/lock_log.so" --scratch "$folder" \
  --only "$rows" "${passed_on[@]}" &
measuring=$!
status=0
wait "$measuring" || status=$?
measuring=
[ "$status" -eq 0 ]
