#!/usr/bin/env bash
# Debian packages: built, checked by lintian, then lived with under systemd in a bare Debian 12 (docs/debian.md)
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: tests/platforms/run.sh debian [--keep]

Builds the packages in two revisions, checks them with lintian, boots a bare Debian 12 under systemd, and runs every command
of docs/debian.md in it: install, a job, configure, upgrade under a running job, remove, purge. Needs root, debootstrap,
lintian, help2man and 3 GB. The commands and their output are left in build/platforms/debian.txt.

  --keep  leave the root, and say where it is
END
}

KEEP=0
for argument in "$@"; do
  case $argument in
    --keep) KEEP=1 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
PAGE=$CHERRY_ROOT/docs/debian.md
PACKAGES=$CHERRY_ROOT/build/packages
TRANSCRIPT=$WORK/debian.txt
INIT='' BOOT='' WORKER='[a-z0-9-]+'

check_tools() {
  local tool
  can_make_root
  for tool in lintian help2man nsenter unshare ip systemd-analyze; do
    if [ ! -x "$(type -P $tool)" ]; then fail "$tool is not there" "apt-get install lintian help2man util-linux iproute2 systemd"; fi
  done
  DID='root, debootstrap, lintian'
}

build_packages() {
  "$CHERRY_ROOT/deploy/package.sh" --quiet --release 2 --output "$WORK/packages-2"
  "$CHERRY_ROOT/deploy/package.sh" --quiet
  DID=$(cd "$PACKAGES" && du -h --apparent-size -- *.deb | awk '{printf "%s%s %s", sep, $2, $1; sep = ", "}')
}

check_packages() {
  LOG=$WORK/lintian.log
  lintian --fail-on error,warning --allow-root "$PACKAGES"/*.deb > "$LOG" 2>&1 || fail "lintian complains" "mend it, or override it with a reason in deploy/debian"
  DID='no error, no warning'
}

fill_root() {
  LOG=$WORK/debian-root.log
  : > "$LOG"
  bare_root "$(mktemp -d "${TMPDIR:-/tmp}/cherry-debian-XXXXXX")"
  chmod 755 "$ROOT"
  copy_settings
  cp "$PACKAGES"/*.deb "$WORK"/packages-2/*.deb "$ROOT/srv"
  { chroot "$ROOT" apt-get update && DEBIAN_FRONTEND=noninteractive chroot "$ROOT" apt-get install -y --no-install-recommends systemd dbus; } \
    >> "$LOG" 2>&1 || fail "systemd cannot be installed" "read the log; check the mirror"
}

# Runs as the first process of its own namespaces, and becomes systemd. Its network is a loopback of its own: the daemons
# take their usual ports there.
as_init() {
  local device
  ip link set lo up
  mount --bind "$ROOT" "$ROOT"
  mount -t proc proc "$ROOT/proc"
  mount -t sysfs sys "$ROOT/sys"
  mount -t cgroup2 cgroup2 "$ROOT/sys/fs/cgroup"
  mount -t tmpfs -o mode=755 tmpfs "$ROOT/dev"
  for device in null zero full random urandom tty; do
    touch "$ROOT/dev/$device"
    mount --bind "/dev/$device" "$ROOT/dev/$device"
  done
  mkdir "$ROOT/dev/pts" "$ROOT/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666 devpts "$ROOT/dev/pts"
  ln -s pts/ptmx "$ROOT/dev/ptmx"
  mount -t tmpfs tmpfs "$ROOT/dev/shm"
  mount -t tmpfs -o mode=755 tmpfs "$ROOT/run"
  exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$ROOT" /lib/systemd/systemd --unit=multi-user.target
}

# in_root COMMAND: by a shell in the booted system. Apt has this machine's network, everything else the root's own.
in_root() {
  local network=--net
  case $1 in apt-get*) network= ;; esac
  # shellcheck disable=SC2086
  nsenter --target "$INIT" --mount --pid --uts --ipc --cgroup $network --root --wd \
    env -i HOME=/root LANG=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
    bash -c "cd /srv && $1" < /dev/null
}

# wait_for SECONDS COMMAND: until it succeeds in the root.
wait_for() {
  local end=$((SECONDS + $1))
  until in_root "$2" > /dev/null 2>&1; do
    if [ $SECONDS -ge $end ]; then in_root "$2" || fail "not within $1 s: $2" "read $TRANSCRIPT"; return; fi
    read -rt 0.3 <> <(:) || true
  done
}

boot() {
  LOG=$WORK/debian-boot.log
  CHERRY_DEBIAN_ROOT=$ROOT unshare --mount --propagation private --pid --fork --kill-child --cgroup --uts --ipc --net \
    "$0" > "$LOG" 2>&1 &
  BOOT=$!
  local end=$((SECONDS + 60))
  until INIT=$(pgrep -P "$BOOT") && [ "$(cat "/proc/$INIT/comm" 2> /dev/null)" = systemd ]; do
    if ! kill -0 "$BOOT" 2> /dev/null || [ $SECONDS -ge $end ]; then fail "systemd does not start" "read the log"; fi
    read -rt 0.1 <> <(:) || true
  done
  wait_for 60 '[ "$(systemctl is-system-running)" = running ]'
  DID=$(in_root 'systemctl --version | head -n 1')
}

# What the next command of the page finds done.
before() {
  case $1 in
    *0.1.0-2_amd64.deb*) wait_for 300 "$CHERRY get jobs second | grep -q RUNNING" ;;
    *'get workers') wait_for 60 "$CHERRY get workers | grep -qE '^$WORKER +READY'" ;;
    *'describe job second') wait_for 300 "$CHERRY get events second | grep -c 'STARTING -> RUNNING' | grep -q 2" ;;
  esac
}

# section NAME: every command of it, as it stands in the page.
section() {
  local command
  LOG=$WORK/debian-command.log
  printf '\n## %s\n\n' "$1" >> "$TRANSCRIPT"
  while IFS= read -r command; do
    before "$command"
    printf '# %s\n' "$command" >> "$TRANSCRIPT"
    in_root "$command" > "$LOG" 2>&1 || fail "$command" "read the log; --keep leaves the root"
    cat "$LOG" >> "$TRANSCRIPT"
  done < <(commands_of "$PAGE" "$1")
}
# expect WHAT COMMAND: a check besides, in the root.
expect() { in_root "$2" > "$LOG" 2>&1 || fail "$1" "the check was: $2"; }
CHERRY='runuser -u cherry -- cherry --home /var/lib/cherry'

install_packages() {
  section 'Install'
  expect 'systemd accepts the units' 'systemd-analyze verify --man=no cherry-coordinator.service cherry-worker.service'
  expect 'every library is found' '! ldd /usr/bin/cherry* | grep -q "not found"'
  expect 'the daemons run as cherry, without capabilities' \
    'for unit in cherry-coordinator cherry-worker; do pid=$(systemctl show -P MainPID $unit);
     [ "$(stat -c %U /proc/$pid)" = cherry ] && grep -q "^CapBnd:.0*$" /proc/$pid/status; done'
  wait_for 60 "$CHERRY get workers | grep -q READY"
  DID='both daemons active, the worker registered'
}
first_job() {
  section 'A first job'
  expect 'the job has succeeded' "$CHERRY get jobs first | grep -q SUCCEEDED"
  expect 'its checkpoint is whole' "$CHERRY checkpoint verify first:best"
  expect 'others may not read it' '[ "$(stat -c "%U %a" /var/lib/cherry)" = "cherry 750" ]'
  expect 'completion knows the commands' 'bash -c "source /usr/share/bash-completion/completions/cherry; complete -p cherry"'
  expect 'the manual page is one' 'gzip -dc /usr/share/man/man1/cherry.1.gz | grep -q "^.SH"'
  DID=$(in_root "$CHERRY get jobs first" | tail -n 1 | tr -s ' ')
}
configure() {
  WORKER=w0
  section 'Configure'
  expect 'systemd brings a killed coordinator back' \
    'old=$(systemctl show -P MainPID cherry-coordinator); systemctl kill -s KILL cherry-coordinator
     for i in $(seq 100); do new=$(systemctl show -P MainPID cherry-coordinator); [ $new != $old ] && [ $new != 0 ] && exit 0; read -rt 0.2 <> <(:); done; exit 1'
  wait_for 60 "$CHERRY get workers | grep -q 'w0 .*READY'"
  DID='the worker has another name and two slots; a killed coordinator is back'
}
upgrade() {
  section 'Upgrade'
  expect 'the new worker went on from the checkpoint that the old one saved' \
    "[ \$($CHERRY logs second --attempt 2 | grep -m 1 -oE 'step [0-9]+' | tail -c +6) -gt 1 ]"
  expect 'what was configured has stayed' 'grep -q "name w0" /etc/cherry/worker.conf'
  expect 'it is the second revision' '[ "$(dpkg-query -W -f "\${Version}" cherry-worker)" = 0.1.0-2 ]'
  DID='a job went on under the second revision'
}
remove() {
  section 'Remove'
  expect 'no daemon is left' '! pgrep cherry && [ ! -e /etc/cherry ] && [ ! -e /usr/lib/cherry ]'
  expect 'checkpoints and jobs are kept' '[ -e /var/lib/cherry/coordinator/CURRENT ] && find /var/lib/cherry/checkpoints -name manifest.json | grep -q .'
  in_root 'apt-get install -y --no-install-recommends ./cherry-client_0.1.0-2_amd64.deb ./cherry-coordinator_0.1.0-2_amd64.deb' > "$LOG" 2>&1 ||
    fail 'it cannot be installed again' 'read the log'
  wait_for 60 "$CHERRY get jobs first | grep -q SUCCEEDED"
  DID='data kept; installed again, the jobs are there'
}

if [ -n "${CHERRY_DEBIAN_ROOT:-}" ]; then
  ROOT=$CHERRY_DEBIAN_ROOT
  as_init
fi
cleanup() {
  if [ -n "$INIT" ]; then kill -KILL "$INIT" 2> /dev/null || true; fi
  if [ -n "$BOOT" ]; then kill -KILL "$BOOT" 2> /dev/null || true; wait "$BOOT" 2> /dev/null || true; fi
  if [ -z "${ROOT:-}" ]; then return; fi
  if [ $KEEP = 1 ]; then say "root: $ROOT"; else rm -rf --one-file-system "$ROOT"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM
: > "$TRANSCRIPT"
phase 'tools' check_tools
phase 'packages' build_packages
phase 'lintian' check_packages
phase 'bare root' fill_root
phase 'systemd' boot
phase 'install' install_packages
phase 'a first job' first_job
phase 'configure' configure
phase 'upgrade' upgrade
phase 'remove, purge' remove
say "commands and output: ${TRANSCRIPT#"$CHERRY_ROOT"/}"
