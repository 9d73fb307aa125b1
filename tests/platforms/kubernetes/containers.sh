# shellcheck shell=bash disable=SC2154,SC2086,SC2016
# The chart's pods under runc, as its manifests describe them, without a kubelet: their user, read-only root, seccomp,
# volumes, certificates, addresses and limits. Sourced by tests/platforms/helm.sh.
image=$work/root pods='cherry-coordinator-0 cherry-cpu-0 cherry-cpu-1 cherry-client'

# network NAME ADDRESS: a pod's network, on a bridge that stands for the cluster's.
network() {
  ip netns add "$1"
  ip link add "port${2##*.}" type veth peer name eth0 netns "$1"
  ip link set "port${2##*.}" master pods up
  ip -n "$1" link set lo up
  ip -n "$1" addr add "$2/24" dev eth0
  ip -n "$1" link set eth0 up
  echo "$2 $1" >> "$work/hosts"
}
secret_of() {  # SECRET CERTIFICATE: what `kubectl create secret generic` of docs/kubernetes.md makes of it.
  mkdir -p "$work/secrets/$1"
  cp "tls/$2.pem" "$work/secrets/$1/tls.crt"
  cp "tls/$2.key" "$work/secrets/$1/tls.key"
  cp tls/ca.pem "$work/secrets/$1/ca.crt"
}
run_pod() {
  runc run --detach --bundle "$work/pods/$1" "$1" < /dev/null >> "$work/$1.log" 2>&1
}
ended() { [[ $(runc state "$1" 2>&1) != *'"status": "running"'* ]]; }
# stop_pod POD: SIGTERM, and as long as its manifest gives it.
stop_pod() {
  runc kill "$1" TERM
  within "$(cat "$work/pods/$1/grace")" ended "$1"
  runc delete "$1"
}
as_me() {
  runc exec cherry-client cherry --tls-cert /etc/cherry/tls/tls.crt --tls-key /etc/cherry/tls/tls.key \
    --tls-ca /etc/cherry/tls/ca.crt "$@"
}
probe() { curl --silent --fail --max-time 4 "http://$1/metrics" | grep '^cherry_'; }
cannot_write() { ! runc exec "$1" /usr/bin/touch /usr/bin/new 2> "$work/touch.out" && grep 'Read-only' "$work/touch.out"; }
process() { runc state "$1" | sed -nE 's/^ *"pid": ([0-9]+),/\1/p'; }
is_user() {
  local status
  status=$(awk '/^(Uid|CapEff|NoNewPrivs|Seccomp):/ {printf "%s ", $2}' "/proc/$(process "$1")/status")
  has '^880 0000000000000000 1 2 $' "$status"
}
own_certificate() {
  local pod_root
  pod_root=/proc/$(process "$1")/root
  [ "$(find "$pod_root/etc/cherry/" -type f | wc -l)" = 3 ] && openssl x509 -in "$pod_root/etc/cherry/tls/tls.crt" -noout -subject | grep "CN = $1"
}

root_of "$image" "$CHERRY_BIN/cherry-coordinator" "$CHERRY_BIN/cherry-worker" "$CHERRY_BIN/cherry-trainer" \
  "$CHERRY_BIN/cherry" /usr/bin/sleep /usr/bin/touch > "$work/root.log" 2>&1
mount -t tmpfs tmpfs /run
ip link set lo up
ip link add pods type bridge
ip addr add 10.88.0.1/24 dev pods
ip link set pods up
# The Service's name is the pod's address here.
network cherry-coordinator-0 10.88.0.10
echo '10.88.0.10 cherry-coordinator' >> "$work/hosts"
network cherry-cpu-0 10.88.0.20
network cherry-cpu-1 10.88.0.21
network cherry-client 10.88.0.30
deploy/certificates.sh tls cherry-coordinator cherry-cpu-0 cherry-cpu-1 > "$work/certificates.log"
secret_of cherry-coordinator-tls coordinator
secret_of cherry-client-tls me
for name in cherry-cpu-0 cherry-cpu-1; do secret_of $name-tls $name; done
helm template cherry $chart --namespace ml > "$work/manifests.yaml"
must 'manifests become bundles' /usr/bin/python3 "$here/kubernetes/bundles.py" "$work/manifests.yaml" "$work"
for pod in $pods; do run_pod $pod; done
must 'both workers join over mutual TLS' within 60 workers READY 2
as_me get workers
check "the coordinator's probes answer" probe 10.88.0.10:7071
check "a worker's too" probe 10.88.0.20:7072
for pod in $pods; do
  check "$pod runs as user 880, without capabilities, under seccomp" is_user $pod
  check 'and cannot write to its image' cannot_write $pod
done
check 'a worker sees its own certificate alone' own_certificate cherry-cpu-1

shared=$work/volumes/cherry-data
corpus "$shared"
job "$shared" across 150
job "$shared" moved 100000
as_me data prepare --name ko --vocab 400 --valid-share 0.2 /srv/cherry/corpus > "$work/prepare.log" 2>&1
as_me submit /srv/cherry/across.yaml
must 'a job trains over two pods' within 120 at_step across 20
stop_pod cherry-coordinator-0
run_pod cherry-coordinator-0
must "the coordinator's pod is back" within 60 workers READY 2
check 'the job, which went on without it, succeeds' as_me watch across --timeout 5m
check 'in one attempt' attempts across 1

as_me submit /srv/cherry/moved.yaml
must 'another job trains' within 120 at_step moved 5
check "a worker's pod that is told to go ends within its grace" stop_pod cherry-cpu-1
check 'and leaves a checkpoint' within 30 saved moved
check 'of a job that was preempted, not killed' within 30 preempted moved
run_pod cherry-cpu-1
check 'the job goes on when the pod is back' within 60 attempts moved 2
as_me get jobs
