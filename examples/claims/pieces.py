#!/usr/bin/env python3
"""Long documents in pieces, in an order without meaning: JSONL in, JSONL out.

A page of "An Anarchist FAQ" has up to 100,000 tokens. Held out whole, a few pages would stand for all of them, and a
validation that reads the first sequences of a split would see one. So pages are cut at line ends into pieces of some
CHARACTERS, and the pieces stand in the order of the SHA-256 of their names.

usage: pieces.py CHARACTERS < FILE.jsonl > PIECES.jsonl
"""

import hashlib
import json
import sys


def pieces(text, characters):
    lines, size = [], 0
    for line in text.split("\n"):
        if size >= characters:
            yield "\n".join(lines)
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    yield "\n".join(lines)


def main():
    characters = int(sys.argv[1])
    documents = [(f"{page['id']}/{number}", piece) for page in map(json.loads, sys.stdin)
                 for number, piece in enumerate(pieces(page["text"], characters))]
    for name, text in sorted(documents, key=lambda document: hashlib.sha256(document[0].encode()).digest()):
        print(json.dumps({"id": name, "text": text}, ensure_ascii=False))


main()
