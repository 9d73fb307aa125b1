"""The other side of train_step.cc: the same model and step in PyTorch, eager or compiled, as one would write it.

Speaks the same protocol on standard input and output.
"""

import argparse
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn


def rotate(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-second, first], dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, dim, heads, ffn_dim):
        super().__init__()
        self.heads = heads
        self.input_norm = nn.RMSNorm(dim, eps=1e-5)
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.post_norm = nn.RMSNorm(dim, eps=1e-5)
        self.gate, self.up = (nn.Linear(dim, ffn_dim, bias=False) for _ in range(2))
        self.down = nn.Linear(ffn_dim, dim, bias=False)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        h = self.input_norm(x)
        q, k, v = (p(h).view(b, t, self.heads, d // self.heads).transpose(1, 2) for p in (self.q, self.k, self.v))
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v, is_causal=True)
        x = x + self.o(a.transpose(1, 2).reshape(b, t, d))
        h = self.post_norm(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.embedding = nn.Embedding(a.vocab, a.dim)
        self.layers = nn.ModuleList(Layer(a.dim, a.heads, a.ffn_dim) for _ in range(a.layers))
        self.norm = nn.RMSNorm(a.dim, eps=1e-5)
        self.head = nn.Linear(a.dim, a.vocab, bias=False)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
        half = a.dim // a.heads // 2
        angle = torch.outer(torch.arange(a.length), 10000.0 ** -(torch.arange(half) / half))
        self.register_buffer("cos", torch.cat([angle, angle], -1).cos(), persistent=False)
        self.register_buffer("sin", torch.cat([angle, angle], -1).sin(), persistent=False)

    def forward(self, tokens, targets):
        x = self.embedding(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def main():
    parser = argparse.ArgumentParser()
    for name in ("layers", "dim", "heads", "ffn-dim", "vocab", "batch", "length", "threads"):
        parser.add_argument("--" + name, type=int, required=True)
    for name in ("compile", "cuda", "bf16"):
        parser.add_argument("--" + name, action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(1)
    device = torch.device("cuda" if a.cuda else "cpu")
    model = Model(a).to(device)
    precision = torch.autocast(device.type, torch.bfloat16, enabled=a.bf16)
    run = torch.compile(model) if a.compile else model
    matrices = [p for p in model.parameters() if p.dim() > 1]
    norms = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}],
        lr=1e-3, betas=(0.9, 0.95), fused=True)

    def step():
        ids = torch.randint(a.vocab, (a.batch, a.length + 1))
        tokens, targets = (part.to(device).contiguous() for part in (ids[:, :-1], ids[:, 1:]))
        begin = time.perf_counter()
        optimizer.zero_grad()
        with precision:
            loss = run(tokens, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if a.cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begin

    for _ in range(3):
        step()
    print("ready", sum(p.numel() for p in model.parameters()), flush=True)
    for line in sys.stdin:
        print(*(step() for _ in range(int(line))), flush=True)


if __name__ == "__main__":
    main()
