"""Training speed of cherry-bench-train beside PyTorch eager and torch.compile: same model, batch and threads.

All programs stay alive and take turns, a few steps each, so that a slow minute of the machine hits all of them.
Figures are medians over all steps. Exits with 1 when ours is slower than eager at any size.
"""

import argparse
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {
    "1.4M": dict(layers=4, dim=128, heads=4, ffn_dim=384, vocab=2048, batch=16, length=128),
    "9M": dict(layers=6, dim=256, heads=8, ffn_dim=768, vocab=8192, batch=8, length=256),
    "34M": dict(layers=8, dim=512, heads=8, ffn_dim=1408, vocab=8192, batch=4, length=256),
}


GPU_SIZES = {
    "34M": dict(layers=8, dim=512, heads=8, ffn_dim=1408, vocab=8192, batch=32, length=1024),
    "135M": dict(layers=12, dim=768, heads=12, ffn_dim=2048, vocab=32768, batch=16, length=1024),
    "780M": dict(layers=24, dim=1536, heads=12, ffn_dim=4096, vocab=32768, batch=4, length=1024),
}


class Contestant:
    def __init__(self, name, command, size, threads):
        flags = [f"--{key.replace('_', '-')}={value}" for key, value in size.items()]
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.name = name
        self.seconds = []
        self.process = subprocess.Popen(command + flags + [f"--threads={threads}"], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready = self.process.stdout.readline().split()
        if ready[:1] != ["ready"]:
            raise SystemExit(f"{name} did not start")
        self.parameters = int(ready[1])

    def run(self, steps):
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        self.seconds += [float(second) for second in self.process.stdout.readline().split()]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def measure(label, size, arguments):
    device = ["--cuda", "--bf16"] if arguments.cuda else []
    ours = [arguments.ours] + device
    torch_side = [sys.executable, os.path.join(HERE, "train_torch.py")] + device
    commands = {"cherry": ours, "cherry, default malloc": ours + ["--default-allocator"],
                "PyTorch eager": torch_side, "torch.compile": torch_side + ["--compile"]}
    if arguments.cuda:
        del commands["cherry, default malloc"]
    contestants = [Contestant(name, command, size, arguments.threads) for name, command in commands.items()]
    if len({contestant.parameters for contestant in contestants}) != 1:
        raise SystemExit("the models differ in size")
    for _ in range(arguments.rounds):
        for contestant in contestants:
            contestant.run(arguments.steps)
    for contestant in contestants:
        contestant.close()
    tokens = size["batch"] * size["length"]
    medians = {c.name: statistics.median(c.seconds) for c in contestants}
    for name, seconds in medians.items():
        print(f"| {label} ({contestants[0].parameters:,}) | {name} | {1e3 * seconds:.1f} | {tokens / seconds:,.0f} | "
              f"{medians['PyTorch eager'] / seconds:.2f} | {medians['torch.compile'] / seconds:.2f} |", flush=True)
    return medians["PyTorch eager"] / medians["cherry"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ours", required=True, help="path of cherry-bench-train")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=3, help="steps a program runs before the next one's turn")
    parser.add_argument("--cuda", action="store_true", help="on a GPU, in bf16 with fp32 master weights")
    parser.add_argument("--size", action="append")
    arguments = parser.parse_args()
    sizes = GPU_SIZES if arguments.cuda else SIZES
    if arguments.cuda:
        import torch
        place = f"{torch.cuda.get_device_name()}, bf16"
    else:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            place = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
        place += f", {arguments.threads} threads, fp32"
    print(f"{place}, median of {arguments.rounds * arguments.steps} steps, "
          f"load {os.getloadavg()[0]:.1f} at the start\n")
    print("| model (parameters) | program | ms a step | tokens/s | x eager | x compile |\n|---|---|---|---|---|---|")
    ratios = [measure(label, sizes[label], arguments) for label in arguments.size or sizes]
    sys.exit(min(ratios) < 1.0)


if __name__ == "__main__":
    main()
