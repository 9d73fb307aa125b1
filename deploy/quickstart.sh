#!/usr/bin/env bash
# From a bare Debian 12 to the whole method on real Korean text: installs, builds, prepares the text, runs the pipeline
# examples/cherry-mini.yaml, watches it, samples with drafts, reports, and checks with a real Prometheus that the metrics
# arrive.
set -euo pipefail
source "$(dirname "$0")/lib.sh"

usage() {
  cat <<'END'
usage: deploy/quickstart.sh [--keep] [--home DIR] [--port P]

  --keep      leave the cluster running at the end
  --home DIR  where the cluster keeps everything (default: build/quickstart/home)
  --port P    of the coordinator (default: 7070, or the next free one)
END
}

WORK=$CHERRY_ROOT/build/quickstart
BUILD=$CHERRY_ROOT/build/release
KEEP=0 PORT=
export CHERRY_HOME=$WORK/home
while [ $# -gt 0 ]; do
  case $1 in
    --keep) KEEP=1 ;;
    --home) CHERRY_HOME=$(realpath -m "$2"); shift ;;
    --port) PORT=$2; shift ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
export PATH=$BUILD/bin:$PATH

port_is_free() { ! (exec 3<> "/dev/tcp/127.0.0.1/$1") 2> /dev/null; }

build_programs() {
  LOG=$WORK/build.log
  cd "$CHERRY_ROOT"
  cmake --preset release -DCHERRY_TESTS=OFF > "$LOG" 2>&1 || fail "cmake failed" "run deploy/setup.sh, then this script again"
  cmake --build "$BUILD" --target cherry cherry-coordinator cherry-worker cherry-trainer 2>&1 |
    tee -a "$LOG" | show_build_progress ||
    fail "the build failed" "read the log above the error; 'rm -r $BUILD' starts afresh"
  DID="4 programs in ${BUILD#"$CHERRY_ROOT"/}/bin"
}

show_build_progress() {
  local line
  while read -r line; do
    if draws_progress && [[ $line =~ ^\[([0-9]+)/([0-9]+)\]\ (.*) ]]; then
      bar $((BASH_REMATCH[1] * 100 / BASH_REMATCH[2])) "${BASH_REMATCH[3]}"
    fi
  done
}

extract_corpus() {
  LOG=$WORK/corpus.log
  "$CHERRY_ROOT/deploy/corpus.sh" "$WORK/corpus" > "$LOG" 2>&1 ||
    fail "the Korean text could not be made" "check the network, then run this script again"
  DID=$(tail -n 1 "$LOG" | sed -E 's/^.* s  //')
}

start_cluster() {
  LOG=$WORK/cluster.log
  if ! cherry local status > "$LOG" 2>&1; then
    if [ -z "$PORT" ]; then
      PORT=7070
      while ! port_is_free $PORT || ! port_is_free $((PORT + 1)) || ! port_is_free $((PORT + 2)); do PORT=$((PORT + 10)); done
    fi
    cherry local start --slots 2 --port "$PORT" > "$LOG" 2>&1 ||
      fail "the cluster did not start" "see $CHERRY_HOME/logs; 'cherry local stop --home $CHERRY_HOME' clears what is left"
  fi
  COORDINATOR=$(sed -nE 's/^coordinator +([^ ]+).*/\1/p' "$LOG")
  COORDINATOR_METRICS=$(sed -nE 's/^coordinator .*(http[^ ]+)/\1/p' "$LOG")
  WORKER_METRICS=$(sed -nE 's/^worker .*(http[^ ]+)/\1/p' "$LOG")
  export CHERRY_COORDINATOR=$COORDINATOR
  DID="coordinator $COORDINATOR, one worker with 2 slots"
}

stop_all() {
  if [ -n "${PROMETHEUS:-}" ]; then kill "$PROMETHEUS" 2> /dev/null || true; wait "$PROMETHEUS" 2> /dev/null || true; fi
  if [ $KEEP = 0 ] && [ -x "$BUILD/bin/cherry" ]; then cherry local stop > "$WORK/stop.log" 2>&1 || true; fi
}

start_prometheus() {
  LOG=$WORK/prometheus.log
  PROMETHEUS_PORT=9090
  while ! port_is_free $PROMETHEUS_PORT; do PROMETHEUS_PORT=$((PROMETHEUS_PORT + 1)); done
  cat > "$WORK/prometheus.yml" <<END
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: cherry
    static_configs:
      - targets: ["${COORDINATOR_METRICS//[!0-9.:]/}", "${WORKER_METRICS//[!0-9.:]/}"]
END
  sed -i 's/"::*/"/g' "$WORK/prometheus.yml"
  rm -rf "$WORK/prometheus"
  "$CHERRY_DEPS/bin/prometheus" --config.file "$WORK/prometheus.yml" --storage.tsdb.path "$WORK/prometheus" \
    --web.listen-address "127.0.0.1:$PROMETHEUS_PORT" > "$LOG" 2>&1 &
  PROMETHEUS=$!
  wait_for 30 curl -sf "http://127.0.0.1:$PROMETHEUS_PORT/-/ready" ||
    fail "Prometheus did not start" "free port $PROMETHEUS_PORT, then run this script again"
  DID="http://127.0.0.1:$PROMETHEUS_PORT scrapes the coordinator and the worker"
}

# wait_for SECONDS COMMAND...: until it succeeds; curl's own retry paces it.
wait_for() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" > /dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then return 1; fi
    read -rt 0.2 <> <(:) || true
  done
}

# dataset NAME ARGUMENT...: made unless it is there.
dataset() {
  local name=$1
  shift
  if [ ! -e "$CHERRY_HOME/data/$name/manifest.json" ]; then
    cherry data prepare --name "$name" "$@" >> "$LOG" 2>&1 ||
      fail "the dataset $name could not be made" "see the log; 'rm -r $CHERRY_HOME/data/$name' starts afresh"
  elif ! cherry get datasets "$name" >> "$LOG" 2>&1; then
    cherry data register "$name" >> "$LOG" 2>&1 || fail "the dataset $name could not be registered" "see the log"
  fi
}

prepare_data() {
  LOG=$WORK/prepare.log
  : > "$LOG"
  dataset ko --vocab 2048 "$WORK/corpus/ko"
  dataset ko-calc --tokenizer ko "$WORK/corpus/parts/ko-calc.jsonl"
  dataset ko-rest --tokenizer ko "$WORK/corpus/parts/ko-rest.jsonl"
  DID="$(field "$(cherry get datasets ko -o json)" tokens) Korean tokens in train; of two kinds: ko-calc, ko-rest"
}

# field JSON KEY [N]: the N-th (first; $: last) value of a key in protobuf JSON.
field() { grep -oE "\"$2\": *\"?[^,\"}]+" <<< "$1" | sed -E 's/.*: *"?//' | sed -n "${3:-1}p"; }

run_pipeline() {
  echo
  cherry submit "$CHERRY_ROOT/examples/cherry-mini.yaml" --watch ||
    fail "the pipeline did not succeed" "cherry get jobs; cherry explain JOB; cherry logs JOB (with --keep)"
  echo
  local job
  job=$(cherry get jobs mini-base -o json)
  LOSS=$(field "$job" valid_loss)
  SPEED=$(field "$job" tokens_per_second)
  CHECKPOINT=$CHERRY_HOME/checkpoints/$(field "$(cherry get checkpoints mini-moee -o json)" path '$')
  ENTROPY=$(field "$(cherry get datasets ko -o json)" unigram_entropy '$')
  DID="$(cherry get jobs -o name | grep -c mini-) jobs; the base's validation loss is $(printf %.3f "$LOSS")"
}

sample() {
  LOG=$WORK/sample.log
  cherry generate mini-moee --prompt '문서를 저장하려면' --max-tokens 60 --temperature 0.7 --seed 1 --speculative > "$LOG" 2>&1 ||
    fail "no text could be sampled" "see the log"
  DID=$(tr '\n' ' ' < "$LOG" | cut -c1-90)
}

write_report() {
  LOG=$WORK/report.log
  REPORT=$WORK/report.html
  cherry report cherry-mini --output "$REPORT" > "$LOG" 2>&1 || fail "the report could not be written" "see the log"
  DID=${REPORT#"$CHERRY_ROOT"/}
}

# The newest value that Prometheus has of a series, over the last ten minutes; nothing where it has none.
query() {
  { curl -sf -G "http://127.0.0.1:$PROMETHEUS_PORT/api/v1/query" --data-urlencode "query=$1" |
    grep -oE '"value":\[[^]]*\]' | sed -E 's/.*,"([^"]*)"\]/\1/' | head -n 1; } || true
}

# What has just happened is in the next scrape.
series_arrived() {
  STEP=$(query 'max(max_over_time(cherry_job_step{job_name="mini-base"}[15m]))')
  LOAD=$(query 'max(max_over_time(cherry_job_expert_load{job_name="mini-moee"}[15m]))')
  JOBS=$(query 'sum(cherry_jobs{state="SUCCEEDED"})')
  UP=$(query 'sum(up)')
  [ -n "$STEP" ] && [ -n "$LOAD" ] && [ -n "$JOBS" ] && [ "$UP" = 2 ]
}

check_metrics() {
  wait_for 15 series_arrived ||
    fail "Prometheus lacks series (up $UP, cherry_job_step '$STEP', cherry_job_expert_load '$LOAD', cherry_jobs '$JOBS')" \
      "curl $COORDINATOR_METRICS and $WORKER_METRICS"
  DID="Prometheus saw step $STEP of mini-base, the load of experts and $JOBS succeeded jobs"
}

main() {
  local start=$EPOCHREALTIME setup=()
  mkdir -p "$WORK"
  if [ "$CHERRY_QUIET" = 1 ]; then setup=(--quiet); fi
  "$CHERRY_ROOT/deploy/setup.sh" --quickstart "${setup[@]}"
  trap stop_all EXIT
  phase 'build' build_programs
  phase 'Korean text' extract_corpus
  phase 'cluster' start_cluster
  phase 'Prometheus' start_prometheus
  phase 'tokens' prepare_data
  phase 'pipeline' run_pipeline
  phase 'sample' sample
  phase 'report' write_report
  phase 'metrics' check_metrics
  printf '%-22s %7.1f s\n' 'in all' "$(seconds_since "$start")"
  report
}

verdicts() {
  local job
  for job in mini-selection mini-fusion; do
    cherry describe job "$job" | sed -n '/^evaluation:/,/^[a-z]/p' | grep -E '^  (holds|fails|undecided) ' || true
  done
}

report() {
  cat <<END

verdicts, at a size that settles nothing (docs/claims.md has the experiments):
$(verdicts)

validation loss    $(printf %.3f "$LOSS") nats per token of the base
unigram entropy    $(printf %.3f "$ENTROPY") nats per token: the base is $(awk "BEGIN {printf \"%.2f\", $ENTROPY - $LOSS}") nats better
training speed     $(printf %.0f "$SPEED") tokens/s on two ranks
checkpoint         $CHECKPOINT
report             $REPORT
metrics            $COORDINATOR_METRICS, $WORKER_METRICS

try next (export CHERRY_HOME=$CHERRY_HOME PATH=$BUILD/bin:\$PATH CHERRY_COORDINATOR=$COORDINATOR):
  $([ $KEEP = 1 ] || echo "cherry local start --slots 2 --port ${COORDINATOR##*:}  # it is stopped now; --keep leaves it running
  ")cherry describe job mini-selection
  cherry metrics mini-sgt-rule --name coupling/cosine
  cherry generate mini-moee --prompt '파일을 열려면' --speculative
END
}

main
