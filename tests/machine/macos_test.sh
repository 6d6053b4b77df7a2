#!/usr/bin/env bash
# What a Mac gets, as far as another system can tell: the launchd agent, Homebrew's formula, and what
# the scripts ask Homebrew for.
#   macos_test.sh SCRIPTS AGENT
. "$(dirname "$0")/shell.sh"
need python3

sed "s,/APP-DIR,/Users/me/calibration,; s,/HOME,/Users/me," "$2/calib-cleanup.plist" \
  >"$scratch/agent.plist"
check "nothing is left to be filled in" no_line_with '@|/HOME|APP-DIR.*<' "$scratch/agent.plist"
# Keys and their types are those of launchd.plist(5).
check "the agent is what launchd reads" python3 - "$scratch/agent.plist" <<'CHECK'
import pathlib
import plistlib
import sys

KNOWN = {
    "Label": str, "ProgramArguments": list, "Program": str, "WorkingDirectory": str,
    "RunAtLoad": bool, "StartInterval": int, "StartCalendarInterval": dict, "ProcessType": str,
    "LowPriorityIO": bool, "LowPriorityBackgroundIO": bool, "Nice": int, "Umask": int,
    "StandardInPath": str, "StandardOutPath": str, "StandardErrorPath": str,
    "EnvironmentVariables": dict, "UserName": str, "GroupName": str, "KeepAlive": bool,
    "ExitTimeOut": int, "ThrottleInterval": int, "AbandonProcessGroup": bool, "Disabled": bool,
    "WatchPaths": list, "QueueDirectories": list, "StartOnMount": bool, "TimeOut": int,
}
with open(sys.argv[1], "rb") as file:
    agent = plistlib.load(file)
for key, value in agent.items():
    assert type(value) is KNOWN[key], f"{key}: {value!r}"
assert agent["ProcessType"] in {"Background", "Standard", "Adaptive", "Interactive"}
arguments = agent["ProgramArguments"]
assert all(isinstance(word, str) for word in arguments)
assert pathlib.PurePath(arguments[0]).is_absolute() and arguments[0].endswith("/calib-cleanup")
assert arguments[1:] == ["--app-dir", "/Users/me/calibration", "--hours", "24",
                         "--orphan-grace", "1440"]
assert agent["RunAtLoad"] and agent["StartInterval"] == 3600
assert agent["LowPriorityIO"] and agent["Nice"] == 19 and agent["Umask"] == 0o077
assert agent["StandardOutPath"] == agent["StandardErrorPath"]
assert agent["StandardOutPath"] == "/Users/me/Library/Logs/calib-cleanup.log"
CHECK

# A Mac and its Homebrew, for packages.sh.
mkdir "$scratch/bin"
printf '#!/bin/sh\necho Darwin\n' >"$scratch/bin/uname"
cat >"$scratch/bin/brew" <<BREW
#!/bin/sh
echo "\$*" >>"$scratch/asked"
[ "\$1" != list ] || grep -qx "\$4" "$scratch/installed"
BREW
chmod +x "$scratch"/bin/*
asked_for() {
  : >"$scratch/asked"
  PATH=$scratch/bin:$PATH bash -euc '. "$0/packages.sh"
    need_packages $build_packages $package_packages sqlite3' "$1" 2>"$scratch/said"
  grep '^install' "$scratch/asked" || true
}
all="cmake ninja cli11 fmt sqlitecpp nlohmann-json tomlplusplus catch2 libpq"
: >"$scratch/installed"
check "what is missing is asked for" test "$(asked_for "$1")" = "install --quiet $all"
printf '%s\n' $all >"$scratch/installed"
check "what is there is not" test -z "$(asked_for "$1")"
grep -vx fmt "$scratch/installed" >"$scratch/some" && mv "$scratch/some" "$scratch/installed"
check "and one is asked for alone" test "$(asked_for "$1")" = "install --quiet fmt"

formula=$1/homebrew/calib-cleanup.rb
sed -nE 's/^ *depends_on "([^"]*)".*/\1/p' "$formula" | sort >"$scratch/formula"
printf '%s\n' $all | grep -vx catch2 | sort >"$scratch/packages"
check "the formula depends on the same, but for the tests" diff "$scratch/formula" "$scratch/packages"
if command -v ruby >/dev/null; then check "the formula is Ruby" quietly ruby -c "$formula"; fi
