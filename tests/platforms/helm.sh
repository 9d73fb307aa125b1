#!/usr/bin/env bash
# deploy/helm/cherry: under helm and Kubernetes' schemas, and its pods under runc as the manifests describe them, without a
# Kubernetes. Needs root. Usage: helm.sh; CHERRY_BIN: the programs, default build/release/bin
# shellcheck disable=SC1091,SC2034,SC2016,SC2086,SC2154,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/tests/platforms}
export CHERRY_BIN=${CHERRY_BIN:-$root/build/release/bin}
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s

if [ "${1:-}" != inside ]; then
  source "$here/../lib.sh"
  [ "$(id -u)" = 0 ] || fail 'not root' 'run it as root: it makes namespaces'
  [ -x "$CHERRY_BIN/cherry-worker" ] || fail "no programs in $CHERRY_BIN" 'run ./tests/run.sh, or give CHERRY_BIN'
  install() {
    if ! hash runc curl 2> /dev/null || [ ! -e /usr/share/containers/seccomp.json ] || ! /usr/bin/python3 -c 'import yaml'; then
      apt-get install -y --no-install-recommends runc curl golang-github-containers-common python3-yaml
    fi
  }
  logged 'install' install
  logged 'helm and schemas' "$here/kubernetes/tools.sh"
  # Processes, network, mounts: all ends with this command.
  exec unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$0" inside
fi

work=$(mktemp -d /var/tmp/cherry-helm.XXXXXX)
source "$here/kubernetes/lib.sh"

source "$here/kubernetes/chart.sh"
source "$here/kubernetes/containers.sh"
exit "$failed"
