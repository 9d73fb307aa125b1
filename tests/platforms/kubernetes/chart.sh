# shellcheck shell=bash disable=SC2154,SC2086,SC2016
# The chart under helm alone, and its manifests under Kubernetes' schemas. Sourced by tests/platforms/helm.sh.

refused() {  # WHAT VALUE: the chart's schema does not take a value, and says where.
  local said
  if said=$(helm template cherry $chart --set "$2" 2>&1); then
    echo "took $2"
    return 1
  fi
  has "$1" "$said"
}
rendered() { helm template cherry $chart --namespace ml "$@" > "$work/rendered.yaml"; }
sound() { "$cache/validate/bin/kubernetes-validate" --strict --kubernetes-version 1.36 "$work/rendered.yaml"; }
accepted() { rendered "$@" && sound; }
misspelt() {
  rendered
  sed -i 's/runAsNonRoot/runAsNoRoot/' "$work/rendered.yaml"
  ! sound && has 'runAsNoRoot' "$(sound 2>&1)"
}
custom() {
  helm template cherry $chart --set serviceMonitor.enabled=true,serviceMonitor.labels.release=prometheus \
    --set tls.certManager.enabled=true,tls.certManager.issuerRef.name=ca > "$work/custom.yaml"
  "$cache/validate/bin/python" "$here/kubernetes/custom_resources.py" "$cache/crds" < "$work/custom.yaml"
}
custom_misspelt() {
  custom > "$work/custom.out"
  sed -i 's/rotationPolicy/rotatePolicy/' "$work/custom.yaml"
  ! "$cache/validate/bin/python" "$here/kubernetes/custom_resources.py" "$cache/crds" < "$work/custom.yaml" > "$work/custom.out" 2>&1 &&
    grep rotatePolicy "$work/custom.out"
}

check 'lint is content' helm lint --strict $chart
check 'a misspelt value is refused' refused "additional properties 'replica'" workers.cpu.replica=2
check 'a misspelt section too' refused "additional properties 'worker'" worker.cpu.replicas=2
check 'GPUs and slots at once are refused' refused '/workers/cpu/slots.*maximum' workers.cpu.gpus=1,workers.cpu.slots=2
check 'a pool without replicas is refused' refused "missing property 'replicas'" workers.more.slots=2
check 'a pool that no worker can be named after is refused' refused "propertyName 'GPU'" workers.GPU.replicas=1
check 'root is refused' refused '/runAsUser' runAsUser=0
check 'a port that is none is refused' refused '/coordinator/port' coordinator.port=70700
check 'a size that is none is refused' refused '/storage/size' storage.size=lots
check 'cert-manager without an issuer is refused' refused '/issuerRef/name' tls.certManager.enabled=true

check "Kubernetes' schemas take every manifest" accepted
check 'with everything switched on' accepted --set image.registry=registry.example.com,image.pullSecrets[0]=pull \
  --set workers.h100.replicas=2,workers.h100.gpus=8,workers.h100.labels.gpu=H100,workers.h100.runtimeClassName=nvidia \
  --set networkPolicy.clients[0].podSelector.matchLabels.app=notebook,storage.storageClassName=nfs
check 'with everything switched off' accepted --set client.enabled=false,networkPolicy.enabled=false \
  --set podDisruptionBudget.enabled=false,storage.existingClaim=theirs,workers.cpu=null
check 'and would refuse a misspelt field' misspelt
check "Certificates and ServiceMonitors are what their makers' definitions say" custom
check 'which would refuse a misspelt field' custom_misspelt
