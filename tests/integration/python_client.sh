#!/usr/bin/env bash
# client/python as a user has it: the wheel built and installed in a clean environment, its types, its tests against a
# real cluster (python/client_test.py). Usage: python_client.sh BIN_DIRECTORY
set -uo pipefail
export PATH=$1:$PATH
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
uv=$(echo "${CHERRY_DEPS:-$HOME/.cache/cherry/deps}"/site/uv-*.data/scripts/uv)
export UV_SYSTEM_CERTS=1                # As pip: the host's own authorities, and its index.
index=$(/usr/bin/python3 -m pip config get global.index-url 2> /dev/null) && export UV_DEFAULT_INDEX=$index
work=$(mktemp -d)
export CHERRY_HOME=$work/home
port=$((26000 + RANDOM % 1000 * 5))
export CHERRY_COORDINATOR=127.0.0.1:$port
export MLFLOW_ALLOW_FILE_STORE=true   # Its other store needs the whole of MLflow.
export WANDB_DIR=$work WANDB_CONFIG_DIR=$work WANDB_CACHE_DIR=$work WANDB_DATA_DIR=$work
cleanup() {
  [ -z "${secure:-}" ] || kill "$secure"
  cherry local stop > /dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT
source "$here/../checks.sh"
source "$here/../certificates.sh"

install() {
  mkdir -p "$work/source/client" && cp -r "$root/client/python" "$work/source/client" && cp -r "$root/proto" "$work/source" &&
    "$uv" venv -q --python /usr/bin/python3 "$work/tools" &&
    "$uv" pip install -q --python "$work/tools" --require-hashes -r "$here/../python/locked.txt" &&
    "$uv" build -q --wheel --no-build-isolation --python "$work/tools" -o "$work/dist" "$work/source/client/python" &&
    "$uv" pip install -q --python "$work/tools" --no-deps "$work"/dist/*.whl
}
# Nothing but what the wheel asks for, in the locked versions.
install_alone() {
  grep -E '^(grpcio|protobuf|pyyaml|typing-extensions)==' "$here/../python/locked.txt" > "$work/needed.txt" &&
    "$uv" venv -q --python /usr/bin/python3 "$work/alone" &&
    "$uv" pip install -q --python "$work/alone" --require-hashes -r "$work/needed.txt" &&
    "$uv" pip install -q --python "$work/alone" --no-deps "$work"/dist/*.whl &&
    "$uv" pip check -q --python "$work/alone"
}
# What docs/python.md tells to type, in a copy of the checkout: with the versions of today.
install_by_hand() {
  "$uv" venv -q --python /usr/bin/python3 "$work/hand" && cd "$work/source" &&
    /usr/bin/python3 -m pip --python "$work/hand/bin/python" install -q ./client/python && "$work/hand/bin/python" -c 'import cherry'
}
python() { (cd "$work" && "$work/tools/bin/python" -W error::DeprecationWarning:cherry "$@"); }

certificates() {
  cd "$work" && authority && certificate coordinator /CN=localhost && certificate kim /OU=submitter/CN=kim
}
over_tls='import cherry
assert cherry.Client("localhost:PORT", tls_cert="kim.pem", tls_key="kim.key", tls_ca="ca.pem").server().api_major == 1
try:
    cherry.Client("localhost:PORT", timeout=1).server()
except cherry.CherryError:
    pass
else:
    raise SystemExit("answered without TLS")'
first_job='import cherry
client = cherry.Client()
data = cherry.DataConfig(train="text/train", valid="text/valid")
train = cherry.TrainConfig(steps=3, sequence_length=32, global_batch_size=4)
job = client.submit(cherry.JobSpec(kind="pretrain", name="alone", model=cherry.ModelConfig(preset="tiny"), data=data, train=train))
assert client.wait(job).progress.step == 3'

for i in $(seq 60); do printf 'Document %d. A coordinator schedules jobs; workers train models, %d steps each.\n' "$i" "$((i * 7))"; done > "$work/text.txt"
split -l 1 "$work/text.txt" "$work/part-" --additional-suffix=.txt && rm "$work/text.txt"
check 'the wheel builds and installs' install
check 'it installs with nothing but its needs' install_alone
check 'pip installs it as the documentation says' install_by_hand
check 'mypy --strict has nothing to say' bash -c \
  "cd '$work' && tools/bin/mypy --strict --cache-dir '$work/mypy' --config-file '$root/client/python/pyproject.toml' -p cherry"
check 'a cluster starts' cherry local start --slots 2 --port "$port"
check 'a dataset is prepared' cherry data prepare --name text --vocab 300 --valid-share 0.1 "$work"/part-*.txt
check 'from there a job is submitted and waited for' bash -c "cd '$work' && alone/bin/python -c '$first_job'"
(certificates) > "$work/openssl.log" 2>&1 || cat "$work/openssl.log"
mkdir "$work/secure"
cherry-coordinator --home "$work/secure" --listen "127.0.0.1:$((port + 3))" --metrics-address "127.0.0.1:$((port + 4))" \
  --tls-cert "$work/coordinator.pem" --tls-key "$work/coordinator.key" --tls-ca "$work/ca.pem" > "$work/secure.log" 2>&1 &
secure=$!
check 'over mutual TLS it is answered' bash -c "cd '$work' && alone/bin/python -c '${over_tls//PORT/$((port + 3))}'"
check 'the tests pass' python "$here/../python/client_test.py"
exit $failed
