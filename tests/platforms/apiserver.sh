#!/usr/bin/env bash
# deploy/helm/cherry on a real API server, without nodes: server-side dry run, install, upgrade, rollback, uninstall
# Needs root. Builds etcd and kube-apiserver the first time. Usage: apiserver.sh
# shellcheck disable=SC1091,SC2034,SC2154,SC2086,SC2016,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/tests/platforms}
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s

if [ "${1:-}" != inside ]; then
  source "$here/../lib.sh"
  [ "$(id -u)" = 0 ] || fail 'not root' 'run it as root: it makes namespaces'
  logged 'helm and schemas' "$here/kubernetes/tools.sh"
  logged 'etcd and kube-apiserver' "$here/kubernetes/build.sh"
  # Processes, network, mounts: all ends with this command.
  exec unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$0" inside
fi

work=$(mktemp -d /var/tmp/cherry-apiserver.XXXXXX)
source "$here/kubernetes/lib.sh"
source "$here/kubernetes/control-plane.sh"

# What the page types, but for what waits for pods: there is no node.
unwaited() {
  local command=${commands[next]:-}
  [[ $command == "$1"* ]] || { echo "the page has \"$command\" where the test has \"$1\""; exit 1; }
  next=$((next + 1))
  command=${command// --wait/}
  command=${command// --timeout 5m/}
  echo "\$ $command"
  eval "$command"
}
skip_to() {
  while [ $next -lt ${#commands[@]} ] && [[ ${commands[next]} != "$1"* ]]; do next=$((next + 1)); done
}
dry_run() {
  helm template cherry $chart --namespace ml "$@" > rendered.yaml &&
    kubectl apply --namespace ml --server-side --dry-run=server --validate=strict --filename rendered.yaml
}
misspelt() {
  sed -i 's/runAsNonRoot/runAsNoRoot/' rendered.yaml
  ! kubectl apply --namespace ml --server-side --dry-run=server --validate=strict --filename rendered.yaml > misspelt.out 2>&1 &&
    grep runAsNoRoot misspelt.out
}
replicas() { [ "$(kubectl --namespace ml get statefulset cherry-cpu --output 'jsonpath={.spec.replicas}')" = "$1" ]; }
claim() { kubectl --namespace ml get persistentvolumeclaim cherry-data; }
nothing_but_the_claim() { claim && ! kubectl --namespace ml get statefulset,deployment,service,networkpolicy --output name | grep .; }
wrong_value() {
  ! helm upgrade cherry $chart --namespace ml --set workers.cpu.replica=3 > wrong.out 2>&1 && grep "replica" wrong.out && replicas 2
}
secret_names() { kubectl --namespace ml get secrets --output name | grep -c -- '-tls$'; }

start_api --disable-admission-plugins ServiceAccount  # There is no controller to make accounts.
must 'the API is ready' within 120 kubectl get --raw /readyz
check 'it takes the definitions of Certificates and ServiceMonitors' kubectl apply --server-side --filename "$cache/crds"
check 'and knows them' kubectl wait --for condition=Established --timeout 60s --filename "$cache/crds"
skip_to 'deploy/certificates.sh'
documented 'deploy/certificates.sh' > certificates.log 2>&1
documented 'secret()'
documented 'kubectl create namespace'
documented 'secret cherry-coordinator'
documented 'secret cherry-client'
documented 'for name'
check 'the Secrets of the page are there' [ "$(secret_names)" = 4 ]
check 'it takes every manifest, in a server-side dry run' dry_run
check 'with everything switched on' dry_run --set serviceMonitor.enabled=true,tls.certManager.enabled=true \
  --set tls.certManager.issuerRef.name=ca,workers.h100.replicas=2,workers.h100.gpus=8,workers.h100.labels.gpu=H100
check 'and refuses a misspelt field' misspelt
documented 'helm lint'
unwaited 'helm install'
check 'the release is there' replicas 2
check 'an upgrade with a wrong value is refused and changes nothing' wrong_value
skip_to 'helm upgrade'
unwaited 'helm upgrade'
check 'an upgrade takes a worker away' replicas 1
unwaited 'helm rollback'
check 'a rollback brings it back' replicas 2
unwaited 'helm uninstall'
check 'uninstalling leaves the volume alone' nothing_but_the_claim
documented 'kubectl --namespace ml get pvc'
check 'installing again' helm install cherry $chart --namespace ml
check 'takes the volume up' claim
exit "$failed"
