"""Compares cherry-reference-export with the model of model.py and with Hugging Face transformers."""

import argparse
import math
import os
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file

import model

CASES = {
    "plain": {},
    "gqa": {"heads": 8, "kv_heads": 2},
    "tied": {"tied": True},
    "qk_norm": {"qk_norm": True, "kv_heads": 2},
    "recompute": {"recompute": True},
    "biases": {"bias": 2, "head_width": 24, "kv_heads": 2, "llama3": True},
    "qwen2": {"bias": 1, "tied": True},
    "wide": {"dim": 192, "heads": 3, "kv_heads": 1, "ffn_dim": 320, "vocab": 1000, "length": 150},
}
GRADIENT_BOUND = 1e-5
LOSS_BOUND = 1e-4
MAX_GRAD_NORM = 0.5  # Of export.cc.


def relative(ours, theirs):
    return ((ours.double() - theirs.double()).norm() / theirs.double().norm().clamp_min(1e-30)).item()


def export(program, case, path):
    command = [program, path]
    for key, value in case.items():
        flag = "--" + key.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    subprocess.run(command, check=True)
    return load_file(path)


class Report:
    def __init__(self):
        self.failed = 0

    def bound(self, what, value, limit):
        good = value <= limit
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}: {value:.2e} (at most {limit:.0e})")


def accumulate(shape, weights, tokens, targets):
    """Gradients of the mean over the step's targets; returns that mean."""
    count = (targets != -100).sum()
    total = 0.0
    for micro_tokens, micro_targets in zip(tokens, targets):
        loss = model.loss_sum(shape, weights, micro_tokens, micro_targets) / count
        loss.backward()
        total += loss.item()
    return total


def schedule(step, steps, peak=3e-3, low=3e-4, warmup=5):
    done = step + 1
    if done <= warmup:
        return peak * done / warmup
    return low + (peak - low) * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (steps - warmup)))


def train(shape, weights, data, report):
    decay = [w for w in weights.values() if w.dim() > 1]
    plain = [w for w in weights.values() if w.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}],
        lr=1.0, betas=(0.9, 0.95), eps=1e-8)
    worst_loss = worst_norm = worst_rate = 0.0
    clipped = 0
    steps = len(data["losses"])
    for step in range(steps):
        optimizer.zero_grad()
        loss = accumulate(shape, weights, data["tokens"][step], data["targets"][step])
        if step == 0:
            for name, weight in weights.items():
                report.bound(f"gradient of {name}", relative(data["gradient." + name], weight.grad), GRADIENT_BOUND)
        norm = torch.nn.utils.clip_grad_norm_(weights.values(), MAX_GRAD_NORM).item()
        clipped += norm > MAX_GRAD_NORM
        for group in optimizer.param_groups:
            group["lr"] = schedule(step, steps)
        optimizer.step()
        worst_loss = max(worst_loss, abs(loss - data["losses"][step].item()))
        worst_norm = max(worst_norm, abs(norm - data["norms"][step].item()) / norm)
        worst_rate = max(worst_rate, abs(schedule(step, steps) - data["rates"][step].item()))
    report.bound(f"loss of each of {steps} steps, largest difference", worst_loss, LOSS_BOUND)
    report.bound("gradient norm of each step, largest relative difference", worst_norm, 1e-3)
    report.bound("learning rate of each step, largest difference", worst_rate, 1e-9)
    report.bound("steps that were not clipped", steps - clipped, steps - 1)


def transformers_logits(shape, weights, tokens):
    import transformers

    biased = [name for name in ("q_proj", "o_proj") if f"model.layers.0.self_attn.{name}.bias" in weights]
    family = "Qwen3" if shape.qk_norm else "Qwen2" if biased == ["q_proj"] else "Llama"
    rope = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32}
    config = getattr(transformers, family + "Config")(
        hidden_size=shape.dim, intermediate_size=shape.ffn_dim, num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads, num_key_value_heads=shape.kv_heads, head_dim=shape.head_dim,
        vocab_size=shape.vocab, rope_theta=shape.rope_theta, rms_norm_eps=shape.norm_eps,
        tie_word_embeddings=shape.tied, max_position_embeddings=4096, attention_bias="o_proj" in biased,
        rope_scaling=rope if shape.llama3 else None)
    theirs = getattr(transformers, family + "ForCausalLM")(config)
    missing, unexpected = theirs.load_state_dict(weights, strict=False)
    expected = ["lm_head.weight"] if shape.tied else []
    if unexpected or list(missing) != expected:
        raise SystemExit(f"transformers names other parameters: missing {missing}, unexpected {unexpected}")
    with torch.no_grad():
        return theirs(tokens).logits


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--export", required=True)
    parser.add_argument("--case", choices=CASES, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(2)
    case = CASES[arguments.case]
    shape = model.Shape(**{k: v for k, v in case.items() if hasattr(model.Shape, k)})
    with tempfile.TemporaryDirectory() as folder:
        data = export(arguments.export, case, os.path.join(folder, "ours.safetensors"))
    weights = {k.removeprefix("weight."): v for k, v in data.items() if k.startswith("weight.")}
    report = Report()
    tokens = data["tokens"][0][0]
    with torch.no_grad():
        report.bound("logits", relative(data["logits"], model.logits(shape, weights, tokens)), GRADIENT_BOUND)
    report.bound("logits of transformers", relative(data["logits"], transformers_logits(shape, weights, tokens)),
                 GRADIENT_BOUND)
    train(shape, {k: v.clone().requires_grad_() for k, v in weights.items()}, data, report)
    sys.exit(report.failed > 0)


if __name__ == "__main__":
    main()
