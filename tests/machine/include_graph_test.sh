#!/usr/bin/env bash
# Who includes whom in src/: as folders.txt allows it; scripts/include_graph.py sees what it does not
# allow; and the build shows each folder what it allows, and nothing else.
#   include_graph_test.sh PROJECT FOLDER=DIRECTORY:DIRECTORY...   (where the folder's target looks)
. "$(dirname "$0")/shell.sh"
need python3
project=$1
shift
graph=$project/scripts/include_graph.py
"$graph" >"$scratch/graph" || { cat "$scratch/graph"; check "no include upwards, and no circle" false; }
cat "$scratch/graph"

# with LINE FILE: a copy of the sources where FILE has one line more.
with() {
  rm -rf "$scratch/src"
  cp -r "$project/src" "$scratch/src"
  echo "$1" >>"$scratch/src/$2"
}
# refused WORDS: the script fails, and says so.
refused() { ! "$graph" "$scratch/src" >"$scratch/said" && grep -qF -- "$1" "$scratch/said"; }

with '#include "report/report.hpp"' base/stop.cpp
check "an include upwards is refused" refused "base may not include report/report.hpp"
with '#include "store/sqlite/schema.hpp"' store/postgresql/store.cpp
check "no database knows the other" refused "store/postgresql may not include store/sqlite/schema.hpp"
with '#include "store/sqlite/schema.hpp"' store/cascade.cpp
check "nor does what both have in common know one" refused "store may not include store/sqlite/schema.hpp"
with '#include "base/there.hpp"' base/here.hpp
echo '#include "base/here.hpp"' >"$scratch/src/base/there.hpp"
check "a circle is refused" refused "these include each other: base/here base/there"
with '#include "base/nowhere.hpp"' base/stop.cpp
check "so is what is not there" refused "base/stop.cpp: there is no base/nowhere.hpp"
with 'base for now: report/report.hpp' folders.txt
check "nothing is tolerated without need" refused "base has no need of report/report.hpp any more"
with 'odd: later' folders.txt
check "the table itself does not point upwards" refused "odd may not have later"

cd "$project/src"
mapfile -t headers < <(find . -name '*.hpp' -printf '%P\n')
shown() {
  local directory
  for directory in ${directories//:/ }; do [ ! -e "$directory/$1" ] || return 0; done
  return 1
}
as_allowed() {
  local allowed header
  allowed=" $1 $(sed -n "s,^$1\\( for now\\)\\?: *,,p" folders.txt | tr '\n' ' ') "
  for header in "${headers[@]}"; do
    if [[ $allowed == *" ${header%/*} "* || $allowed == *" $header "* ]]; then
      shown "$header" || { echo "$1 does not see $header"; return 1; }
    elif shown "$header"; then
      echo "$1 sees $header"
      return 1
    fi
  done
}
for folder in "$@"; do
  directories=${folder#*=}
  folder=${folder%%=*}
  check "the build shows $folder what it may include" as_allowed "$folder"
done
