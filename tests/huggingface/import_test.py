"""Models of Hugging Face's in Cherry: the same logits and greedy texts, every tensor back byte for byte, jobs of every
kind from them, and a clear refusal of what is not possible."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
                          Qwen3ForCausalLM)
from transformers.utils import logging

import foreign
from foreign import Report

BOUND = 1e-5
LLAMA3_ROPE = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}
SIZES = dict(hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4, max_position_embeddings=512)
# Class, configuration, tokenizer, and how it is saved.
MODELS = {
    "llama": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 4}, "llama", {}),
    "llama-gqa": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 2, "rope_theta": 500000.0,
                                                  "rope_scaling": LLAMA3_ROPE, "tie_word_embeddings": True},
                  "llama3", {"max_shard_size": "60KB"}),
    "llama-wide": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 1, "head_dim": 24, "attention_bias": True,
                                                   "rope_scaling": {"rope_type": "linear", "factor": 4.0}}, "llama3", {}),
    "llama-bf16": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 2}, "llama", {"dtype": torch.bfloat16}),
    "llama-fp16": (LlamaForCausalLM, LlamaConfig, {"num_key_value_heads": 2}, "llama", {"dtype": torch.float16}),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {"num_key_value_heads": 2, "rope_theta": 1e6, "rms_norm_eps": 1e-6},
              "qwen2", {"max_shard_size": "60KB"}),
    "qwen2-tied": (Qwen2ForCausalLM, Qwen2Config, {"num_key_value_heads": 4, "tie_word_embeddings": True}, "qwen2", {}),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, {"num_key_value_heads": 2, "head_dim": 24}, "qwen2", {}),
}


def make(name, directory):
    """A model with random weights, also where they begin as ones or zeros."""
    kind, config, options, tokenizer, saved = MODELS[name]
    words = foreign.TOKENIZERS[tokenizer]()
    words.save_pretrained(directory)
    torch.manual_seed(sum(name.encode()))
    model = kind(config(vocab_size=len(words) + 5, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
                        **SIZES, **options)).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.normal_(0.7, 0.2)
    model = model.to(saved.get("dtype", torch.float32))
    model.save_pretrained(directory, **{key: value for key, value in saved.items() if key != "dtype"})
    return model, words


class Cluster:
    def __init__(self, cherry, home):
        self.program, self.home, self.port = cherry, home, str(random.randint(20000, 29000))

    def run(self, *arguments, check=True):
        command = [self.program, "--home", self.home, "--coordinator", f"127.0.0.1:{self.port}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done

    def json(self, *arguments):
        return json.loads(self.run("-o", "json", *arguments).stdout)

    def __enter__(self):
        subprocess.run([self.program, "--home", self.home, "local", "start", "--slots", "1", "--port", self.port], check=True,
                       stdout=subprocess.DEVNULL)
        return self

    def __exit__(self, *_):
        subprocess.run([self.program, "--home", self.home, "local", "stop"], stdout=subprocess.DEVNULL)


def tensors(directory):
    """Of all shards."""
    found = {}
    for name in os.listdir(directory):
        if name.startswith("model") and name.endswith(".safetensors"):
            found.update(load_file(os.path.join(directory, name)))
    return found


def compare(report, cluster, checkpoint, home, name):
    source, exported = os.path.join(home, name), os.path.join(home, name + "-exported")
    model, words = make(name, source)
    imported = cluster.json("model", "import", source, "--name", name)
    directory = os.path.join(home, "checkpoints", imported["path"])
    numbers = os.path.join(home, name + ".safetensors")
    subprocess.run([checkpoint, directory, numbers, "--load"], check=True)
    ours = load_file(numbers)
    # As stored, but computed in fp32: a model turned to 16 bits has lost more than its weights did.
    model = type(model).from_pretrained(source, dtype=torch.float32).eval()
    with torch.no_grad():
        logits = model(ours["tokens"]).logits
    error = ((ours["logits"] - logits).norm() / logits.norm()).item()
    report.check(f"{name}: logits differ by {error:.2e} (at most {BOUND:.0e})", error <= BOUND)
    prompt = "문서 reads 7"
    ids = words(prompt, return_tensors="pt", split_special_tokens=True)
    out = model.generate(**{key: ids[key] for key in ("input_ids", "attention_mask")}, max_new_tokens=12, do_sample=False)
    theirs = out[0, ids["input_ids"].shape[1]:].tolist()
    theirs = theirs[:theirs.index(words.eos_token_id)] if words.eos_token_id in theirs else theirs
    said = cluster.json("generate", f"model:{name}", "--prompt", prompt, "--temperature", "0", "--max-tokens", "12")
    report.check(f"{name}: greedy tokens are equal", said.get("tokens", []) == theirs)
    cluster.run("checkpoint", "export", f"model:{name}", "--output", exported)
    before, after = tensors(source), tensors(exported)
    same = before.keys() == after.keys() and all(
        before[key].dtype == after[key].dtype and before[key].untyped_storage().nbytes() > 0 and
        torch.equal(before[key].view(torch.uint8), after[key].view(torch.uint8)) for key in before)
    report.check(f"{name}: {len(before)} tensors come back byte for byte", same)
    again = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32).eval()
    with torch.no_grad():
        report.check(f"{name}: and say the same in transformers",
                     type(again) is type(model) and torch.allclose(again(ours["tokens"]).logits, logits, atol=1e-6))


def refusals(report, cluster, home):
    def refused(what, change, told, code=2):
        directory = os.path.join(home, "broken")
        shutil.rmtree(directory, ignore_errors=True)
        shutil.copytree(os.path.join(home, "llama"), directory)
        change(directory)
        done = cluster.run("model", "import", directory, "--name", "broken", check=False)
        report.check(f"{what} is refused: {done.stderr.splitlines()[0] if done.stderr else 'no message'}",
                     done.returncode == code and told in done.stderr and done.stderr.count("\n") <= 3)

    def config(**values):
        def change(directory):
            path = os.path.join(directory, "config.json")
            old = json.load(open(path))
            json.dump({key: value for key, value in {**old, **values}.items() if value != "drop"}, open(path, "w"))
        return change

    def weights(edit):
        def change(directory):
            path = os.path.join(directory, "model.safetensors")
            old = load_file(path)
            edit(old)
            save_file(old, path, {"format": "pt"})
        return change

    refused("yarn", config(rope_scaling={"rope_type": "yarn", "factor": 4.0}), "yarn")
    refused("a sliding window", config(use_sliding_window=True), "use_sliding_window")
    refused("a bias of the feed-forward layers", config(mlp_bias=True), "mlp_bias")
    refused("another activation", config(hidden_act="gelu"), "hidden_act")
    refused("quantized weights", config(quantization_config={"bits": 4}), "quantization_config")
    refused("another architecture", config(model_type="gpt2"), "gpt2")
    refused("a missing size", config(hidden_size="drop"), "hidden_size")
    refused("a wrong size", config(intermediate_size=97), "mlp.gate_proj")
    refused("a size that is text", config(num_hidden_layers="three"), "num_hidden_layers")
    refused("a missing tensor", weights(lambda all_: all_.pop("model.norm.weight")), "model.norm.weight")
    refused("a tensor too many", weights(lambda all_: all_.update({"score.weight": torch.ones(2)})), "score.weight")
    refused("another type", weights(lambda all_: all_.update({"model.norm.weight": torch.ones(64).double()})), "F64")
    refused("a torn file", lambda d: os.truncate(os.path.join(d, "model.safetensors"), 5000), "model.safetensors", 1)
    refused("a missing tokenizer", lambda d: os.remove(os.path.join(d, "tokenizer.json")), "tokenizer.json")
    refused("weights in another format", lambda d: os.remove(os.path.join(d, "model.safetensors")), "save_pretrained")
    refused("too small a vocabulary", config(vocab_size=300), "tokens up to")
    left = [name for name in os.listdir(os.path.join(home, "checkpoints", "default", "models")) if "broken" in name]
    report.check(f"and leaves nothing behind: {left}", not left)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cherry", required=True)
    parser.add_argument("--checkpoint", required=True, help="the program cherry-reference-checkpoint")
    parser.add_argument("--case", choices=MODELS, action="append", help="only these; default all")
    options = parser.parse_args()
    logging.set_verbosity_error()
    report = Report()
    with tempfile.TemporaryDirectory() as home, Cluster(options.cherry, home) as cluster:
        for name in options.case or MODELS:
            compare(report, cluster, options.checkpoint, home, name)
        listed = cluster.json("get", "models")["items"]
        report.check(f"{len(listed)} models are listed", len(listed) == len(options.case or MODELS))
        if not options.case:
            refusals(report, cluster, home)
    sys.exit(report.failed > 0)


main()
