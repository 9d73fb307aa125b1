"""Compares cherry-reference-compress with compression written here from its definitions (docs/methods.md)."""

import math
import re

import torch
import torch.nn.functional as F

import model
from cases import run_cases
from compare import GRADIENT_BOUND, LOSS_BOUND, relative

CASES = {
    "mean": {"layers": 3, "method": "mean"},
    "mean_keep": {"layers": 4, "method": "mean", "ends": "keep", "alpha": 0.5},
    "first": {"layers": 2, "method": "first", "alpha": 0.0},
    "last": {"layers": 3, "method": "last", "alpha": 0.3, "temperature": 2.0},
    "step": {"layers": 3, "method": "step", "alpha": 0.5, "hidden_weight": 1.0},
    "bi": {"layers": 3, "method": "bi"},
    "drop": {"layers": 4, "method": "drop"},
    "loops": {"layers": 3, "method": "mean", "schedule": "1 + 1x3 + 1", "alpha": 0.5},
    "flow": {"layers": 3, "method": "mean", "schedule": "1 + 2x2", "start": "flow", "alpha": 0.5,
             "hidden_weight": 0.7},
    "growth": {"layers": 3, "method": "mean", "schedule": "3x4", "start": "flow", "growth": "1,2,4"},
    "serveable": {"layers": 2, "method": "mean", "schedule": "1x2 + 1x3", "serveable": True, "start": "flow"},
    "lora": {"layers": 3, "method": "mean", "schedule": "1 + 2x2", "start": "lora", "lora_rank": 4, "alpha": 0.5},
    "lora_growth": {"layers": 2, "method": "mean", "schedule": "2x4", "start": "lora", "lora_rank": 3, "growth": "2,4",
                    "serveable": True, "hidden_weight": 0.5},
    "biased": {"layers": 3, "method": "mean", "schedule": "1 + 2x2", "start": "lora", "lora_rank": 4, "alpha": 0.5,
               "biased": True},
    "lora_unused": {"layers": 3, "method": "first", "schedule": "1 + 1x3 + 1", "lora_rank": 2},
}
DEEP = model.Shape(layers=6, dim=32, heads=4, kv_heads=2, ffn_dim=48, vocab=128)
STEPS, RATE = 4, 1e-3
LAYER_PARTS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
               "mlp.up_proj", "mlp.down_proj"]


def visits(schedule, layers):
    """[(layer, round, rounds, loop, begins_round)]"""
    if not schedule:
        return [(p, 0, 1, None, False) for p in range(layers)]
    order, first, loop = [], 0, -1
    for term in schedule.split("+"):
        count, _, rounds = term.strip().partition("x")
        count, rounds = int(count), int(rounds or 1)
        loop += rounds > 1
        for r in range(rounds):
            for p in range(first, first + count):
                order.append((p, r, rounds, loop if rounds > 1 else None, rounds > 1 and p == first))
        first += count
    return order


def with_products(weights, at, own):
    """The weights, those of a visit's layer with what the visit adds to them."""
    if f"{own}.{LAYER_PARTS[0]}.lora_b.weight" not in weights:
        return weights
    added = {f"{at}.{part}.weight": weights[f"{at}.{part}.weight"]
             + weights[f"{own}.{part}.lora_b.weight"] @ weights[f"{own}.{part}.lora_a.weight"] for part in LAYER_PARTS}
    return {**weights, **added}


def forward(weights, order, limit, tokens):
    """Logits, and the states before the first visit and after every one."""
    x = F.embedding(tokens, weights["model.embed_tokens.weight"])
    states, before = [x], None
    for p, r, rounds, loop, begins in order:
        if r >= limit:
            continue
        if begins:
            before = x if r == 0 else before
            vector = weights.get(f"model.loops.{loop}.rounds.{r}.weight")
            if vector is not None:
                added = vector + F.linear(before, weights[f"model.loops.{loop}.injection.weight"])
                x = x + weights[f"model.loops.{loop}.rounds.{r}.gain.weight"] * added
        at = f"model.layers.{p}"
        own = at if loop is None else f"{at}.visits.{r}"
        gains = (1.0, 1.0) if loop is None else (weights[f"{own}.self_attn.gain.weight"],
                                                 weights[f"{own}.mlp.gain.weight"])
        visit = with_products(weights, at, own)
        normed = model.rms_norm(x, weights[f"{own}.input_layernorm.weight"], DEEP.norm_eps)
        x = x + gains[0] * model.attention(DEEP, visit, f"{at}.self_attn", normed)
        normed = model.rms_norm(x, weights[f"{own}.post_attention_layernorm.weight"], DEEP.norm_eps)
        x = x + gains[1] * model.feed_forward(visit, f"{at}.mlp", normed)
        states.append(x)
    x = model.rms_norm(x, weights["model.norm.weight"], DEEP.norm_eps)
    return F.linear(x, weights["lm_head.weight"]), states


def calibration():
    count = 3 * 25
    for number in range(500, 532):
        raw = ((torch.arange(count) + number * count) * 7919 + 104729) % 1000003 % DEEP.vocab
        yield raw.view(3, 25)[:, :24]


def state_cosines(deep, distance):
    total = torch.zeros(DEEP.layers - distance + 1)
    with torch.no_grad():
        for tokens in calibration():
            states = forward(deep, visits("", DEEP.layers), 1, tokens)[1]
            for i in range(len(total)):
                total[i] += F.cosine_similarity(states[i], states[i + distance], dim=-1).mean() / 32
    return total


def groups(layers, targets, keep):
    def spread(begin, end, count):
        size, larger = divmod(end - begin, count)
        sizes = [size + ((count - larger) // 2 <= i < (count - larger) // 2 + larger) for i in range(count)]
        return [(begin + sum(sizes[:i]), begin + sum(sizes[:i + 1])) for i in range(count)]

    if not keep:
        return spread(0, layers, targets)
    return [(0, 1)] + spread(1, layers - 1, targets - 2) + [(layers - 1, layers)]


def combinations(case, deep):
    """For each target layer {source layer: weight}."""
    method, targets = case["method"], case["layers"]
    parts = groups(DEEP.layers, targets, case.get("ends") == "keep")
    if method == "mean":
        return [{i: 1 / (e - b) for i in range(b, e)} for b, e in parts]
    if method == "first":
        return [{b: 1.0} for b, _ in parts]
    if method == "last":
        return [{e - 1: 1.0} for _, e in parts]
    if method == "step":
        return [{math.floor(j * (DEEP.layers - 1) / (targets - 1) + 0.5): 1.0} for j in range(targets)]
    if method == "bi":
        influence = 1 - state_cosines(deep, 1)
        return [{i: (influence[i] / influence[b:e].sum()).item() for i in range(b, e)} for b, e in parts]
    gone = DEEP.layers - targets
    angle = state_cosines(deep, gone).clamp(-1, 1).arccos() / math.pi
    first = int(angle.argmin())
    return [{i: 1.0} for i in range(DEEP.layers) if not first <= i < first + gone]


def products(case, deep, start, order):
    """The norms of a visit's deep layer, and the part of what it differs by that lies in its largest directions."""
    run = [visit for visit in order if visit[1] < rounds_at(case, 0)]
    best = {}
    for q, (p, r, _, loop, _) in enumerate(run, start=1):
        if loop is None:
            continue
        layer, own = math.ceil(q * DEEP.layers / len(run)) - 1, f"model.layers.{p}.visits.{r}"
        for part in ("input_layernorm", "post_attention_layernorm"):
            start[f"{own}.{part}.weight"] = deep[f"model.layers.{layer}.{part}.weight"]
        for part in LAYER_PARTS:
            gap = (deep[f"model.layers.{layer}.{part}.weight"] - start[f"model.layers.{p}.{part}.weight"]).double()
            directions = torch.linalg.eigh(gap.T @ gap).eigenvectors[:, -case["lora_rank"]:]
            best[f"{own}.{part}"] = (gap @ directions @ directions.T).float()
    return best


def merged(case, deep, order):
    combined = combinations(case, deep)
    start = {k: deep[k] for k in ("model.embed_tokens.weight", "model.norm.weight", "lm_head.weight")}

    def mix(p, part):
        return sum(w * deep[f"model.layers.{i}.{part}.weight"] for i, w in combined[p].items())

    limit = int(case["growth"].split(",")[0]) if "growth" in case else 10 ** 6
    sources = [min(c) for c in combined] + [DEEP.layers]
    sources[0] = 0
    for p, r, rounds, loop, begins in order:
        at = f"model.layers.{p}"
        own = at if loop is None else f"{at}.visits.{r}"
        for part in LAYER_PARTS:
            start[f"{at}.{part}.weight"] = mix(p, part)
            if f"model.layers.0.{part}.bias" in deep:
                start[f"{at}.{part}.bias"] = sum(w * deep[f"model.layers.{i}.{part}.bias"]
                                                 for i, w in combined[p].items())
        for part in ("input_layernorm", "post_attention_layernorm"):
            start[f"{own}.{part}.weight"] = mix(p, part)
        if loop is None:
            continue
        active = min(rounds, limit)
        stands_for = sources[p + 1] - sources[p]
        flow = stands_for / active if r < active else 0.0
        gain = flow if case.get("start") in ("flow", "lora") else float(r == 0)
        for part in ("self_attn", "mlp"):
            start[f"{own}.{part}.gain.weight"] = torch.tensor([gain])
        if begins and not case.get("serveable"):
            shared = 1 / active if r < active else 0.0
            start[f"model.loops.{loop}.rounds.{r}.gain.weight"] = torch.tensor(
                [shared if case.get("start") in ("flow", "lora") else float(r == 0)])
            start[f"model.loops.{loop}.rounds.{r}.weight"] = torch.zeros(DEEP.dim)
            start[f"model.loops.{loop}.injection.weight"] = torch.zeros(DEEP.dim, DEEP.dim)
    return start


def rounds_at(case, step):
    if "growth" not in case:
        return 10 ** 6
    stages = [int(r) for r in case["growth"].split(",")]
    return stages[min(step * len(stages) // STEPS, len(stages) - 1)]


def grow(case, weights, order, before, after):
    """Flow: round q takes what round q * before / after had, with that part of its gains."""
    old = {k: v.detach().clone() for k, v in weights.items()}
    for p, r, rounds, loop, begins in order:
        had, has = min(before, rounds), min(after, rounds)
        if loop is None or had == has or r >= has:
            continue
        source = r * had // has
        for name in list(weights):
            match = re.fullmatch(rf"model\.layers\.{p}\.visits\.{r}\.(.*)", name)
            if match:
                factor = had / has if "gain" in name else 1.0
                weights[name] = old[f"model.layers.{p}.visits.{source}.{match.group(1)}"] * factor
        if begins and not case.get("serveable"):
            at, of = f"model.loops.{loop}.rounds.{r}", f"model.loops.{loop}.rounds.{source}"
            weights[f"{at}.weight"] = old[f"{of}.weight"]
            weights[f"{at}.gain.weight"] = old[f"{of}.gain.weight"] * had / has


def state_distance(order, limit, layers, states, deep_states, counted):
    ends, place = {}, 0
    for p, r, *_ in order:
        if r < limit:
            place += 1
            ends[p] = place

    def scaled(x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    total = 0.0
    for p in range(layers):
        deep_place = math.floor(ends[p] * (len(deep_states) - 1) / place + 0.5)
        distance = (scaled(states[ends[p]]) - scaled(deep_states[deep_place])).pow(2).mean(-1).flatten()
        total = total + (distance * counted).sum()
    return total / layers


def objective(case, weights, deep, order, limit, tokens, targets):
    logits, states = forward(weights, order, limit, tokens)
    with torch.no_grad():
        deep_logits, deep_states = forward(deep, visits("", DEEP.layers), 1, tokens)
    counted = targets.flatten() != -100
    alpha, t = case.get("alpha", 1.0), case.get("temperature", 1.0)
    loss = alpha * F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    kl = F.kl_div((logits / t).log_softmax(-1), (deep_logits / t).log_softmax(-1), log_target=True,
                  reduction="none").sum(-1).flatten()
    loss = loss + (1 - alpha) * t * t * kl[counted].sum()
    if case.get("hidden_weight", 0.0) > 0.0:
        loss = loss + case["hidden_weight"] * state_distance(order, limit, case["layers"], states, deep_states,
                                                            counted.float())
    return loss / counted.sum()


def mean_loss(weights, order, limit, tokens, targets):
    with torch.no_grad():
        logits = forward(weights, order, limit, tokens)[0].flatten(0, 1)
        return F.cross_entropy(logits, targets.flatten(), ignore_index=-100).item()


def check_products(case, best, ours, order, report):
    for p, r, rounds, loop, _ in order:
        for part in LAYER_PARTS if loop is not None else []:
            own = f"model.layers.{p}.visits.{r}.{part}"
            a, b = ours[f"{own}.lora_a.weight"], ours[f"{own}.lora_b.weight"]
            report.bound(f"{own}: rank", abs(a.shape[0] - case["lora_rank"]) + abs(b.shape[1] - case["lora_rank"]), 0)
            report.bound(f"{own}: product", (b @ a - best.get(own, torch.zeros(()))).abs().max().item(), 1e-5)
    report.bound("visits with a product at the start", abs(len(best) / len(LAYER_PARTS) - (
        sum(loop is not None and r < rounds_at(case, 0) for _, r, _, loop, _ in order)
        if case.get("start") == "lora" else 0)), 0)


def check(case, data, report):
    def weights_of(prefix):
        return {k.removeprefix(prefix): v for k, v in data.items() if k.startswith(prefix)}

    deep = weights_of("deep.")
    order = visits(case.get("schedule", ""), case["layers"])
    start = merged(case, deep, order)
    ours = weights_of("start.")
    best = products(case, deep, start, order) if case.get("start") == "lora" else {}
    if "lora_rank" in case:
        check_products(case, best, ours, order, report)
        # Of a product there are many pairs of factors: ours from here on.
        start.update({name: tensor for name, tensor in ours.items() if "lora" in name})
    report.bound("names of the parameters that differ", len(set(start) ^ set(ours)), 0)
    report.bound("start weights, largest difference",
                 max((start[k] - ours[k]).abs().max().item() for k in start), 1e-5)
    valid = (data["valid.tokens"], data["valid.targets"])
    report.bound("loss of the start",
                 abs(mean_loss(start, order, rounds_at(case, 0), *valid) - data["valid.start"].item()), LOSS_BOUND)
    report.bound("loss of the teacher",
                 abs(mean_loss(deep, visits("", DEEP.layers), 1, *valid) - data["valid.teacher"].item()), LOSS_BOUND)
    previous = ours
    for step in range(STEPS):
        now = weights_of(f"step{step}.before.")
        before, after = rounds_at(case, max(0, step - 1)), rounds_at(case, step)
        if before < after:
            grow(case, previous, order, before, after)
        report.bound(f"step {step}: weights, grown from {before} to {after} rounds",
                     max((previous[k] - now[k]).abs().max().item() for k in now), 1e-6)
        weights = {k: v.clone().requires_grad_() for k, v in now.items()}
        loss = objective(case, weights, deep, order, after, data[f"step{step}.tokens"], data[f"step{step}.targets"])
        loss.backward()
        report.bound(f"step {step}: loss", abs(loss.item() - data[f"step{step}.loss"].item()), LOSS_BOUND)
        worst = 0.0
        for name, weight in weights.items():
            ours = data[f"step{step}.gradient.{name}"]
            theirs = weight.grad if weight.grad is not None else torch.zeros_like(weight)
            # A gain's gradient is a sum of large terms of both signs.
            worst = max(worst, relative(ours, theirs) if theirs.norm() > 1e-4 else (ours - theirs).norm().item())
        report.bound(f"step {step}: gradients, largest relative difference", worst, 5 * GRADIENT_BOUND)
        previous = weights_of(f"step{step}.after.")
    end = mean_loss(previous, order, 10 ** 6, *valid)
    report.bound("loss of the end", abs(end - data["valid.end"].item()), LOSS_BOUND)
    lost = (data["valid.start"] - data["valid.teacher"]).item()
    made_good = (data["valid.start"] - data["valid.end"]).item()
    report.bound("recovery, times what merging lost", abs(made_good - data["recovery/merge"].item() * lost), LOSS_BOUND)


if __name__ == "__main__":
    run_cases(CASES, check)
