# shellcheck shell=bash
# Shell functions that make a bare Debian 12 in a folder: source it after lib.sh, do not run it.
#
# ROOT is the folder, LOG takes the output. The root uses this machine's Debian mirror, certificates and package index
# settings, since it has no others.
INCLUDE=git,ca-certificates   # what it has besides Debian's minbase

can_make_root() {
  if [ "$(id -u)" != 0 ]; then fail "not root" "run it with sudo"; fi
  if [ ! -x "$(type -P debootstrap)" ]; then fail "debootstrap is not there" "apt-get install debootstrap"; fi
}

# The sources that Debian's own key signs. Others on this machine need keys a bare one does not have.
debian_sources() {
  find /etc/apt -name '*.sources' -exec grep -l 'debian-archive-keyring' {} +
  find /etc/apt -name '*.list' -exec grep -lE '^deb .*debian' {} + || true
}

mirror_of() {
  grep -hE '^(URIs:|deb )' "$1" | grep -oE '[a-z+]+://[^ ]+' | head -n 1
}

make_root() {
  local first
  first=$(debian_sources | head -n 1)
  if [ -z "$first" ]; then fail "no Debian mirror in /etc/apt" "add one as 'man sources.list' says"; fi
  debootstrap --variant=minbase --include="$INCLUDE" bookworm "$ROOT" "$(mirror_of "$first")" \
    > "$LOG" 2>&1 || fail "debootstrap failed" "read the log; check the mirror in $first"
}

# The way to the network, and only that.
copy_settings() {
  local source
  mkdir -p "$ROOT/srv/home"
  rm -f "$ROOT/etc/apt/sources.list"
  debian_sources | while read -r source; do cp "$source" "$ROOT/etc/apt/sources.list.d/"; done
  apt-config dump Acquire > "$ROOT/etc/apt/apt.conf.d/90host"
  for source in /etc/pip.conf /etc/resolv.conf /etc/hosts; do
    if [ -f "$source" ]; then cp -L "$source" "$ROOT$source"; fi
  done
  if [ -n "$(ls /usr/local/share/ca-certificates)" ]; then
    cp /usr/local/share/ca-certificates/* "$ROOT/usr/local/share/ca-certificates/"
    chroot "$ROOT" update-ca-certificates >> "$LOG" 2>&1
  fi
  if [ -f "$HOME/.cargo/config.toml" ]; then install -D "$HOME/.cargo/config.toml" "$ROOT/srv/home/.cargo/config.toml"; fi
}

mount_kernel() {
  mount -t proc proc "$ROOT/proc"
  mount -t sysfs sys "$ROOT/sys"
  mount --rbind /dev "$ROOT/dev"
  mount -t tmpfs tmpfs "$ROOT/dev/shm"
}
