#!/usr/bin/env bash
# What the objects of deploy/helm/cherry promise together, without a cluster or root: references, selectors, safety.
# Usage: chart.sh
# shellcheck disable=SC1091,SC2154,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s
chart=$here/../../deploy/helm/cherry
source "$here/../lib.sh"
source "$here/../checks.sh"

install() {
  /usr/bin/python3 -c 'import yaml' || { apt-get update && apt-get install -y --no-install-recommends python3-yaml; }
  "$here/kubernetes/tools.sh"
}
logged 'install for the chart' install
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PATH=$cache/bin:$PATH HELM_CACHE_HOME=$work HELM_CONFIG_HOME=$work HELM_DATA_HOME=$work

everything='serviceMonitor.enabled=true,tls.certManager.enabled=true,tls.certManager.issuerRef.name=ca'
everything+=',workers.h100.replicas=2,workers.h100.gpus=8,workers.h100.labels.gpu=H100,storage.storageClassName=nfs'
little=client.enabled=false,networkPolicy.enabled=false,podDisruptionBudget.enabled=false,storage.existingClaim=theirs

# kept VALUES: the release with these has no breach.
kept() {
  helm template cherry "$chart" --namespace ml ${1:+--set "$1"} > "$work/manifests.yaml"
  "$here/kubernetes/chart_rules.py" < "$work/manifests.yaml"
}
helm template cherry "$chart" --namespace ml --set "$everything" > "$work/everything.yaml"
# found WHAT SED: a breach that SED makes is told as WHAT.
found() {
  local said
  sed "$2" "$work/everything.yaml" > "$work/spoilt.yaml"
  if said=$("$here/kubernetes/chart_rules.py" < "$work/spoilt.yaml" 2>&1); then
    echo "$2 was not found"
    return 1
  fi
  has "$1" "$said"
}

check 'objects keep what they promise' kept ''
check 'also with everything switched on' kept "$everything"
check 'and with little' kept "$little"
check 'root would be found' found runAsUser s/880/0/
check 'a writable image too' found readOnlyRootFilesystem 's/readOnlyRootFilesystem: true/readOnlyRootFilesystem: false/'
check 'a key that all may read' found 'all users' 's/defaultMode: 0440/defaultMode: 0444/'
check 'too little time for a checkpoint' found 'after --grace=170s' 's/--grace=150s/--grace=170s/'
check 'a probe of gRPC' found 'without TLS' 's/httpGet: .*/grpc: {port: 7070}/'
check 'a claim that uninstalling deletes' found 'uninstalling deletes' 's/resource-policy: keep/resource-policy: none/'
check 'a claim that nobody makes' found 'nobody makes' 's/claimName: cherry-data/claimName: other/'
check 'a volume that nobody makes' found 'no volume' 's/{name: shm,/{name: shmm,/'
check 'a Service that is none' found 'is no Service' 's/serviceName: .*/serviceName: other/'
check 'a Secret that nobody makes' found 'no Certificate makes' 's/secretName: cherry-cpu-1-tls/secretName: other/'
check "a worker's certificate without its role" found 'none of its worker' \
  's/organizationalUnits: .worker./organizationalUnits: [submitter]/'
exit "$failed"
