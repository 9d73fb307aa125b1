#!/usr/bin/env bash
# The path of docs/huggingface.md, command by command as it stands there, from a small model with random weights to one
# that transformers opens; then conversations and resumes that the page promises. Usage: huggingface.sh BIN_DIRECTORY
set -uo pipefail
export PATH=$1:$PATH
here=$(cd "$(dirname "$0")" && pwd)
root=$here/../..
work=$(mktemp -d)
export CHERRY_HOME=$work/home HF_HOME=$work/huggingface HF_HUB_OFFLINE=1
port=$((26000 + RANDOM % 1000 * 3))
export CHERRY_COORDINATOR=127.0.0.1:$port
cleanup() {
  cherry local stop > /dev/null 2>&1
  rm -rf "$work"
}
trap cleanup EXIT
cd "$work" || exit
source "$here/../checks.sh"
python() { PYTHONPATH=${CHERRY_DEPS:-$HOME/.cache/cherry/deps}/site:$root/tests/huggingface PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 "$@"; }

# What stands between ```$1 and ``` in the page.
blocks() { awk -v kind="$1" '$0 == "```" kind {on = 1; next} /^```/ {on = 0} on' "$root/docs/huggingface.md"; }

prepare() {
  mkdir -p corpus/ko corpus/en && ln -s "$root/examples" examples && python - << 'PYTHON'
import random
import foreign
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

words = foreign.qwen2()
words.save_pretrained("Qwen2.5-tiny")
torch.manual_seed(1)
Qwen2ForCausalLM(Qwen2Config(vocab_size=len(words) + 3, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
                             num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
                             tie_word_embeddings=True, eos_token_id=words.eos_token_id)).save_pretrained(
                                 "Qwen2.5-tiny", max_shard_size="100KB")
draw = random.Random(3)
for name, words in (("ko", foreign.KOREAN), ("en", foreign.ENGLISH)):
    for i in range(60):
        text = "\n".join(" ".join(draw.choice(words) for _ in range(12)) for _ in range(12))
        open(f"corpus/{name}/{i}.txt", "w").write(f"{text} {i}\n")
PYTHON
}
commands() {
  local command
  while IFS= read -r command; do
    echo "\$ $command"
    eval "$command" || return
  done < <(blocks console | sed -n 's/^\$ //p')
}
serves() { blocks python > serve.py && python serve.py; }
exported() {
  [ -f qwen-moee-hf/modeling_cherry.py ] && [ -f qwen-moee-hf/multi_token.safetensors ] &&
    grep -q '"eos_token_id"' qwen-moee-hf/config.json && cmp Qwen2.5-tiny/tokenizer.json qwen-moee-hf/tokenizer.json
}
# The text of the fused model is the same here and there.
same_text() {
  cherry generate qwen-moee --prompt 'The documents' --temperature 0 --max-tokens 20 -o json > ours.json && python - << 'PYTHON'
import json
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

logging.set_verbosity_error()
model = AutoModelForCausalLM.from_pretrained("qwen-moee-hf", trust_remote_code=True).eval()
tokenizer = AutoTokenizer.from_pretrained("qwen-moee-hf")
ids = tokenizer("The documents", return_tensors="pt").input_ids
out = model.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1]:].tolist()
ours = json.load(open("ours.json"))["tokens"]
assert ours == out[:len(ours)] and (len(ours) == 20 or out[len(ours)] == tokenizer.eos_token_id), (ours, out)
PYTHON
}
# Conversations by the model's template: what responses are is told, and a selective run takes them as its targets.
chats() {
  for i in $(seq 40); do
    echo "{\"messages\": [{\"role\": \"user\", \"content\": \"question $i?\"}, {\"role\": \"assistant\", \"content\": \"because of $i and $((i * 7)).\"}]}"
  done > chats.jsonl &&
    cherry data prepare --name chats --tokenizer model:qwen --repeated-line-chars 0 chats.jsonl &&
    printf 'kind: sgt\nname: chat-sgt\nfrom: {model: qwen}\ndata: {train: chats/train, valid: chats/valid, targets: responses}\nsgt: {selector: random}\ntrain: {steps: 3, sequence_length: 16, global_batch_size: 4, micro_batch_size: 4}\n' > sgt.yaml &&
    cherry submit sgt.yaml --wait && cherry generate chat-sgt --chat --prompt hello --max-tokens 5
}
refused() { if cherry submit "$1" > refused.txt 2>&1; then return 1; fi; has "$2" "$(cat refused.txt)"; }
other_words() {
  cherry data prepare --name own --vocab 400 corpus/ko/ && printf 'kind: pretrain\nname: wrong\nfrom: {model: qwen}\ndata: {train: own/train, valid: own/valid}\ntrain: {sequence_length: 32}\n' > wrong.yaml &&
    refused wrong.yaml 'model:qwen'
}
# Shares within a hundredth, and the same weights whether or not the job was stopped on its way.
mixture() {
  job() { printf 'kind: pretrain\nname: %s\nfrom: {model: qwen}\ndata: {train: 0.7 ko/train + 0.3 en/train, valid: ko/valid}\ntrain: {steps: %s, sequence_length: 32, global_batch_size: 8, micro_batch_size: 8, deterministic: true, lr_scheduler: {type: constant}}\n' "$1" "$2"; }
  job whole 12 > whole.yaml && job half 6 > half.yaml && job again 12 | sed 's/^from: .*/continue: {job: half}/' > again.yaml &&
    cherry submit whole.yaml --wait && cherry submit half.yaml --wait && cherry submit again.yaml --wait &&
    cherry checkpoint export whole:latest --output whole-hf && cherry checkpoint export again:latest --output again-hf &&
    cmp whole-hf/model.safetensors again-hf/model.safetensors
}

check 'a model and text are made' prepare
check 'a cluster starts' cherry local start --slots 1 --port "$port"
check 'every command of docs/huggingface.md runs' commands
check 'and its Python program' serves
check 'the exported directory has the tokenizer, the code and the heads beside' exported
check 'greedy text is that of transformers' same_text
check 'conversations are trained on by the template of the model' chats
check 'data of another tokenizer is refused with what to do' other_words
check 'a mixture of unequal shares goes on where it stopped' mixture
exit $failed
