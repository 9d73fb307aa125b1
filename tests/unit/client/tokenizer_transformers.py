"""Compares the ids in DIR/cases.txt with what transformers makes of DIR/tokenizer.json. Exits 1 on a difference."""

import pathlib
import sys

from transformers import PreTrainedTokenizerFast

directory = pathlib.Path(sys.argv[1])
tokenizer = PreTrainedTokenizerFast(
    tokenizer_file=str(directory / "tokenizer.json"), unk_token="<unk>", bos_token="<s>", eos_token="</s>",
    clean_up_tokenization_spaces=False, split_special_tokens=True)
for line in (directory / "cases.txt").read_text().splitlines():
    text, ids = line.split(" ")
    text = bytes.fromhex(text).decode()
    ids = [int(i) for i in ids.split(",") if i]
    theirs = tokenizer(text)["input_ids"]
    if theirs != ids:
        sys.exit(f"{text!r}: ids {theirs} are not {ids}")
    if tokenizer.decode(ids) != text:
        sys.exit(f"{text!r}: decoded {tokenizer.decode(ids)!r}")
