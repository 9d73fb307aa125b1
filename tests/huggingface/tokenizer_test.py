"""Tokenizers that other people's models bring: the same ids for 10,000 lines, and conversations as their templates
write them."""

import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy

import foreign
from foreign import Report

RESPONSE = 8  # The bit of a label; see common/token_labels.h.
TURNS = [
    [("user", "서울은?"), ("assistant", "수도입니다. Because it is.")],
    [("user", "  trim me \n"), ("assistant", " 1 + 1 = 2 \n"), ("user", "그리고 <|im_end|>?"), ("assistant", "끝 😀")],
    [("system", "Be brief."), ("user", "hi"), ("assistant", "hello\n\nthere")],
    [("user", "no answer yet")],
]


def prepare(cherry, home, name, tokenizer, documents):
    """The documents' tokens and labels, in the order of a number that each ends in."""
    source = os.path.join(home, name + ".jsonl")
    with open(source, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    subprocess.run([cherry, "--home", home, "data", "prepare", "--name", name, "--tokenizer", tokenizer, "--rules", "none",
                    "--repeated-line-chars", "0", "--no-register", source],
                   check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    found = []
    manifest = json.load(open(os.path.join(home, "data", name, "manifest.json"), encoding="utf-8"))
    for split in ("train", "valid"):
        prefix = os.path.join(home, "data", name, split)
        index = open(prefix + ".idx", "rb").read()
        lengths = numpy.frombuffer(index, "<i4", int.from_bytes(index[18:26], "little"), 34)
        tokens = numpy.fromfile(prefix + ".bin", f"<u{manifest['bytes_per_token']}" if manifest["bytes_per_token"] == 2
                                else "<i4")
        labels = numpy.fromfile(prefix + ".labels", "u1") if os.path.exists(prefix + ".labels") else numpy.zeros_like(tokens)
        ends = numpy.cumsum(lengths)
        found += [(tokens[end - n:end].tolist(), labels[end - n:end].tolist()) for n, end in zip(lengths, ends)]
    return found, manifest


def check_texts(report, cherry, home, kind, tokenizer, directory):
    texts = foreign.lines(10000) + ["a <tool_call> b </s> <|endoftext|> <|im_end|> 1"]
    found, manifest = prepare(cherry, home, kind, directory, [{"text": text} for text in texts])
    end = tokenizer.eos_token_id
    prefix = [tokenizer.bos_token_id] if tokenizer.bos_token else []  # Their post-processors put it before a text.
    theirs = [prefix + ids + [end] for ids in
              tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]]
    report.check(f"{kind}: the tokens of {len(texts)} lines are equal",
                 sorted(tokens for tokens, _ in found) == sorted(theirs))
    own = kind == "llama"  # Its ends are those of Cherry's own tokenizers.
    report.check(f"{kind}: the manifest names the end of a text",
                 own or manifest["tokenizer"]["end_tokens"] == [end])
    bad = os.path.join(home, "bad.txt")
    with open(bad, "wb") as file:
        file.write("첫 줄\n둘째 ".encode() + b"\xff\xfe\n")
    refused = subprocess.run([cherry, "--home", home, "data", "prepare", "--name", "bad", "--tokenizer", directory,
                              "--no-register", bad], capture_output=True, text=True)
    report.check(f"{kind}: what is no UTF-8 is refused with file and line",
                 refused.returncode == 2 and "bad.txt:2: not UTF-8" in refused.stderr)


def check_chats(report, cherry, home, kind, tokenizer, directory):
    chats = [[{"role": role, "content": content} for role, content in turns] for turns in TURNS]
    found, _ = prepare(cherry, home, kind + "-chat", directory, [{"messages": chat} for chat in chats])
    end = tokenizer.eos_token_id
    theirs = {}
    for chat in chats:
        ids = tokenizer.apply_chat_template(chat, tokenize=True)
        text = tokenizer.apply_chat_template(chat, tokenize=False)
        whole = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        spoken = [0] * len(ids)
        for i, message in enumerate(chat):
            if message["role"] == "assistant":
                begin = len(tokenizer.apply_chat_template(chat[:i], tokenize=False, add_generation_prompt=True))
                stop = len(tokenizer.apply_chat_template(chat[:i + 1], tokenize=False))
                spoken = [int(s or begin <= at < stop) for s, (at, _) in zip(spoken, whole["offset_mapping"])]
        if ids[-1] != end:
            ids, spoken = ids + [end], spoken + [int(chat[-1]["role"] == "assistant")]
        theirs[tuple(ids)] = spoken
    report.check(f"{kind}: {len(chats)} conversations are written as apply_chat_template does",
                 sorted(tuple(tokens) for tokens, _ in found) == sorted(theirs))
    report.check(f"{kind}: what the assistant says is labelled",
                 all([int(label & RESPONSE > 0) for label in labels] == theirs.get(tuple(tokens))
                     for tokens, labels in found))


def check_refusals(report, cherry, home):
    directory = os.path.join(home, "nameless")
    tokenizer = foreign.qwen2()
    tokenizer.save_pretrained(directory)
    os.remove(directory + "/tokenizer_config.json")
    source = os.path.join(home, "two.jsonl")
    open(source, "w").write('{"text": "one"}\n{"text": "two"}\n')
    refused = subprocess.run([cherry, "--home", home, "data", "prepare", "--name", "one", "--tokenizer", directory,
                              "--no-register", source], capture_output=True, text=True)
    report.check("a tokenizer that names no end of a text is refused",
                 refused.returncode == 2 and "tokenizer_config.json" in refused.stderr)
    llama = foreign.llama()
    llama.save_pretrained(directory + "2")
    chats = [{"messages": [{"role": "assistant", "content": f"first {i}"}]} for i in range(3)]
    try:
        prepare(cherry, home, "order", directory + "2", chats)
        report.check("what a template raises is told", False)
    except subprocess.CalledProcessError as error:
        report.check("what a template raises is told", b"must alternate user/assistant" in error.stderr)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cherry", required=True)
    options = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as home:
        for kind, make in foreign.TOKENIZERS.items():
            tokenizer = make()
            directory = os.path.join(home, "tokenizer-" + kind)
            tokenizer.save_pretrained(directory)
            check_texts(report, options.cherry, home, kind, tokenizer, directory)
            if tokenizer.chat_template:
                check_chats(report, options.cherry, home, kind, tokenizer, directory)
        check_refusals(report, options.cherry, home)
    sys.exit(report.failed > 0)


main()
