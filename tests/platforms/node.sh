#!/usr/bin/env bash
# deploy/helm/cherry on a Kubernetes of one node (scheduler, controllers, kubelet, containerd): all of docs/kubernetes.md
# Needs root. Builds Kubernetes the first time. Usage: node.sh; CHERRY_BIN: the programs, default build/release/bin;
# CHERRY_IMAGES: a folder with the images that `run.sh containers --save FOLDER` made, to run these
# shellcheck disable=SC1091,SC2034,SC2154,SC2086,SC2016,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/tests/platforms}
export CHERRY_BIN=${CHERRY_BIN:-$root/build/release/bin}
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s
if [ -n "${CHERRY_IMAGES:-}" ]; then CHERRY_IMAGES=$(realpath "$CHERRY_IMAGES") && export CHERRY_IMAGES; fi

if [ "${1:-}" != inside ]; then
  source "$here/../lib.sh"
  [ "$(id -u)" = 0 ] || fail 'not root' 'run it as root: it makes namespaces'
  [ -x "$CHERRY_BIN/cherry-worker" ] || fail "no programs in $CHERRY_BIN" 'run ./tests/run.sh, or give CHERRY_BIN'
  install() {
    if ! hash runc dnsmasq iptables conntrack 2> /dev/null || [ ! -x /usr/lib/cni/bridge ]; then
      apt-get install -y --no-install-recommends runc containernetworking-plugins dnsmasq-base iptables conntrack
    fi
  }
  logged 'install' install
  logged 'helm and schemas' "$here/kubernetes/tools.sh"
  logged 'Kubernetes and containerd' "$here/kubernetes/build.sh" node
  # Processes, network, mounts: all ends with this command.
  exec unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$0" inside
fi

work=$(mktemp -d /var/tmp/cherry-node.XXXXXX)
source "$here/kubernetes/lib.sh"
source "$here/kubernetes/control-plane.sh"
source "$here/kubernetes/cluster.sh"
state() {
  kubectl get pods,pv,pvc --all-namespaces --output wide
  kubectl get events --all-namespaces | tail -n 15
}

# What the page types, for two cores.
cat > small.yaml << 'YAML'
workerDefaults: {resources: {requests: {cpu: 500m, memory: 1Gi}, limits: {cpu: "1", memory: 4Gi}}}
YAML
sized() {
  commands[next]+=' --values small.yaml'
  documented "$1"
}
field() { kubectl --namespace ml get pod "$1" --output "jsonpath={.$2}"; }
another_pod() {
  local uid
  uid=$(field "$1" metadata.uid) && [ -n "$uid" ] && [ "$uid" != "$2" ]
}
ready() { kubectl --namespace ml wait --for condition=Ready --timeout 120s "pod/$1"; }
gone() { [ -z "$(kubectl --namespace ml get pod "$1" --ignore-not-found --output name || echo unknown)" ]; }
restarted() { [ "$(field "$1" 'status.containerStatuses[0].restartCount')" -ge 1 ]; }
of_the_group() { [ "$(stat -c '%g %A' "$work/volumes/$1")" = '880 drwxrwsr-x' ]; }
evict() {
  kubectl create --raw "/api/v1/namespaces/ml/pods/$1/eviction" --filename - << JSON
{"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "$1", "namespace": "ml"}}
JSON
}
kept_back() { ! evict "$1" > "$work/evicted.out" 2>&1 && grep 'disruption budget' "$work/evicted.out"; }
one_thread_each() {
  local rank
  [ "$(for rank in $(pgrep cherry-trainer); do tr '\0' '\n' < "/proc/$rank/environ"; done | grep -cx OMP_NUM_THREADS=1)" = 2 ]
}

start_api
must 'the API is ready' within 120 kubectl get --raw /readyz
start_controllers
start_node > "$work/node.log" 2>&1
must 'the node is ready' within 120 kubectl wait --for condition=Ready --timeout 1s node/node
volume shared 100Gi ReadWriteMany > "$work/volumes.log"
volume state 10Gi ReadWriteOnce >> "$work/volumes.log"

documented 'deploy/certificates.sh' > "$work/certificates.log" 2>&1
documented 'secret()'
documented 'kubectl create namespace'
documented 'secret cherry-coordinator'
documented 'secret cherry-client'
documented 'for name'
documented 'helm lint'
serve_name cherry-coordinator > "$work/dns.log" 2>&1 &
sized 'helm install'
documented 'kubectl --namespace ml get pods,pvc'
documented 'as_me()'
must 'both workers join' within 120 workers READY 2
documented 'as_me get workers'
check 'the file system is of the group of the pods' of_the_group shared

shared=$work/volumes/shared
corpus "$shared"
job "$shared" across 600
job "$shared" moved 100000
documented 'as_me data prepare' > "$work/prepare.log" 2>&1
documented 'as_me submit'
must 'a job trains over two pods' within 120 at_step across 20
check 'each of its ranks with the one thread of its CPU limit' one_thread_each
pod=$(field cherry-coordinator-0 metadata.uid)
must "the coordinator's pod is deleted" kubectl --namespace ml delete pod cherry-coordinator-0 --wait
must 'and there is another' within 60 another_pod cherry-coordinator-0 "$pod"
must 'which is ready' ready cherry-coordinator-0
documented 'as_me watch'
check 'the job has succeeded' job_is across SUCCEEDED
check 'in one attempt' attempts across 1

as_me submit /srv/cherry/moved.yaml
must 'another job trains' within 120 at_step moved 5
pkill -STOP cherry-coordina  # As pkill knows it.
check 'a coordinator that hangs is started again' within 180 restarted cherry-coordinator-0
must 'and has its workers again' within 120 workers READY 2
check 'and its job goes on' within 120 at_step moved $(($(step_of moved) + 1))
check 'in the same attempt' attempts moved 1
pod=$(field cherry-cpu-1 metadata.uid)
check 'a drain may evict a worker' evict cherry-cpu-1
check 'but not the other one as well' kept_back cherry-cpu-0
check 'the worker leaves a checkpoint' within 60 saved moved
check 'of a job that was preempted, not killed' within 60 preempted moved
check 'its pod comes back' within 120 another_pod cherry-cpu-1 "$pod"
check 'and the job goes on' within 120 attempts moved 2
as_me cancel moved

sized 'helm upgrade'
check 'an upgrade takes a worker away' within 60 gone cherry-cpu-1
documented 'helm rollback'
check 'a rollback brings it back' within 120 workers READY 2
documented 'helm uninstall'
documented 'kubectl --namespace ml get pvc'
check 'both claims are kept' [ "$(kubectl --namespace ml get pvc --no-headers | grep -c Bound)" = 2 ]
check 'and what is in them' test -s "$shared/data/.cherry-root"
check 'every command of the page ran' [ $next = ${#commands[@]} ]
exit "$failed"
