"""Controls against the dataset they change, counted in Python: what must stay, and how much of the order survives."""

import argparse
import collections
import json
import os
import random
import subprocess
import sys
import tempfile

CONTROLS = ["shuffle", "sentences", "k-let:2", "k-let:3"]
END = 2


class Report:
    failed = 0

    def check(self, what, good):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}")


def write_text(path):
    draw = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(300):
            sentences = []
            for _ in range(draw.randint(2, 9)):
                words = ["".join(draw.choices("가나다라마바사아자차", k=draw.randint(1, 6)))
                         for _ in range(draw.randint(2, 10))]
                sentences.append(" ".join(words) + draw.choice([". ", ".\n", "\n\n", "? "]))
            file.write(json.dumps({"text": "".join(sentences)}, ensure_ascii=False) + "\n")


def prepare(program, home, name, *options):
    command = [program, "--home", home, "data", "prepare", "--name", name, "--valid-share", "0.3", "--no-register",
               "--repeated-line-chars", "0", *options, os.path.join(home, "text.jsonl")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return os.path.join(home, "data", name)


def documents(prefix):
    index = open(prefix + ".idx", "rb").read()
    assert index[:9] == b"MMIDIDX\0\0" and index[17] == 8
    count = int.from_bytes(index[18:26], "little")
    data = memoryview(open(prefix + ".bin", "rb").read()).cast("H")
    begin, all_documents = 0, []
    for i in range(count):
        end = begin + int.from_bytes(index[34 + 4 * i:38 + 4 * i], "little")
        all_documents.append(list(data[begin:end]))
        begin = end
    assert begin == len(data)
    return all_documents


def grams(text, n):
    return [tuple(text[i:i + n]) for i in range(len(text) - n + 1)]


def check_documents(report, what, plain, changed):
    same = [collections.Counter(a) == collections.Counter(b) for a, b in zip(plain, changed)]
    report.check(f"{what}: each document has its tokens and ends", all(same) and all(d[-1] == END for d in changed))


def check_split(report, control, split, plain, changed, survival):
    what = f"{control} {split}"
    before, after = sum(plain, []), sum(changed, [])
    report.check(f"{what}: {len(plain)} documents, {len(before)} tokens, in another order",
                 len(changed) == len(plain) and before != after)
    if control.startswith("k-let:"):
        k = int(control[6:])
        for n in range(1, k + 1):
            report.check(f"{what}: every {n}-gram as often",
                         collections.Counter(grams(before, n)) == collections.Counter(grams(after, n)))
    else:
        check_documents(report, what, plain, changed)
    for row in survival["grams"]:
        known = set(grams(before, row["n"]))
        places = grams(after, row["n"])
        surviving = sum(gram in known for gram in places)
        report.check(f"{what}: {surviving} of {len(places)} {row['n']}-grams survive",
                     (row["places"], row["surviving"]) == (len(places), surviving))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cherry", required=True)
    arguments = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as home:
        write_text(os.path.join(home, "text.jsonl"))
        plain = prepare(arguments.cherry, home, "plain", "--vocab", "300")
        for control in CONTROLS:
            changed = prepare(arguments.cherry, home, control.replace(":", "-"), "--tokenizer", "plain",
                              "--control", control)
            manifest = json.load(open(changed + "/manifest.json", encoding="utf-8"))["control"]
            report.check(f"{control}: named in the manifest", manifest["name"] == control)
            report.check(f"{control}: the same tokenizer", open(plain + "/tokenizer.json", "rb").read() ==
                         open(changed + "/tokenizer.json", "rb").read())
            for survival in manifest["survival"]:
                split = survival["split"]
                check_split(report, control, split, documents(f"{plain}/{split}"), documents(f"{changed}/{split}"),
                            survival)
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main()
