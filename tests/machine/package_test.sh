#!/usr/bin/env bash
# The Debian package: lintian has nothing to say, it holds what it should, and it installs,
# upgrades, and purges in a root folder of its own. scripts/package-test.sh does the same in whole
# systems.
#   package_test.sh BUILD_FOLDER
. "$(dirname "$0")/shell.sh"
need cpack dpkg-shlibdeps file lintian
cpack --config "$1/CPackConfig.cmake" -B "$scratch" >"$scratch/log" || { cat "$scratch/log"; exit 1; }
deb=$(ls "$scratch"/*.deb)

# Where one of those is missing that look up what it depends on, there is no package.
for missing in dpkg-shlibdeps file; do
  without=$scratch/without-$missing
  mkdir "$without"
  ln -s /usr/bin/* "$without"
  rm "$without/$missing"
  status=0
  PATH=$without cpack --config "$1/CPackConfig.cmake" -B "$without/made" \
    -D CMAKE_FIND_USE_CMAKE_SYSTEM_PATH=OFF >"$scratch/log" 2>&1 || status=$?
  check "without $missing it fails" test "$status" -ne 0
  check "and says what to do" grep -q "apt-get install dpkg-dev file" \
    <<<"$(grep -A 1 "$missing is not installed" "$scratch/log" | tr -s '\n ' ' ')"
  check "and makes none" test -z "$(find "$without" -name '*.deb')"
done

# A tarball for where there is no apt: it is unpacked into any prefix, and works there.
cpack -G TGZ --config "$1/CPackConfig.cmake" -B "$scratch/tarball" >"$scratch/log" ||
  { cat "$scratch/log"; exit 1; }
mkdir "$scratch/prefix"
tar -xzf "$scratch"/tarball/*.tar.gz -C "$scratch/prefix" --strip-components=1
check "a tarball's executable runs from its prefix" grep -q '^calib-cleanup ' \
  <<<"$("$scratch/prefix/bin/calib-cleanup" --version)"
for file in share/man/man8/calib-cleanup.8 share/calib-cleanup/cleanup.py \
  share/bash-completion/completions/calib-cleanup lib/systemd/system/calib-cleanup.timer; do
  check "a tarball has $file" test -f "$scratch/prefix/$file"
done
check "a tarball has nothing outside its prefix" test -z "$(tar -tzf "$scratch"/tarball/*.tar.gz |
  grep -vE '^[^/]+/(bin|lib|share)/' | grep -vE '^[^/]+/$')"

lintian --allow-root --fail-on error,warning --no-tag-display-limit "$deb" >"$scratch/lintian" 2>&1 ||
  { cat "$scratch/lintian"; check "lintian has no error and no warning" false; }

dpkg-deb -c "$deb" | awk '$1 !~ /^d/ { print $1, $2, $6 }' | sort >"$scratch/found"
sort >"$scratch/expected" <<'EXPECTED'
-rw-r--r-- root/root ./etc/calib-cleanup/calib-cleanup.toml
-rwxr-xr-x root/root ./usr/bin/calib-cleanup
-rw-r--r-- root/root ./usr/lib/systemd/system/calib-cleanup.service
-rw-r--r-- root/root ./usr/lib/systemd/system/calib-cleanup.timer
-rw-r--r-- root/root ./usr/lib/systemd/system/calib-cleanup@.service
-rw-r--r-- root/root ./usr/lib/systemd/system/calib-cleanup@.timer
-rw-r--r-- root/root ./usr/share/bash-completion/completions/calib-cleanup
-rw-r--r-- root/root ./usr/share/calib-cleanup/cleanup.py
-rw-r--r-- root/root ./usr/share/doc/calib-cleanup/README.md.gz
-rw-r--r-- root/root ./usr/share/doc/calib-cleanup/changelog.gz
-rw-r--r-- root/root ./usr/share/doc/calib-cleanup/copyright
-rw-r--r-- root/root ./usr/share/doc/calib-cleanup/examples/cron.d
-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/calib-cleanup.fish
-rw-r--r-- root/root ./usr/share/man/man8/calib-cleanup.8.gz
-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_calib-cleanup
EXPECTED
check "it holds these files" diff "$scratch/expected" "$scratch/found"
for library in libc6 libsqlite3-0; do
  check "it depends on $library" grep -q "$library" <<<"$(dpkg-deb -f "$deb" Depends)"
done
check "its version is that of its changelog" test \
  "$(dpkg-deb -f "$deb" Version)" = "$(dpkg-deb --fsys-tarfile "$deb" |
    tar -xO ./usr/share/doc/calib-cleanup/changelog.gz | gunzip | sed -nE '1s/.*\((.*)\).*/\1/p')"

# The settings that the package brings are those of the tool without any.
dpkg-deb -x "$deb" "$scratch/files"
make_app "$scratch/app"
add_session "$scratch/app" 00000000-0000-4000-8000-000000000001 "'2020-01-01 00:00:00.000000'"
settings=$scratch/files/etc/calib-cleanup/calib-cleanup.toml
tool=$scratch/files/usr/bin/calib-cleanup
dry_run() { "$tool" --app-dir "$scratch/app" --dry-run "$@"; }
check "its settings change nothing" test "$(dry_run)" = "$(dry_run --config "$settings")"
sed -nE 's/^#([a-z-]+ = .*)/\1/p' "$settings" | sed -E '/^(app-dir|database|uploads) /d' >"$scratch/all.toml"
check "what is commented out there is valid" dry_run --config "$scratch/all.toml"

if [ "$(id -u)" -ne 0 ]; then
  echo "not root: not installed"
  exit
fi
root=$scratch/root
mkdir -p "$root"/var/lib/dpkg/{info,updates} "$root/var/log"
touch "$root/var/lib/dpkg/status"
# The scripts run outside of it, and are told of it by DPKG_ROOT.
in_root() {
  dpkg --root="$root" --log="$scratch/dpkg.log" --force-depends --force-confold \
    --force-script-chrootless "$@" >"$scratch/log" 2>&1 || { cat "$scratch/log"; return 1; }
}
wants=$root/etc/systemd/system/timers.target.wants
check "installs" in_root -i "$deb"
check "switches nothing on" test ! -e "$wants"
echo "max-delete = 7" >>"$root/etc/calib-cleanup/calib-cleanup.toml"
mkdir -p "$wants" "$root/var/lib/calib-cleanup" "$root/var/lib/calib-cleanup@two" \
  "$root/var/lib/calib-cleanup@three"
touch "$root/var/lib/calib-cleanup@two/metrics.prom" \
  "$root/var/lib/calib-cleanup@two/.calib-cleanup-metrics.a1B2c3" \
  "$root/var/lib/calib-cleanup@three/metrics.prom" "$root/var/lib/calib-cleanup@three/kept"
ln -s /usr/lib/systemd/system/calib-cleanup@.timer "$wants/calib-cleanup@two.timer"
check "installs over itself" in_root -i "$deb"
check "keeps changed settings" grep -qx "max-delete = 7" "$root/etc/calib-cleanup/calib-cleanup.toml"
check "is removed" in_root -r calib-cleanup
check "keeps the settings until the purge" test -e "$root/etc/calib-cleanup/calib-cleanup.toml"
check "is purged" in_root -P calib-cleanup
check "leaves what is not its own" \
  test "$(ls -A "$root/var/lib/calib-cleanup@three")" = kept
rm -r "$root/var/lib/calib-cleanup@three"
check "leaves nothing else behind" test -z "$(find "$root" -name '*calib-cleanup*' ! -path '*/var/lib/dpkg/*')"
