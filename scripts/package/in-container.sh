#!/usr/bin/env bash
# Run by package-test.sh in a bare Debian system, with the package as /now.deb and its next version
# as /next.deb.
#   in-container.sh lifecycle    installs, runs, upgrades, removes, purges; nothing is left
#   in-container.sh units        the same under systemd, and what the units do
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

check() {
  local what=$1
  shift
  if "$@"; then
    echo "ok: $what"
  else
    echo "NOT TRUE: $what: $*"
    [ ! -d /run/systemd/system ] || journalctl --no-pager -n 30
    exit 1
  fi
}
refuse() { ! "$@"; }
quietly() { "$@" >/dev/null; }

apt() { apt-get -y --no-install-recommends "$@" >/apt.log 2>&1 || { cat /apt.log; return 1; }; }

sql() { sqlite3 "$1/backend/calibration.db" "$2"; }

# make_app FOLDER OWNER: sessions of last year, of now and without a date, and a fresh orphan.
make_app() {
  mkdir -p "$1/backend" "$1/uploads/fresh-orphan"
  sql "$1" "CREATE TABLE sessions (id VARCHAR NOT NULL, images_dir VARCHAR NOT NULL,
      created_at DATETIME, PRIMARY KEY (id));
    CREATE TABLE calibration_images (id INTEGER NOT NULL, session_id VARCHAR, PRIMARY KEY (id),
      FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE);"
  local i
  for ((i = 0; i < 60; i++)); do
    add_session "$1" "$(printf 'f0000000-0000-4000-8000-%012d' "$i")" "datetime('now', '-1 year')"
  done
  add_session "$1" f0000000-0000-4000-8000-999999999999 "datetime('now')"
  add_session "$1" f0000000-0000-4000-8000-888888888888 NULL
  chown -R "$2:" "$1"
}
add_session() {
  sql "$1" "INSERT INTO sessions VALUES ('$2', 'uploads/$2', $3);
    INSERT INTO calibration_images (session_id) VALUES ('$2'), ('$2')"
  mkdir "$1/uploads/$2"
  echo image >"$1/uploads/$2/image.png"
}
sessions() { sql "$1" 'SELECT count(*) FROM sessions'; }
has() { test "$(sessions "$1") $(sql "$1" 'SELECT count(*) FROM calibration_images') $(ls "$1/uploads" | wc -l)" = "$2"; }

# Everything but what apt and dpkg keep for themselves.
all_files() {
  find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /dev \
    -o -path /var/lib/dpkg -o -path /var/lib/apt -o -path /var/cache -o -path /var/log \
    -o -path /apt.log -o -path /before -o -path /after -o -path /etc/ld.so.cache \
    -o -path '/etc/*-' -o -path /etc/.pwd.lock \) -prune -o -print |
    grep -vxE '/var/lib/systemd(/deb-systemd-helper-[a-z]+(/timers.target.wants)?)?' | sort
}

lifecycle() {
  apt install sqlite3
  all_files >/before
  apt install /now.deb
  check "installed with what it depends on" calib-cleanup --version
  check "the manual is there" test -s /usr/share/man/man8/calib-cleanup.8.gz
  useradd calib
  make_app /srv/calibration calib
  check "it runs" setpriv --reuid=calib --regid=calib --clear-groups \
    calib-cleanup --app-dir /srv/calibration --orphan-grace 1440
  check "and deletes what has expired" has /srv/calibration "2 4 3"
  rm -rf /srv/calibration
  echo 'hours = 100' >>/etc/calib-cleanup/calib-cleanup.toml
  apt install /next.deb
  check "upgraded" test "$(dpkg-query -W -f '${Version}' calib-cleanup)" = 99
  check "the administrator's settings stay" grep -qx 'hours = 100' /etc/calib-cleanup/calib-cleanup.toml
  apt remove calib-cleanup
  check "removed" test ! -e /usr/bin/calib-cleanup
  check "the administrator's settings stay" test -e /etc/calib-cleanup/calib-cleanup.toml
  apt install /now.deb
  check "installed again" calib-cleanup --version
  apt purge calib-cleanup
  userdel calib
  apt autoremove --purge
  all_files >/after
  check "purged: nothing is left" diff /before /after
  apt install /now.deb
}

property() { test "$(systemctl show "$1" -P "$2")" = "$3"; }
drop_in() {
  mkdir -p "/etc/systemd/system/$1.d"
  cat >"/etc/systemd/system/$1.d/app.conf"
  systemctl daemon-reload
}
journal() { journalctl --sync; journalctl -u "$1" -o cat "${@:2}"; }
journal_has() { journal "$1" "${@:3}" | grep -- "$2" >/dev/null; }

units() {
  systemctl --version | head -n 1
  echo "systemd is $(systemctl is-system-running || true), in $(systemd-detect-virt || true)"
  local service=calib-cleanup.service app=/srv/calibration
  useradd calib
  make_app $app calib

  check "verify has nothing to say" \
    test -z "$(systemd-analyze verify --man=no /usr/lib/systemd/system/calib-cleanup{,@}.{service,timer} 2>&1)"
  systemd-analyze security --no-pager --threshold=15 $service | tail -n 1
  check "security is 1.5 or better" \
    quietly systemd-analyze security --no-pager --threshold=15 $service
  check "nothing is switched on by itself" refuse systemctl is-enabled --quiet calib-cleanup.timer

  check "before it knows whose folder, it fails" refuse systemctl start $service
  check "and says so" journal_has $service 'error: .*uploads' -p 3
  check "and has touched nothing" has $app "62 124 63"

  drop_in $service <<DROP_IN
[Service]
User=calib
WorkingDirectory=$app
ReadWritePaths=$app/backend $app/uploads
DROP_IN
  drop_in calib-cleanup.timer <<DROP_IN
[Timer]
OnCalendar=
OnCalendar=*-*-* *:30
OnBootSec=1s
RandomizedDelaySec=0
DROP_IN
  echo 'metrics = "/var/lib/calib-cleanup/metrics.prom"' >>/etc/calib-cleanup/calib-cleanup.toml
  systemctl enable --now calib-cleanup.timer 2>/dev/null
  timeout 120 grep -qm 1 '^Finished' < <(exec journalctl -fn all -o cat -u $service)
  check "the timer starts it, and it deletes what has expired, not the fresh orphan" \
    has $app "2 4 3"
  check "its result is success" property $service Result success
  check "the summary is in the journal, as information" \
    journal_has $service '^Cleanup completed: Deleted 60 old sessions$' -p 6..6
  check "the warning is there as one" journal_has $service '^calib-cleanup: warning: ' -p 4..4
  check "the folder is its owner's as before" test -z "$(find $app ! -user calib)"
  check "metrics are written for everybody to read" \
    test "$(stat -c '%a %U' /var/lib/calib-cleanup/metrics.prom)" = "644 calib"
  check "and it is due as the drop-in says, and no other time" \
    quietly grep -x '{ OnCalendar=\*-\*-\* \*:30:00 ;.*' <<<"$(systemctl show calib-cleanup.timer -P TimersCalendar)"

  add_session $app f0000000-0000-4000-8000-777777777777 "datetime('now', '-1 year')"
  chown -R calib: $app
  echo 'lock-wait = 0' >>/etc/calib-cleanup/calib-cleanup.toml
  exec {lock}<$app/uploads
  flock $lock
  check "beside another pass it is busy, and that is no failure" systemctl start $service
  check "status 4" property $service ExecMainStatus 4
  check "nothing was changed" has $app "3 6 4"
  exec {lock}<&-
  echo 'hours = 100000' >>/etc/calib-cleanup/calib-cleanup.toml
  check "the file says how old sessions must be" systemctl start $service
  check "so none goes" has $app "3 6 4"
  sed -i '/^hours/d' /etc/calib-cleanup/calib-cleanup.toml
  mv $app/backend/calibration.db $app/backend/moved
  check "without a database it fails" refuse systemctl start $service
  check "status 3" property $service ExecMainStatus 3
  mv $app/backend/moved $app/backend/calibration.db
  systemctl reset-failed $service  # five starts in ten seconds are systemd's limit
  check "and works again" systemctl start $service
  check "with the database" has $app "2 4 3"

  # The sandbox is real: what the service's own user may write without it.
  mkdir -m 777 /srv/elsewhere
  mkdir -p /etc/systemd/system/$service.d
  cat >/etc/systemd/system/$service.d/probe.conf <<'DROP_IN'
[Service]
ExecStart=
ExecStart=/bin/sh -c 'touch uploads/probe || exit 10; touch /srv/elsewhere/probe && exit 11; touch /var/tmp/host && test ! -e /var/tmp/seen || exit 12; ls -d /proc/1 && exit 13; unshare -U true && exit 14; nice -n -1 true 2>&1 | grep -q . || exit 15; exit 0'
DROP_IN
  touch /var/tmp/seen
  systemctl daemon-reload
  check "only the named folders can be written, other processes are not seen" systemctl start $service
  check "nothing came out" test ! -e /srv/elsewhere/probe -a ! -e /var/tmp/host -a -e $app/uploads/probe
  rm /etc/systemd/system/$service.d/probe.conf $app/uploads/probe
  systemctl daemon-reload

  useradd other
  make_app /home/other/app other
  sql /home/other/app 'PRAGMA journal_mode=WAL' >/dev/null
  chown -R other: /home/other
  cp /etc/calib-cleanup/calib-cleanup.toml /etc/calib-cleanup/second.toml
  sed -i '/^metrics/d' /etc/calib-cleanup/second.toml
  drop_in calib-cleanup@second.service <<DROP_IN
[Service]
User=other
WorkingDirectory=/home/other/app
ReadWritePaths=/home/other/app/backend /home/other/app/uploads
DROP_IN
  check "an instance cleans a second app, in a home folder and with a WAL" \
    systemctl start calib-cleanup@second.service
  check "what has expired is gone" has /home/other/app "2 4 3"
  systemctl enable --now calib-cleanup@second.timer 2>/dev/null

  check "upgrades while the timers run" dpkg -i /next.deb
  check "they go on" systemctl is-active calib-cleanup.timer calib-cleanup@second.timer
  check "removes" dpkg -r calib-cleanup
  check "the timers are stopped" \
    refuse systemctl is-active --quiet calib-cleanup.timer calib-cleanup@second.timer
  check "installs again" dpkg -i /now.deb
  check "what was switched on still is" systemctl is-enabled calib-cleanup.timer
  check "purges" dpkg -P calib-cleanup
  check "nothing is left switched on" \
    test -z "$(ls /etc/systemd/system/timers.target.wants | grep calib)"
  check "nor any state or setting" test -z "$(find /var/lib /etc/calib-cleanup/calib-cleanup.toml \
    -path /var/lib/dpkg -prune -o -name '*calib-cleanup*' -print 2>/dev/null)"
  check "the apps are untouched" test "$(sessions $app) $(sessions /home/other/app)" = "2 2"
}

"$1"
