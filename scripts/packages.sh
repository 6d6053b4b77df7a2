# shellcheck shell=bash disable=SC2034 # what is not used here
# Sourced by the other scripts: what packages they need, Debian's or, on a Mac, Homebrew's, and how
# they get them. A Mac's bash is 3.2.

# To build the tool.
build_packages="g++ cmake ninja-build libcli11-dev libsqlitecpp-dev libsqlite3-dev libpq-dev
  libfmt-dev nlohmann-json3-dev libtomlplusplus-dev"

# To make its Debian package: what looks up which others that one depends on.
package_packages="dpkg-dev file"

# To test it on a PostgreSQL server: each run makes a cluster of its own.
postgresql_packages="postgresql"

# To test the app's adapter. What FastAPI reads forms with has another name since Debian 13, where
# its old one is another project's.
app_packages="python3 python3-dotenv python3-fastapi python3-httpx python3-psycopg2
  python3-sqlalchemy python3-uvicorn flake8 jq mypy"
if grep -qx 'VERSION_ID="12"' /etc/os-release 2>/dev/null; then
  app_packages+=" python3-multipart"
else
  app_packages+=" python3-python-multipart"
fi

# The compiler is Apple's (xcode-select --install), and so is sqlite3. To build the tool is all that is
# done there: the tests are for Linux.
is_mac() { [ "$(uname -s)" = Darwin ]; }
if is_mac; then
  build_packages="cmake ninja cli11 fmt sqlitecpp nlohmann-json tomlplusplus catch2 libpq"
  package_packages=
fi

is_installed() {
  if is_mac; then
    [ "$1" = sqlite3 ] || brew list --formula --versions "$1" >/dev/null 2>&1
  else
    dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
  fi
}

# need_packages NAME...: installs those that are missing: as root or through sudo, and on a Mac as
# whoever has Homebrew.
need_packages() {
  local missing=()
  local name
  for name in "$@"; do
    is_installed "$name" || missing+=("$name")
  done
  [ "${#missing[@]}" -eq 0 ] && return 0
  echo "Installing: ${missing[*]}" >&2
  if is_mac; then
    command -v brew >/dev/null || {
      echo "These are Homebrew's packages: install that first (https://brew.sh)" >&2
      return 1
    }
    brew install --quiet "${missing[@]}" >&2
    return
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "These packages are needed; run as root: apt-get install ${missing[*]}" >&2
      return 1
    }
    as_root=(sudo)
  fi
  # A machine's lists may be missing or old, and apt says so on many lines: kept for the failure.
  local log status=0
  log=$(mktemp)
  { "${as_root[@]}" apt-get update && install_packages "${missing[@]}"; } >"$log" 2>&1 || status=$?
  [ "$status" -eq 0 ] || cat "$log" >&2
  rm -f "$log"
  return "$status"
}

# install_packages NAME...: with ${as_root[@]} before what takes root. Asks nothing: settings of which
# a package brings others stay as they are, and nobody is told what is to be restarted or has bugs.
install_packages() {
  # Debian's postgresql would make a cluster for the machine, and start it at each boot.
  local without_cluster=/etc/postgresql-common/createcluster.d/without-main.conf
  local status=0
  if [[ " $* " = *" postgresql "* ]]; then
    "${as_root[@]}" install -D -m 644 /dev/stdin "$without_cluster" \
      <<<"create_main_cluster = false" || return
  fi
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive UCF_FORCE_CONFFOLD=1 NEEDRESTART_SUSPEND=1 \
    APT_LISTCHANGES_FRONTEND=none APT_LISTBUGS_FRONTEND=none \
    apt-get -o DPkg::Lock::Timeout=60 \
    -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
    install -y --no-install-recommends "$@" </dev/null || status=$?
  if [[ " $* " = *" postgresql "* ]]; then "${as_root[@]}" rm -f "$without_cluster"; fi
  return "$status"
}

# debian_mirror: the first one that this machine's apt has Debian itself from.
debian_mirror() {
  local uri
  uri=$(listed_mirror)
  [ -n "$uri" ] || { apt-get update >&2 && uri=$(listed_mirror); }
  case $uri in
    "") echo "This machine's apt has Debian from nowhere: see sources.list(5)" >&2; return 1 ;;
    # Debian's cloud images name a file with mirrors.
    mirror+file:*) sed -nE '/^[a-z]+:/ { s/[[:space:]].*//; p; q }' "${uri#mirror+file:}" ;;
    *) printf '%s\n' "$uri" ;;
  esac
}

# What a mirror is of stands in apt's lists, which a machine may not have yet.
# shellcheck disable=SC2016 # apt-get fills it in
listed_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' | head -n 1
}
