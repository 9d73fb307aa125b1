#!/usr/bin/env bash
# deploy/slurm/ on a real Slurm: munged, slurmctld and two slurmd in namespaces of their own on this machine. Runs every
# command of docs/slurm.md, in order. Needs root. Usage: slurm.sh; CHERRY_BIN: the programs, default build/release/bin.
# shellcheck disable=SC1091,SC2034,SC2016,SC2086,SC2154,SC2317
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=${here%/tests/platforms}
export CHERRY_BIN=${CHERRY_BIN:-$root/build/release/bin}

if [ "${1:-}" != inside ]; then
  source "$here/../lib.sh"
  [ "$(id -u)" = 0 ] || fail 'not root' 'run it as root: it makes namespaces'
  [ -x "$CHERRY_BIN/cherry-worker" ] || fail "no programs in $CHERRY_BIN" 'run ./tests/run.sh, or give CHERRY_BIN'
  install_slurm() {
    # Each: `command -v` of several is content with one.
    for program in slurmctld slurmd srun munged ip openssl; do
      command -v $program > /dev/null && continue
      apt-get update
      apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge iproute2 openssl
      return
    done
  }
  # A node's /tmp, /run and /srv are its own.
  for path in "$root" "$CHERRY_BIN"; do
    case $(realpath "$path")/ in
      /tmp/* | /run/* | /srv/*) fail "the nodes would not see $path" 'put it elsewhere than in /tmp, /run or /srv' ;;
    esac
  done
  # The cgroups of slurmd are the machine's: one run at a time. The lock goes with the last process of the run.
  exec 9> /var/tmp/cherry-slurm.lock
  flock --timeout 900 9 || fail 'another run has not ended for 15 minutes' 'wait for it, or end it'
  logged 'install slurm' install_slurm
  # Processes, network, mounts: all ends with this command.
  exec unshare --mount --net --pid --uts --ipc --fork --kill-child --mount-proc "$0" inside
fi

work=$(mktemp -d /var/tmp/cherry-slurm.XXXXXX)
trap finish EXIT
cgroups() { find /sys/fs/cgroup -depth -type d -path '*slurm*_node[12]*'; }
finish() {
  local code=$?
  set +e
  if [ $code != 0 ] || [ "${failed:-0}" != 0 ]; then
    tail -n 20 /var/log/slurm/*.log /srv/slurm-*.out "$work"/*.log 2> /dev/null | cut -c 1-220 | sed 's/^/  | /'
  fi
  exec 2> /dev/null  # Bash tells of each child.
  kill -KILL -1 && wait  # All of this process namespace but this shell.
  local until=$((SECONDS + 10))
  until [ -z "$(cgroups)" ] || [ $SECONDS -ge $until ]; do cgroups | xargs -r rmdir; done  # Empty when all are reaped.
  umount /etc/hosts
  rm -rf "$work"
  exit $((code != 0 ? code : ${failed:-0}))
}
source "$here/../checks.sh"

page=$root/docs/slurm.md
source "$here/lib-documented.sh"

has_network() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
namespace() {  # NODE ADDRESS
  mkdir -p "/var/lib/slurm/slurmd-$1"
  mkfifo "/run/plugged-$1"
  # Its own network, /tmp and shared memory: what a job leaves there can be told.
  # shellcheck disable=SC2016
  unshare --mount --net --uts --ipc bash -c '
    hostname "$0"
    mount -t tmpfs tmpfs /tmp && mount -t tmpfs tmpfs /dev/shm
    read -r < /run/plugged-"$0"
    ip link set lo up && ip addr add "$1/24" dev eth0 && ip link set eth0 up && exec slurmd -D -N "$0"' "$1" "$2" \
    > "$work/slurmd-$1.log" 2>&1 &
  node_pid[$1]=$!
  within 20 has_network "${node_pid[$1]}"
  ip link add "port-$1" type veth peer name eth0 netns "/proc/${node_pid[$1]}/ns/net"
  ip link set "port-$1" master cables up
  echo > "/run/plugged-$1"
}

start_slurm() {
  local folder
  for folder in /run /srv /tmp /dev/shm /etc/slurm /var/lib/slurm /var/log/slurm; do
    mkdir -p $folder
    mount -t tmpfs tmpfs $folder
  done
  mknod /run/gpu0 c 195 0
  mknod /run/gpu1 c 195 1
  hostname head
  printf '127.0.0.1 localhost\n10.0.0.1 head\n10.0.0.11 node1\n10.0.0.12 node2\n' > "$work/hosts"
  mount --bind "$work/hosts" /etc/hosts
  cp "$here"/slurm/*.conf /etc/slurm/
  mkdir -p /run/munge /var/lib/slurm/slurmctld
  ip link set lo up
  ip link add cables type bridge
  ip addr add 10.0.0.1/24 dev cables
  ip link set cables up
  (umask 077; head -c 1024 /dev/urandom > /run/munge.key)
  munged --foreground --force --key-file /run/munge.key --pid-file /run/munge/munged.pid --log-file "$work/munged.log" \
    --seed-file /run/munge/munged.seed > "$work/munged.out" 2>&1 &
  within 20 munge -n > "$work/munge.log"
  slurmctld -D > "$work/slurmctld.out" 2>&1 &
  namespace node1 10.0.0.11
  namespace node2 10.0.0.12
}
declare -A node_pid

idle() { [ "$(sinfo --noheader --format=%D --states=idle)" = "$1" ]; }
slurm_job_is() { [[ $(scontrol --oneliner show job "$1") == *" JobState=$2 "* ]]; }
requeued() { [[ $(scontrol --oneliner show job "$1") == *' Restarts=1 '* ]]; }
gone() { [ -z "$(squeue --noheader --jobs "$1" 2> /dev/null)" ]; }
workers() { [ "$(as_me get workers | grep -c " $1 ")" = "$2" ]; }
slots() { [ "$(as_me get workers -o json | grep -c '"device"')" = "$1" ]; }
job_is() { as_me get jobs "$1" | grep " $2 "; }
runs() { job_is "$1" RUNNING; }
step_of() { as_me get jobs "$1" | awk 'NR == 2 {split($5, step, "/"); print step[1] + 0}'; }
at_step() { [ "$(step_of "$1")" -ge "$2" ]; }
checkpoints() { as_me get checkpoints "$1" -o name; }
saved_since() { [ "$(checkpoints "$2")" != "$1" ]; }
committed() { as_me get checkpoints "$1" | grep COMMITTED; }

# What a job of Slurm, with its id, left on the nodes and here.
nothing_left() {
  local node left=0 environment
  for environment in /proc/[0-9]*/environ; do
    if tr '\0' '\n' 2> /dev/null < "$environment" | grep -qx "SLURM_JOB_ID=$1"; then
      echo "process $environment: $(tr '\0' ' ' < "${environment%environ}cmdline")"
      left=1
    fi
  done
  for node in node1 node2; do
    within 5 bash -c "! find /sys/fs/cgroup -path '*_$node/*/job_$1*' -name cgroup.procs | grep ." || left=1
    nsenter --target "${node_pid[$node]}" --mount --net bash -c '
      ! find /tmp /dev/shm -mindepth 1 | grep . && ! ss -Htulpanx state all | grep cherry' || left=1
    [ -z "$(find "/var/lib/slurm/slurmd-$node" -name "job*$1*")" ] || { find "/var/lib/slurm/slurmd-$node"; left=1; }
    [ -z "$(find "$CHERRY_HOME/worker-$node/ranks" -type f)" ] || { ls "$CHERRY_HOME/worker-$node/ranks"; left=1; }
  done
  return $left
}

something_left() { ! nothing_left "$1"; }

pretrain() {  # NAME STEPS
  cat > "/srv/$1.yaml" <<EOF
kind: pretrain
name: $1
resources: {ranks: 2, ranks_per_host: 1}
model: {preset: tiny}
data: {train: ko/train, valid: ko/valid}
train: {steps: $2, sequence_length: 64, global_batch_size: 8, micro_batch_size: 4, deterministic: true}
validation: {every_steps: 100000}
checkpoint: {every_steps: 100000}
EOF
}
# The directory of a job's checkpoint.
saved() {  # JOB STEP
  local uid
  uid=$(as_me get job "$1" -o json | sed -nE 's/^ *"uid": *"(.*)",?$/\1/p' | head -n 1)
  echo /srv/cherry/checkpoints/*/"$uid"/epoch-*/step-"$(printf %08d "$2")"
}
same_weights() {  # JOB JOB STEP
  local one other file
  one=$(saved "$1" "$3") other=$(saved "$2" "$3")
  for file in "$one"/*.safetensors; do
    cmp "$file" "$other/${file##*/}" && sha256sum "$file" "$other/${file##*/}"
  done
}

start_slurm > "$work/start.log" 2>&1
must 'slurmctld has both nodes' within 60 idle 2
ln -s "$root/deploy" /srv/deploy
cd /srv
export PATH=$CHERRY_BIN:$PATH

mkdir /srv/corpus /srv/cherry
for i in $(seq 60); do
  printf '문서 %d. 저장하려면 파일 메뉴를 엽니다.\nThis is sentence %d of a small text about files and menus.\n' "$i" "$i" \
    > "/srv/corpus/$i.txt"
done
pretrain across 150
pretrain preempted 150
pretrain limited 100000

documented 'export CHERRY_HOME=/srv/cherry'
documented 'deploy/certificates.sh'
documented 'cherry-coordinator'
documented 'as_me()'
must 'the coordinator answers' as_me --timeout 30s get jobs
documented 'as_me data prepare' > "$work/prepare.log"
documented 'job=$(sbatch'
must 'two workers join' within 60 workers READY 2
documented 'squeue'
documented 'as_me get workers'
documented 'as_me submit /srv/across.yaml'
check 'a job of two ranks succeeds' job_is across SUCCEEDED
documented 'as_me describe job across'
check 'on both nodes' has 'node1.*node2' "$(as_me describe job across | tr '\n' ' ')"

documented 'as_me submit /srv/preempted.yaml'
must 'it trains' within 60 at_step preempted 20
documented 'urgent=$(sbatch'
check 'the urgent job gets the nodes' within 120 slurm_job_is "$urgent" RUNNING
documented 'squeue'
check 'the workers are back in the queue' slurm_job_is "$job" PENDING
check 'they left a checkpoint' committed preempted
documented 'as_me get jobs preempted'
check 'which is not the last' [ "$(step_of preempted)" -lt 150 ]
check 'and waits' job_is preempted PENDING
documented 'scancel'
documented 'as_me watch preempted'
check 'it goes on and succeeds' job_is preempted SUCCEEDED
check 'in two attempts' has '1 +ENDED +preempted' "$(as_me describe job preempted)"
check 'Slurm started the workers twice' has 'Restarts=1' "$(scontrol show job "$job")"
check 'its weights are bitwise those of the undisturbed one' same_weights across preempted 150

documented 'as_me submit /srv/limited.yaml'
must 'another trains' within 60 at_step limited 5
check 'the search for what a job leaves finds it while it runs' something_left "$job"
documented 'scancel'
check 'Slurm is rid of the workers' within 60 gone "$job"
check 'they saved a checkpoint first' committed limited
check 'the coordinator sees them gone' within 30 workers READY 0
documented 'as_me get workers'
check 'nothing is left of them' nothing_left "$job"
before=$(checkpoints limited)

documented 'job=$(sbatch'
must 'workers join with a slot for each GPU' within 60 slots 4
must 'the training goes on' within 60 runs limited
must 'before the time limit the job goes back to the queue' within 180 requeued "$job"
check 'when its workers had saved a checkpoint' saved_since "$before" limited
documented 'scontrol show job'
documented 'as_me get checkpoints limited'
scancel "$job"
check 'and leaves it when cancelled' within 60 gone "$job"
check 'every command of docs/slurm.md ran' [ $next = ${#commands[@]} ]
exit "$failed"
