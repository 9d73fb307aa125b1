#!/usr/bin/env bash
# Images and compose file: built by buildah, then a cluster of runc containers as nobody's root (docs/containers.md)
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: tests/platforms/run.sh containers [--no-cuda] [--save FOLDER]

Runs the commands of docs/containers.md, with buildah instead of `docker build` and runc instead of `docker compose`: no
engine is needed. The base image is a bare Debian made by debootstrap. What runc is told comes out of the images and of
deploy/docker/compose.yaml. Needs root, debootstrap, buildah, runc, docker-compose, python3-yaml, and 15 GB (5 GB without
CUDA). The commands and their output are left in build/platforms/containers.txt.

  --no-cuda      leave the image with CUDA out
  --save FOLDER  put the images without CUDA there, for CHERRY_IMAGES=FOLDER tests/platforms/run.sh node
END
}

CUDA=1
SAVE=
while [ $# -gt 0 ]; do
  case $1 in
    --no-cuda) CUDA=0; shift ;;
    --save) SAVE=$(realpath -m "${2:?--save: give a folder}"); shift 2 ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
PAGE=$CHERRY_ROOT/docs/containers.md
COMPOSE=$CHERRY_ROOT/deploy/docker/compose.yaml
TRANSCRIPT=$WORK/containers.txt
STORE=$(mktemp -d "${TMPDIR:-/tmp}/cherry-containers-XXXXXX")
ID=cherry-$$
declare -A GRACE ROOTS
export BUILDAH_ISOLATION=chroot

buildah() { command buildah --root "$STORE/images" --runroot "$STORE/run" "$@"; }
runc() { command runc --root "$STORE/runc" "$@"; }

check_tools() {
  local tool
  can_make_root
  for tool in buildah runc docker-compose unshare ip; do
    if [ ! -x "$(type -P $tool)" ]; then fail "$tool is not there" "apt-get install buildah runc docker-compose util-linux iproute2"; fi
  done
  /usr/bin/python3 -c 'import yaml' 2> /dev/null || fail "python3-yaml is not there" "apt-get install python3-yaml"
  LOG=$STORE/compose.log
  # Debian's docker-compose is older than the key `name`.
  grep -v '^name:' "$COMPOSE" | (cd "${COMPOSE%/*}" && docker-compose -f - config) > "$LOG" 2>&1 ||
    fail "docker-compose does not accept compose.yaml" "mend it"
  DID="$(command buildah --version | cut -d' ' -f1-3), $(command runc --version | head -n 1); compose.yaml is valid"
}

import_base() {
  local container
  LOG=$STORE/base.log
  : > "$LOG"
  bare_root "$STORE/base"
  copy_settings
  { container=$(buildah from scratch) && buildah copy -q "$container" "$STORE/base" / &&
    buildah commit -q "$container" docker.io/library/debian:bookworm-slim && buildah rm "$container"; } >> "$LOG" 2>&1 ||
    fail "the base image cannot be made" "read the log"
  rm -rf --one-file-system "$STORE/base"
}

# ---- what the page's commands stand for here ----

# bundle NAME SERVICE IMAGE [-v HOST:CONTAINER:ro]... [ARGUMENT...]: a folder for runc; the grace goes to GRACE.
bundle() {
  local name=$1 service=$2 image=$3 folder=$STORE/bundles/$1 container mounts=()
  shift 3
  while [ "${1:-}" = -v ]; do mounts+=(--mount "$(realpath "${2%%:*}"):$(cut -d: -f2 <<< "$2")"); shift 2; done
  if [ -z "${ROOTS[$image]:-}" ]; then
    container=$(buildah from "localhost/$image")
    ROOTS[$image]=$(buildah mount "$container")
    buildah inspect --type image "localhost/$image" > "$STORE/${image//[:\/]/-}.json"
  fi
  rm -rf "$folder"
  mkdir -p "$folder"
  (cd "$folder" && runc spec)
  GRACE[$name]=$("$CHERRY_ROOT/tests/platforms/compose_bundle.py" "$COMPOSE" "$service" --inspect "$STORE/${image//[:\/]/-}.json" \
    --root "${ROOTS[$image]}" --state "$STORE/state" --netns "/proc/$NETWORK/ns/net" --bundle "$folder" "${mounts[@]}" -- "$@")
}
image_of() { /usr/bin/python3 -c 'import sys, yaml; print(yaml.safe_load(open(sys.argv[1]))["services"][sys.argv[2]]["image"])' "$COMPOSE" "$1"; }

# up SERVICE: in the background, its output in a file.
up() {
  bundle "$1" "$1" "$(image_of "$1")" || return 1
  runc run --detach --no-new-keyring --bundle "$STORE/bundles/$1" "$ID-$1" >> "$STORE/$1.log" 2>&1 < /dev/null
}
# stop SERVICE: SIGTERM, then SIGKILL when its grace is over, as an engine does. How long it took is in STOPPED.
stop() {
  local start=$EPOCHREALTIME end=$((SECONDS + GRACE[$1]))
  runc kill "$ID-$1" TERM
  while [ "$(runc state "$ID-$1" | grep -oE '"status": "[a-z]+"')" = '"status": "running"' ]; do
    if [ $SECONDS -ge $end ]; then fail "$1 did not stop within its grace of ${GRACE[$1]} s" "read $STORE/$1.log"; fi
    read -rt 0.1 <> <(:) || true
  done
  runc delete "$ID-$1"
  STOPPED=$(seconds_since "$start")
}
run_client() {
  local image
  image=$(image_of client)
  bundle client client "$image" "$@" || return 1
  runc run --no-new-keyring --bundle "$STORE/bundles/client" "$ID-client" < /dev/null
}

# Stands for the program in the commands of the page.
docker() {
  case "$*" in
    build\ *) buildah bud --quiet --format docker "${@:2}" ;;
    images) buildah images | grep -v '^docker.io' ;;
    compose\ up\ -d)
      mkdir -p "$STORE/state"
      chown 880:880 "$STORE/state"
      # Stands for the service `network`: nothing but a loopback.
      unshare --net bash -c 'ip link set lo up; exec sleep infinity' &
      NETWORK=$!
      disown   # its end is no news
      until [ "$(cat "/proc/$NETWORK/comm")" = sleep ]; do read -rt 0.1 <> <(:) || true; done
      up coordinator && up worker ;;
    compose\ run\ --rm\ *)
      local words=("${@:4}") options=()
      while [ "${words[0]}" = -v ]; do options+=("${words[@]:0:2}"); words=("${words[@]:2}"); done
      if [ "${words[0]}" != client ]; then echo "no service ${words[0]}"; return 1; fi
      run_client "${options[@]}" "${words[@]:1}" ;;
    compose\ stop\ worker) stop worker ;;
    compose\ start\ worker) up worker ;;
    compose\ down) stop worker && stop coordinator && kill -KILL "$NETWORK" ;;
    *) echo "the test does not know: docker $*"; return 1 ;;
  esac
}

# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
  local end=$((SECONDS + $1))
  until "${@:2}" > "$STORE/wait.log" 2>&1; do
    if [ $SECONDS -ge $end ]; then LOG=$STORE/wait.log; fail "not within $1 s: ${*:2}" "read $TRANSCRIPT"; fi
    read -rt 0.3 <> <(:) || true
  done
}
sees() { run_client "${@:2}" | grep -qE -- "$1"; }

# What the next command of the page finds done.
before() {
  case $1 in
    *'get workers') wait_for 60 healthy coordinator && wait_for 60 healthy worker && wait_for 60 sees READY get workers ;;
    *'stop worker') wait_for 300 sees RUNNING get jobs long ;;
    *'describe job long') wait_for 300 sees ' step [0-9]+/' logs long --attempt 2 ;;
  esac
}
# section NAME: every command of it, as it stands in the page.
section() {
  local command
  LOG=$STORE/command.log
  printf '\n## %s\n\n' "$1" >> "$TRANSCRIPT"
  cd "$CHERRY_ROOT"
  while IFS= read -ru 9 command; do
    if [ $CUDA = 0 ] && [[ $command == *--target\ cuda* ]]; then continue; fi
    before "$command"
    printf '# %s\n' "$command" >> "$TRANSCRIPT"
    LOG=$STORE/command.log
    eval "$command" > "$LOG" 2>&1 || fail "$command" "read the log"
    cat "$LOG" >> "$TRANSCRIPT"
  done 9< <(commands_of "$PAGE" "$1")
}
# expect WHAT COMMAND...: a check besides.
expect() { "${@:2}" > "$LOG" 2>&1 || fail "$1" "the check was: ${*:2}"; }
inside() { runc exec "$ID-$1" bash -c "$2" < /dev/null; }

# By the HEALTHCHECK of its image.
healthy() {
  local command
  command=$(/usr/bin/python3 -c 'import json, sys; print(*json.load(open(sys.argv[1]))["Docker"]["config"]["Healthcheck"]["Test"][1:])' \
    "$STORE/cherry-$1-0.1.0.json")
  inside "$1" "$command"
}

# ---- phases ----

build_images() {
  if ! ls "$CHERRY_ROOT"/build/packages/cherry-worker_*.deb > /dev/null 2>&1; then "$CHERRY_ROOT/deploy/package.sh" --quiet; fi
  section 'Build'
  DID=$(buildah images --format '{{.Name}}:{{.Tag}} {{.Size}}' | grep -v docker.io | sed 's/^localhost.//' | paste -sd, | sed 's/,/, /g')
}
only_volume_is_writable() {
  inside "$1" 'for folder in / /etc /usr/lib/cherry /tmp /var/tmp /run; do if touch $folder/x 2> /dev/null; then echo "$folder is writable"; exit 1; fi; done
    touch /var/lib/cherry/x && rm /var/lib/cherry/x && [ "$(id -u)" = 880 ] && grep -q "^CapBnd:.0*$" /proc/self/status && grep -q "^NoNewPrivs:.1" /proc/self/status'
}
no_zombies() { inside "$1" '! grep -hsE "^State:.Z" /proc/[0-9]*/status'; }
start_cluster() {
  section 'Run'
  expect 'nothing of the coordinator is writable but the volume' only_volume_is_writable coordinator
  expect 'nothing of the worker is' only_volume_is_writable worker
  expect 'the job has succeeded' sees SUCCEEDED get jobs first
  expect 'its checkpoint is whole' run_client checkpoint verify first:best
  DID=$(run_client get jobs first | tail -n 1 | tr -s ' ')
}
# The worker is process 1: what it kills it has to reap as well.
kill_a_rank() {
  LOG=$STORE/command.log
  expect 'a job is taken' run_client resubmit first --set name=killed --set train.steps=100000
  wait_for 300 sees RUNNING get jobs killed
  expect 'its rank dies' inside worker 'for folder in /proc/[0-9]*; do if [ "$(cat $folder/comm)" = cherry-trainer ]; then kill -KILL ${folder#/proc/}; exit; fi; done; exit 1'
  wait_for 300 sees '^ +2 +RUNNING' describe job killed
  expect 'the worker is process 1' inside worker '[ "$(cat /proc/1/comm)" = cherry-worker ]'
  expect 'no zombie is left' no_zombies worker
  expect 'it can be cancelled' run_client cancel killed
  DID='the job goes on, no zombie is left'
}
stop_and_resume() {
  section 'Stop, and go on'
  LOG=$STORE/command.log
  run_client logs long --attempt 1 > "$STORE/first.log"
  run_client logs long --attempt 2 > "$STORE/second.log"
  local saved resumed
  saved=$(grep -oE 'saved the checkpoint of step [0-9]+' "$STORE/first.log" | tail -n 1 | grep -oE '[0-9]+$')
  resumed=$(grep -m 1 -oE 'step [0-9]+/' "$STORE/second.log" | grep -oE '[0-9]+')
  [ "$resumed" -gt 1 ] && [ "$resumed" -ge "$saved" ] ||
    fail "the new container did not go on from step $saved: its first is $resumed" "compare $STORE/first.log and second.log"
  expect 'what it saved was committed' sees "CheckpointCommitted .*step $saved," describe job long
  DID="SIGTERM: a checkpoint of step $saved, gone after $STOPPED s; a new container logs step $resumed first"
}
check_cuda() {
  LOG=$STORE/cuda.log
  local service=client image=cherry-worker:0.1.0-cuda
  # Whatever libcherry_cuda.so needs is loaded, and all of it is found.
  bundle cuda $service $image -- || return 1
  in_cuda 'LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD=/usr/lib/cherry/libcherry_cuda.so /usr/bin/cherry-trainer' > "$LOG" 2>&1
  if grep -q 'not found' "$LOG" || ! grep -q libtorch_cuda.so "$LOG"; then fail "libraries of CUDA are missing in the image" "read the log"; fi
  in_cuda 'LD_PRELOAD=/usr/lib/cherry/libcherry_cuda.so /usr/bin/cherry-trainer version' > "$LOG" 2>&1 ||
    fail "the trainer does not start with libcherry_cuda.so" "read the log"
  DID="$(in_cuda 'cd /usr/local/lib/cherry && find -L torch/lib nvidia -name "*.so*" | wc -l') libraries of CUDA and torch; libcherry_cuda.so loads"
}
in_cuda() {
  /usr/bin/python3 - "$STORE/bundles/cuda/config.json" "$1" <<'END'
import json, sys
spec = json.load(open(sys.argv[1]))
spec["process"]["args"] = ["bash", "-c", sys.argv[2]]
json.dump(spec, open(sys.argv[1], "w"))
END
  runc run --no-new-keyring --bundle "$STORE/bundles/cuda" "$ID-cuda" < /dev/null
}
refuse_without_driver() {
  LOG=$STORE/command.log
  expect 'a job for GPUs is taken' run_client resubmit first --set name=gpu --set resources.device=cuda
  run_client explain gpu > "$LOG" 2>&1
  grep -q 'needs .* slots at once; 0 exist' "$LOG" || fail 'a job for GPUs does not say what it waits for' 'read the log'
  DID=$(head -n 1 "$LOG")
  run_client cancel gpu > "$LOG" 2>&1
}

down() {
  section 'Down'
  expect 'the data is kept' [ -e "$STORE/state/coordinator/CURRENT" ]
  DID='both stopped within their grace; the volume is kept'
}

save_images() {
  local name
  LOG=$STORE/save.log
  mkdir -p "$SAVE"
  for name in cherry-coordinator cherry-worker; do
    rm -f "$SAVE/$name.tar"
    buildah push --quiet "localhost/$name:0.1.0" "docker-archive:$SAVE/$name.tar:docker.io/library/$name:0.1.0" >> "$LOG" 2>&1 ||
      fail "$name cannot be saved" "read the log"
  done
  DID=$SAVE
}

cleanup() {
  local name
  cd /
  for name in coordinator worker client cuda; do runc delete --force "$ID-$name" 2> /dev/null || true; done
  if [ -n "${NETWORK:-}" ]; then kill -KILL "$NETWORK" 2> /dev/null || true; fi
  buildah umount --all > /dev/null 2>&1 || true
  buildah rm --all > /dev/null 2>&1 || true
  buildah rmi --all --force > /dev/null 2>&1 || true
  umount "$STORE/images/overlay" 2> /dev/null || true   # buildah's own
  if [ -n "${CHERRY_KEEP:-}" ]; then say "kept: $STORE"; else rm -rf --one-file-system "$STORE"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM
: > "$TRANSCRIPT"
phase 'tools' check_tools
phase 'base image' import_base
phase 'images' build_images
if [ -n "$SAVE" ]; then phase 'saved' save_images; fi
phase 'cluster' start_cluster
phase 'a killed rank' kill_a_rank
phase 'stop, resume' stop_and_resume
phase 'no driver' refuse_without_driver
if [ $CUDA = 1 ]; then phase 'CUDA' check_cuda; fi
phase 'down' down
say "commands and output: ${TRANSCRIPT#"$CHERRY_ROOT"/}"
