#!/usr/bin/env bash
# The shipped Prometheus configuration, rules and boards on a real cluster over mutual TLS that runs every kind of job,
# scraped plainly and as a ServiceMonitor relabels: every query has values, and five alerts fire because of what happens.
# Usage: monitoring.sh BIN_DIRECTORY
set -uo pipefail
bin=$1
export PATH=$bin:$PATH
here=$(cd "$(dirname "$0")" && pwd)
shipped=$here/../../deploy/prometheus
prometheus=${CHERRY_DEPS:-$HOME/.cache/cherry/deps}/bin/prometheus
promtool=${prometheus%/*}/promtool
queries=$here/../monitoring/queries.py
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((15000 + RANDOM % 1000 * 10))
export CHERRY_COORDINATOR=localhost:$port
declare -A pid
cleanup() {
  kill -CONT "${pid[@]}" 2> /dev/null
  kill "${pid[@]}" 2> /dev/null
  wait
  umount "$work/home/checkpoints" 2> /dev/null
  rm -rf "$work"
}
trap cleanup EXIT
source "$here/../checks.sh"
source "$here/../certificates.sh"

certificates() {
  cd "$work" && authority && certificate coordinator /CN=localhost && certificate kim /OU=submitter/CN=kim &&
    certificate w0 /OU=worker/CN=w0 5 && certificate w1 /OU=worker/CN=w1
}
tls() { printf '%s\n' --tls-cert "$work/$1.pem" --tls-key "$work/$1.key" --tls-ca "$work/ca.pem"; }
as_kim() { cherry $(tls kim) "$@"; }

start_coordinator() {
  cherry-coordinator --listen "127.0.0.1:$port" --metrics-address "127.0.0.1:$((port + 1))" --lease 5s $(tls coordinator) \
    > "$work/coordinator.log" 2>&1 &
  pid[coordinator]=$!
}
# start_worker NAME METRICS_PORT
start_worker() {
  on_core "${1#w}" cherry-worker --name "$1" --slots 1 --address 127.0.0.1 --metrics-address "127.0.0.1:$2" $(tls "$1") > "$work/$1.log" 2>&1 &
  pid[$1]=$!
}
# start_prometheus NAME PORT EXTRA_LABELS: the shipped files with these targets, and minutes become seconds.
start_prometheus() {
  local folder=$work/$1
  mkdir "$folder"
  cp "$shipped/recording.yml" "$folder"
  sed -E 's/\[15m\]/[8s]/; s/>= 10$/>= 4/; s/> 2 \* 3600/> 6/; s/for: [0-9]+m/for: 1s/' "$shipped/alerts.yml" > "$folder/alerts.yml"
  sed -E "s|15s|1s|; s|30s|1s|; s|127.0.0.1:7071\"\]|127.0.0.1:$((port + 1))\"], labels: {$3}|" "$shipped/prometheus.yml" \
    > "$folder/prometheus.yml"
  printf -- '- targets: ["127.0.0.1:%d", "127.0.0.1:%d"]\n  labels: {%s}\n' $((port + 2)) $((port + 3)) "$3" > "$folder/workers.yml"
  "$prometheus" --config.file "$folder/prometheus.yml" --storage.tsdb.path "$folder/data" \
    --web.listen-address "127.0.0.1:$2" > "$folder.log" 2>&1 &
  pid[$1]=$!
}

check 'the configuration is sound' "$promtool" check config "$shipped/prometheus.yml"
check 'rules fire where they should, and are silent where not' "$promtool" test rules "$here/../monitoring/alerts_test.yml"
check 'boards are what their source says' /usr/bin/python3 "$here/../../deploy/grafana/boards.py" --check
check "Grafana's types know every field of the boards" env PYTHONPATH="${CHERRY_DEPS:-$HOME/.cache/cherry/deps}/site" \
  /usr/bin/python3 "$here/../monitoring/sdk_round_trip.py" "$here"/../../deploy/grafana/boards/*.json
for alert in $(sed -n 's/.*runbook: //p' "$shipped/alerts.yml"); do
  check "there is $alert" [ -s "$here/../../$alert" ]
done

mkdir -p "$work/text" "$CHERRY_HOME/checkpoints"
mount -t tmpfs -o size=400m tmpfs "$CHERRY_HOME/checkpoints" 2> /dev/null && full=1 || full=0
for i in $(seq 80); do
  printf '문서 %d. 2024년 3월 %d일에 저장하려면 파일 메뉴를 엽니다. 그러므로 한국은행에서 %d원을 보냅니다.\n' "$i" "$i" "$((i * 100))" \
    > "$work/text/$i.txt"
done
(certificates) > "$work/openssl.log" 2>&1 || { cat "$work/openssl.log"; exit 1; }
since=$EPOCHSECONDS
start_coordinator
start_worker w0 $((port + 2))
start_worker w1 $((port + 3))
start_prometheus plain $((port + 4)) 'cluster: a'
start_prometheus relabelled $((port + 5)) 'job: ml/release-cherry, namespace: ml, service: release-cherry, pod: release-cherry-0, endpoint: metrics'
plain=http://127.0.0.1:$((port + 4)) relabelled=http://127.0.0.1:$((port + 5))
check 'the coordinator answers' as_kim --timeout 30s get jobs
[ $failed = 0 ] || { cat "$work"/*.log; exit 1; }
as_kim data prepare --name ko --vocab 400 --valid-share 0.2 --rules ko "$work/text" > "$work/prepare.log" 2>&1 || { cat "$work/prepare.log"; exit 1; }

train='train: {steps: 30, sequence_length: 64, global_batch_size: 8, micro_batch_size: 8}
validation: {every_steps: 5}
checkpoint: {every_steps: 10}'
cat > "$work/base.yaml" <<END
kind: pretrain
name: base
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
$train
END
cat > "$work/chosen.yaml" <<END
kind: sgt
name: chosen
from: {job: base}
sgt: {selector: rule, budget: 0.3, anchor: 1, coupling_every: 5}
$train
END
cat > "$work/small.yaml" <<END
kind: compress
name: small
from: {job: base}
compress: {layers: 2, method: first, unroll: {schedule: "1x2 + 1"}}
$train
END
cat > "$work/both.yaml" <<END
kind: fuse
name: both
experts: [{job: base}, {job: chosen}]
multi_token: {depth: 1}
$train
END
cat > "$work/verdict.yaml" <<END
kind: evaluate
name: verdict
evaluate: {baseline: {job: base}, models: [{job: both}, {job: chosen}]}
END
(cd "$work" && for kind in base chosen small both verdict; do cat $kind.yaml && echo ---; done) > "$work/kinds.yaml"
check 'every kind of job succeeds' as_kim submit "$work/kinds.yaml" --wait --timeout 400s
[ $failed = 0 ] || exit 1

# shown NAME PATTERN: what only this kind of job has. A job of 30 steps may be over before a scrape; this one waits for it.
shown() {
  local url missing=0
  as_kim submit "$work/$1.yaml" --set train.steps=100000 --name "$1-shown" || return 1
  for url in "$plain" "$relabelled"; do "$queries" seen "$url" $since "$2" || missing=1; done
  as_kim cancel "$1-shown" && return $missing
}
check 'token selection shows its gradients, its wave and its kinds of tokens' shown chosen 'coupling|cherry_job_wave|valid_'
check 'compression shows what is recovered' shown small recovery
check 'fusion shows its experts, routers and drafts' shown both 'expert|router|draft'

cat > "$work/long.yaml" <<END
kind: pretrain
name: long
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: 100000, sequence_length: 128, global_batch_size: 16, micro_batch_size: 16}
checkpoint: {every_steps: 10}
END
check 'a certificate of five days is found' "$queries" firing "$plain" CherryCertificateExpiring
check 'else there is no trouble' "$queries" silent "$plain" CherryWorkerLost CherryJobStalled CherryRootFull CherryCoordinatorDown
{ kill -KILL "${pid[w1]}" && wait "${pid[w1]}"; } 2> /dev/null
check 'a dead worker is found' "$queries" firing "$plain" CherryWorkerLost
start_worker w1 $((port + 3))
check 'and its return' "$queries" silent "$plain" CherryWorkerLost
as_kim submit "$work/long.yaml" > "$work/long.log" 2>&1
runs() { as_kim get jobs long | grep -q ' RUNNING '; }  # Since its first step.
find_trainer() { trainer=$(pgrep -P "${pid[w0]}" cherry-trainer || pgrep -P "${pid[w1]}" cherry-trainer); }
until as_kim get checkpoints long 2> /dev/null | grep -q COMMITTED; do read -rt 0.2 <> <(:); done
find_trainer
kill -KILL "$trainer"  # An attempt that ends, and another.
while runs; do read -rt 0.1 <> <(:); done
until runs; do read -rt 0.2 <> <(:); done
find_trainer
kill -STOP "$trainer"
check 'a job that stands still is found, and that it saves nothing' "$queries" firing "$plain" CherryJobStalled CherryCheckpointStale
kill -CONT "$trainer"
check 'and that it goes on' "$queries" silent "$plain" CherryJobStalled
if [ $full = 1 ]; then
  dd if=/dev/zero of="$CHERRY_HOME/checkpoints/filling" bs=1M > "$work/dd.log" 2>&1
  check 'a full root is found' "$queries" firing "$plain" CherryRootAlmostFull CherryRootFull
  rm "$CHERRY_HOME/checkpoints/filling"
  check 'and that it has room again' "$queries" silent "$plain" CherryRootFull
else
  echo 'left out: a full root needs a tmpfs, which needs root'
fi
as_kim cancel long > "$work/cancel.log" 2>&1

check 'every panel and rule has values' "$queries" data "$plain" $since
check 'and where a ServiceMonitor relabels' "$queries" data "$relabelled" $since
{ kill -KILL "${pid[coordinator]}" && wait "${pid[coordinator]}"; } 2> /dev/null
check 'a coordinator that is gone is found' "$queries" firing "$plain" CherryCoordinatorDown
exit $failed
