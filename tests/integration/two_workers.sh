#!/usr/bin/env bash
# Two workers and the client over mutual TLS: a job whose ranks are on both ends as it would on one worker, and a
# rank that hangs is found, killed and replaced. Usage: two_workers.sh BIN_DIRECTORY
set -uo pipefail
bin=$1
export PATH=$bin:$PATH
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((20000 + RANDOM % 5000 * 2))
export CHERRY_COORDINATOR=localhost:$port
pids=()
cleanup() {
  kill "${pids[@]}" 2> /dev/null
  wait
  rm -rf "$work"
}
trap cleanup EXIT
source "$(dirname "$0")/../checks.sh"
source "$(dirname "$0")/../certificates.sh"

certificates() {
  cd "$work" && authority && certificate coordinator /CN=localhost && certificate kim /OU=submitter/CN=kim &&
    certificate w0 /OU=worker/CN=w0 && certificate w1 /OU=worker/CN=w1
}
tls() { printf '%s\n' --tls-cert "$work/$1.pem" --tls-key "$work/$1.key" --tls-ca "$work/ca.pem"; }
as_kim() { cherry $(tls kim) "$@"; }

start() {
  local n
  cherry-coordinator --listen "127.0.0.1:$port" --metrics-address none $(tls coordinator) > "$work/coordinator.log" 2>&1 &
  pids+=($!)
  for n in 0 1; do
    on_core $n cherry-worker --name w$n --slots 1 --address 127.0.0.1 --metrics-address 127.0.0.1:0 $(tls w$n) \
      > "$work/w$n.log" 2>&1 &
    pids+=($!)
  done
}

for i in $(seq 60); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
    > "$work/$i.txt"
done
(certificates) > "$work/openssl.log" 2>&1 || { cat "$work/openssl.log"; exit 1; }
start
check 'the client sees the coordinator' as_kim --timeout 30s get jobs
as_kim data prepare --name ko --vocab 400 --valid-share 0.2 "$work"/*.txt > "$work/prepare.log" 2>&1 || { cat "$work/prepare.log"; exit 1; }
job() {
  cat > "$work/$1.yaml" <<END
kind: pretrain
name: $1
resources: {ranks: 2}
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: $2, sequence_length: 32, global_batch_size: 8, micro_batch_size: 2, deterministic: true}
checkpoint: {every_steps: 20}
END
}

job across 20
check 'a job on both workers succeeds' as_kim submit "$work/across.yaml" --wait --timeout 120s
check 'its ranks were on w0 and w1' has 'w0.*w1' "$(as_kim describe job across | tr '\n' ' ')"
check 'without a certificate nobody gets in' bash -c "! cherry --tls-ca '$work/ca.pem' --timeout 3s get jobs"
check 'a submitter may not cordon' has 'ROLE_MISSING|role' "$(as_kim worker cordon w0 2>&1)"

# Stopped, a rank says nothing and its peer waits for it in a collective.
job hung 500  # Long enough to be met on any machine.
check 'another job is taken' as_kim submit "$work/hung.yaml"
timeout 60 cherry $(tls kim) watch hung > "$work/watch.log" 2>&1 &
watch=$!
until grep -q 'step ' "$work/watch.log" || ! kill -0 $watch 2> /dev/null; do read -rt 0.1 <> <(:); done
rank=$(pgrep -P "${pids[1]}" -f cherry-trainer | head -n 1)
kill -STOP "$rank"
check 'the job goes on without it' as_kim watch hung --timeout 180s
check 'a hang was the cause' has 'hang' "$(as_kim describe job hung)"
check 'the stopped process is gone' bash -c "! kill -0 $rank"
exit $failed
