# shellcheck shell=bash disable=SC2154
# An API server with its etcd, as apiserver.sh and node.sh have it. Source it; $work and $KUBECONFIG are set.

start() {  # NAME COMMAND...: in the background, with a log.
  "${@:2}" > "$work/$1.log" 2>&1 &
}

start_api() {  # ARGUMENT...: more of kube-apiserver's
  mkdir -p "$work/pki"
  ip link set lo up
  openssl genrsa -out "$work/pki/accounts.key" 2048 2> "$work/openssl.log"
  echo 'everything,admin,admin,system:masters' > "$work/pki/tokens"
  cat > "$KUBECONFIG" << YAML
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $work/pki/apiserver.crt}}]
users: [{name: all, user: {token: everything}}]
contexts: [{name: here, context: {cluster: here, user: all}}]
current-context: here
YAML
  start etcd etcd --data-dir "$work/etcd" --log-level error
  start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --bind-address 127.0.0.1 \
    --advertise-address 127.0.0.1 --endpoint-reconciler-type none --cert-dir "$work/pki" --token-auth-file "$work/pki/tokens" \
    --authorization-mode RBAC --service-cluster-ip-range 10.96.0.0/16 --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://kubernetes.default.svc --service-account-key-file "$work/pki/accounts.key" \
    --service-account-signing-key-file "$work/pki/accounts.key" "$@"
}
