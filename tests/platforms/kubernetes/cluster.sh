# shellcheck shell=bash disable=SC2154
# The rest of a Kubernetes of one node, for node.sh: controllers, a node with containerd and runc, and what stands for a
# registry, a DNS and a provisioner. Source it after control-plane.sh; $work and $CHERRY_BIN are set.
node_address=10.0.0.1

start_controllers() {
  start kube-controller-manager kube-controller-manager --kubeconfig "$KUBECONFIG" --leader-elect=false \
    --service-account-private-key-file "$work/pki/accounts.key" --root-ca-file "$work/pki/apiserver.crt"
  start kube-scheduler kube-scheduler --kubeconfig "$KUBECONFIG" --leader-elect=false
}

node_files() {
  mkdir -p "$work/cni"
  cat > "$work/cni/10-pods.conflist" << JSON
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "dataDir": "$work/addresses", "ranges": [[{"subnet": "10.88.0.0/24"}]],
           "routes": [{"dst": "0.0.0.0/0"}]}}]}
JSON
  cat > "$work/containerd.toml" << TOML
version = 3
root = "$work/containerd"
state = "$work/containerd-state"
[grpc]
address = "$work/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "localhost/pause:1"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/usr/lib/cni"]
conf_dir = "$work/cni"
TOML
  cat > "$work/kubelet.yaml" << YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://$work/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
clusterDNS: ["$node_address"]
clusterDomain: cluster.local
podLogsDir: $work/pods
imageGCHighThresholdPercent: 100
evictionHard: {nodefs.available: 1Mi}
YAML
}

start_node() {
  node_files
  mount -t tmpfs tmpfs /run
  mount --make-rshared /
  ip addr add "$node_address/32" dev lo
  echo 1 > /proc/sys/net/ipv4/ip_forward
  start containerd containerd --config "$work/containerd.toml"
  within 60 ctr --address "$work/containerd.sock" version
  images
  start kubelet kubelet --config "$work/kubelet.yaml" --kubeconfig "$KUBECONFIG" --root-dir "$work/kubelet" \
    --cert-dir "$work/pki" --hostname-override node --node-ip "$node_address"
  start kube-proxy kube-proxy --kubeconfig "$KUBECONFIG" --hostname-override node --proxy-mode iptables \
    --cluster-cidr 10.88.0.0/24 --conntrack-max-per-core 0
}

# image NAME ROOT: a root file system becomes an image of the node's.
image() {
  local folder=$work/image layer
  mkdir -p "$folder"
  tar -C "$2" --owner 0 --group 0 --numeric-owner -cf "$folder/layer.tar" .
  layer=$(sha256sum "$folder/layer.tar" | cut -d ' ' -f 1)
  cat > "$folder/config.json" << JSON
{"architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/usr/bin/sleep", "infinity"], "Env": ["PATH=/usr/bin"]},
 "rootfs": {"type": "layers", "diff_ids": ["sha256:$layer"]}}
JSON
  echo "[{\"Config\": \"config.json\", \"RepoTags\": [\"$1\"], \"Layers\": [\"layer.tar\"]}]" > "$folder/manifest.json"
  tar -C "$folder" -cf - manifest.json config.json layer.tar |
    ctr --address "$work/containerd.sock" --namespace k8s.io images import -
  rm -rf "$folder"
}
# What a registry would hold: the images of deploy/docker that CHERRY_IMAGES has, else the programs and what they link.
images() {
  local name
  root_of "$work/pause" /usr/bin/sleep
  image localhost/pause:1 "$work/pause"
  if [ -n "${CHERRY_IMAGES:-}" ]; then
    for name in cherry-coordinator cherry-worker; do
      ctr --address "$work/containerd.sock" --namespace k8s.io images import "$CHERRY_IMAGES/$name.tar"
    done
    return
  fi
  root_of "$work/coordinator" "$CHERRY_BIN/cherry-coordinator" "$CHERRY_BIN/cherry"
  image docker.io/library/cherry-coordinator:0.1.0 "$work/coordinator"
  root_of "$work/worker" "$CHERRY_BIN/cherry-worker" "$CHERRY_BIN/cherry-trainer" "$CHERRY_BIN/cherry" /usr/bin/sleep
  image docker.io/library/cherry-worker:0.1.0 "$work/worker"
  rm -rf "$work/pause" "$work/coordinator" "$work/worker"
}

# serve_name SERVICE: its name, as a cluster's DNS knows it, once it has an address.
serve_name() {
  local address
  within 120 kubectl --namespace ml get service "$1"
  address=$(kubectl --namespace ml get service "$1" --output 'jsonpath={.spec.clusterIP}')
  exec dnsmasq --keep-in-foreground --no-resolv --no-hosts --listen-address "$node_address" --bind-interfaces --pid-file= \
    --user=root --address "/$1.ml.svc.cluster.local/$address"
}
# volume NAME SIZE MODE: a directory of this machine as a PersistentVolume.
volume() {
  mkdir -p "$work/volumes/$1"
  kubectl apply --filename - << YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: $1}
spec:
  capacity: {storage: $2}
  accessModes: [$3]
  local: {path: $work/volumes/$1}
  nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: [node]}]}]}}
YAML
}
