"""The Llama-family decoder in plain PyTorch, written apart from the C++ one: the oracle of its tests.

Weights are a dict of tensors under Hugging Face's names.
"""

import dataclasses
import math

import torch
import torch.nn.functional as F


@dataclasses.dataclass
class Shape:
    layers: int = 2
    dim: int = 64
    heads: int = 4
    kv_heads: int = 4
    ffn_dim: int = 96
    vocab: int = 256
    tied: bool = False
    qk_norm: bool = False
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    head_width: int = 0
    llama3: bool = False  # RoPE as Llama 3.1 stretches it: by 8, for a model of 32 positions.

    @property
    def head_dim(self):
        return self.head_width or self.dim // self.heads


def rms_norm(x, weight, eps):
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def rotate(x, cos, sin):
    """x [b, heads, t, head_dim]; element i turns with element i + head_dim / 2."""
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin


def llama3_frequency(frequency, factor=8.0, low=1.0, high=4.0, positions=32):
    """Long waves are stretched, short ones are not, and those between partly."""
    waves = positions * frequency / (2 * math.pi)  # In so many positions.
    kept = min(max((waves - low) / (high - low), 0.0), 1.0)
    return kept * frequency + (1.0 - kept) * frequency / factor


def rope_tables(shape, length):
    frequency = 1.0 / shape.rope_theta ** (torch.arange(0, shape.head_dim, 2).float() / shape.head_dim)
    if shape.llama3:
        frequency = torch.tensor([llama3_frequency(one.item()) for one in frequency])
    angle = torch.outer(torch.arange(length).float(), frequency)
    angle = torch.cat([angle, angle], dim=-1)
    return angle.cos(), angle.sin()


def attention(shape, weights, prefix, x):
    b, t, _ = x.shape

    def project(name, heads):
        bias = weights.get(f"{prefix}.{name}.bias")
        return F.linear(x, weights[f"{prefix}.{name}.weight"], bias).view(b, t, heads, shape.head_dim)

    q, k, v = project("q_proj", shape.heads), project("k_proj", shape.kv_heads), project("v_proj", shape.kv_heads)
    if shape.qk_norm:
        q = rms_norm(q, weights[f"{prefix}.q_norm.weight"], shape.norm_eps)
        k = rms_norm(k, weights[f"{prefix}.k_norm.weight"], shape.norm_eps)
    cos, sin = rope_tables(shape, t)
    q = rotate(q.transpose(1, 2), cos, sin)
    k = rotate(k.transpose(1, 2), cos, sin).repeat_interleave(shape.heads // shape.kv_heads, dim=1)
    v = v.transpose(1, 2).repeat_interleave(shape.heads // shape.kv_heads, dim=1)
    scores = q @ k.transpose(-1, -2) / math.sqrt(shape.head_dim)
    scores = scores.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
    attended = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
    return F.linear(attended, weights[f"{prefix}.o_proj.weight"], weights.get(f"{prefix}.o_proj.bias"))


def feed_forward(weights, prefix, x):
    gate = F.linear(x, weights[f"{prefix}.gate_proj.weight"])
    up = F.linear(x, weights[f"{prefix}.up_proj.weight"])
    return F.linear(F.silu(gate) * up, weights[f"{prefix}.down_proj.weight"])


def logits(shape, weights, tokens):
    x = F.embedding(tokens, weights["model.embed_tokens.weight"])
    for i in range(shape.layers):
        prefix = f"model.layers.{i}"
        normed = rms_norm(x, weights[f"{prefix}.input_layernorm.weight"], shape.norm_eps)
        x = x + attention(shape, weights, f"{prefix}.self_attn", normed)
        normed = rms_norm(x, weights[f"{prefix}.post_attention_layernorm.weight"], shape.norm_eps)
        x = x + feed_forward(weights, f"{prefix}.mlp", normed)
    x = rms_norm(x, weights["model.norm.weight"], shape.norm_eps)
    head = "model.embed_tokens.weight" if shape.tied else "lm_head.weight"
    return F.linear(x, weights[head])


def loss_sum(shape, weights, tokens, targets):
    flat = logits(shape, weights, tokens).flatten(0, 1)
    return F.cross_entropy(flat, targets.flatten(), ignore_index=-100, reduction="sum")
