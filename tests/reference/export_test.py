"""An exported checkpoint in Hugging Face transformers: the same logits, tokens and greedy choices."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast
from transformers.utils import logging

MOEE = ["--experts", "3", "--top-k", "2", "--kv-heads", "2"]
CASES = {
    "plain": ([], "LlamaForCausalLM"),
    "gqa": (["--kv-heads", "2"], "LlamaForCausalLM"),
    "tied": (["--tied"], "LlamaForCausalLM"),
    "qk_norm": (["--qk-norm", "--kv-heads", "2"], "Qwen3ForCausalLM"),
    "loops": (["--schedule", "1 + 1x4", "--serveable", "--kv-heads", "2"], "LlamaForCausalLM"),
    "loops_lora": (["--schedule", "1 + 1x3", "--serveable", "--kv-heads", "2", "--lora-rank", "3"], "LlamaForCausalLM"),
    "loops_qk_norm": (["--schedule", "2x3", "--serveable", "--qk-norm"], "Qwen3ForCausalLM"),
    "qwen2": (["--bias", "1", "--kv-heads", "2", "--tied"], "Qwen2ForCausalLM"),
    "biases": (["--bias", "2", "--head-dim", "24", "--llama3"], "LlamaForCausalLM"),
    "loops_biases": (["--bias", "2", "--schedule", "1 + 1x3", "--serveable"], "LlamaForCausalLM"),
    "chain": (["--chain", "--kv-heads", "2"], "LlamaForCausalLM"),
    "mixtral": ([*MOEE, "--no-router-bias"], "MixtralForCausalLM"),
    "mixtral_loops": ([*MOEE, "--no-router-bias", "--schedule", "1 + 1x3", "--serveable"], "MixtralForCausalLM"),
    "moee": ([*MOEE, "--qk-norm", "--bias", "2"], "CherryForCausalLM"),
    "moee_loops": ([*MOEE, "--schedule", "1 + 1x3"], "CherryForCausalLM"),
    "loops_own": (["--schedule", "2x3", "--lora-rank", "3", "--bias", "1", "--llama3", "--tied"], "CherryForCausalLM"),
    "token_mixture": ([*MOEE, "--route-tokens"], "CherryForCausalLM"),
}
BOUND = 1e-5
TEXTS = [f"문서 {i}\n두 번째 줄:  값 {i * i}\t끝 😀 <s>{'가나다라마바사'[i % 7]}" for i in range(60)]


class Report:
    failed = 0

    def check(self, what, good):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}")


def cherry(program, home, *arguments):
    command = [program, "--home", home, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def prepare(program, home):
    """A dataset; returns its directory."""
    source = os.path.join(home, "text.jsonl")
    with open(source, "w", encoding="utf-8") as file:
        for text in TEXTS:
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
    cherry(program, home, "data", "prepare", "--name", "small", "--vocab", "320", "--valid-share", "0.1",
           "--repeated-line-chars", "0", "--no-register", source)
    return os.path.join(home, "data", "small")


def documents(prefix):
    """The documents of a pair of token files, read without Cherry."""
    index = open(prefix + ".idx", "rb").read()
    assert index[:9] == b"MMIDIDX\0\0" and index[17] == 8
    count = int.from_bytes(index[18:26], "little")
    lengths = numpy.frombuffer(index, "<i4", count, 34)
    tokens = numpy.fromfile(prefix + ".bin", "<u2")
    ends = numpy.cumsum(lengths)
    return [tokens[end - length:end].tolist() for length, end in zip(lengths, ends)]


def compare_tokens(report, tokenizer, dataset):
    ours = documents(dataset + "/train") + documents(dataset + "/valid")
    theirs = [tokenizer(text, split_special_tokens=True)["input_ids"] + [2] for text in TEXTS]
    report.check(f"{len(ours)} documents have equal tokens", sorted(ours) == sorted(theirs))
    texts = [tokenizer.decode(ids[:-1]) for ids in ours]
    report.check("and decode to their text", sorted(texts) == sorted(TEXTS))


def compare_text(report, model, tokenizer, program, home, checkpoint):
    prompt = "문서 7"
    answer = json.loads(cherry(program, home, "-o", "json", "generate", checkpoint, "--prompt", prompt,
                               "--temperature", "0", "--max-tokens", "12"))
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        out = model.generate(ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1]:].tolist()
    theirs = out[:out.index(2)] if 2 in out else out
    report.check(f"greedy tokens are equal: {answer['tokens']}, {theirs}", answer["tokens"] == theirs)


def compare_batch(report, model, tokenizer):
    """Texts of several lengths at once, with and without what was computed before: the code that goes with a model."""
    tokenizer.pad_token, tokenizer.padding_side = tokenizer.eos_token, "left"
    prompts = ["문서 7 두 번째 줄", "값"]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    keep = ("input_ids", "attention_mask")
    together = model.generate(**{key: batch[key] for key in keep}, max_new_tokens=8, do_sample=False)[:, -8:]
    for i, prompt in enumerate(prompts):
        one = tokenizer(prompt, return_tensors="pt")
        alone = model.generate(**{key: one[key] for key in keep}, max_new_tokens=8, do_sample=False, use_cache=False)
        report.check(f"in a batch as alone: {prompt}", together[i].tolist() == alone[0, -8:].tolist())


def check_case(report, options, case):
    flags, architecture = CASES[case]
    print(f"--- {case}")
    with tempfile.TemporaryDirectory() as home:
        dataset = prepare(options.cherry, home)
        vocab = len(json.load(open(dataset + "/tokenizer.json", encoding="utf-8"))["model"]["vocab"])
        checkpoint, numbers, exported = (os.path.join(home, name) for name in ("step", "numbers", "hf"))
        subprocess.run([options.checkpoint, checkpoint, numbers, "--tokenizer", dataset,
                        "--vocab", str(vocab + 8), *flags], check=True)
        cherry(options.cherry, home, "checkpoint", "export", checkpoint, "--output", exported)
        model = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32, trust_remote_code=True).eval()
        tokenizer = AutoTokenizer.from_pretrained(exported)
        report.check(f"opens as {architecture}", type(model).__name__ == architecture)
        report.check("with a fast tokenizer", isinstance(tokenizer, PreTrainedTokenizerFast))
        ours = load_file(numbers)
        with torch.no_grad():
            logits = model(ours["tokens"]).logits
        error = ((ours["logits"] - logits).norm() / logits.norm()).item()
        report.check(f"logits differ by {error:.2e} (at most {BOUND:.0e})", error <= BOUND)
        if case == "chain":
            heads = load_file(os.path.join(exported, "multi_token.safetensors"))
            report.check("the chain lies beside", bool(heads) and all("token_chain" in name for name in heads))
        if case == "plain":
            compare_tokens(report, tokenizer, dataset)
        compare_text(report, model, tokenizer, options.cherry, home, checkpoint)
        if architecture == "CherryForCausalLM":
            compare_batch(report, model, tokenizer)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cherry", required=True)
    parser.add_argument("--checkpoint", required=True, help="the program cherry-reference-checkpoint")
    parser.add_argument("--case", choices=CASES, action="append", help="only these; default all")
    options = parser.parse_args()
    logging.set_verbosity_error()
    report = Report()
    for case in options.case or CASES:
        check_case(report, options, case)
    sys.exit(report.failed > 0)


main()
