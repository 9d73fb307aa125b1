"""Compares cherry-reference-sgt with selective training written here from its definitions (docs/methods.md)."""

import math

import torch
import torch.nn.functional as F

import model
from cases import run_cases
from compare import GRADIENT_BOUND, LOSS_BOUND, relative

CASES = {
    "all": {"selector": "all", "budget": 1.0},
    "random": {"selector": "random"},
    "random_responses": {"selector": "random", "responses": True, "budget": 0.3},
    "entropy": {"selector": "entropy", "scope": "micro_batch"},
    "top_loss": {"selector": "top_loss", "random_share": 0.5, "budget": 0.2},
    "low_loss": {"selector": "low_loss", "responses": True, "anchor": 0.5},
    "excess": {"selector": "excess", "budget": 0.25},
    "rule": {"selector": "rule"},
    "rule_mix": {"selector": "rule", "random_share": 0.5, "budget": 0.3},
    "rule_anchor": {"selector": "rule", "anchor": 1.0, "responses": True},
    "super": {"selector": "super", "anchor": 1.0},
}
SHAPE = model.Shape(layers=2, dim=64, heads=4, kv_heads=2, ffn_dim=96, vocab=256)
STEPS, MICRO_BATCHES, RATE, SEED = 3, 2, 1e-3, 5
FACT, REASON, CORRECT = 1, 2, 3
MASK64 = (1 << 64) - 1


def mix(value):
    value = (value + 0x9E3779B97F4A7C15) & MASK64
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK64
    return value ^ (value >> 31)


def key(seed, sample, position):
    return mix(mix(mix(seed) ^ sample) ^ position)


def row_losses(weights, batch):
    logits = model.logits(SHAPE, weights, batch["tokens"]).flatten(0, 1)
    return F.cross_entropy(logits, batch["targets"].flatten(), ignore_index=-100, reduction="none"), logits


def spans(labels, counted):
    """[(begin, end, category)], cut where a position does not count."""
    found = []
    for i, label in enumerate(labels):
        category = label & 3 if counted[i] else 0
        if category == 0:
            continue
        if found and found[-1][1] == i and found[-1][2] == category and not label & 4:
            found[-1][1] = i + 1
        else:
            found.append([i, i + 1, category])
    return found


def by_rule(labels, counted, most):
    chosen = set()
    for wanted in (CORRECT, REASON, FACT):
        for begin, end, category in spans(labels, counted):
            if category == wanted and len(chosen) + end - begin <= most:
                chosen.update(range(begin, end))
    return chosen


def scores(case, weights, reference, batch):
    with torch.no_grad():
        losses, logits = row_losses(weights, batch)
        if case["selector"] == "entropy":
            p = logits.softmax(-1)
            return -(p * p.log()).sum(-1)
        if case["selector"] == "low_loss":
            return -losses
        if case["selector"] in ("excess", "super"):
            return losses - row_losses(reference, batch)[0]
        return losses


def select(case, weights, reference, batch):
    """Mask over the flattened micro-batch."""
    rows, length = batch["tokens"].shape
    counted = (batch["targets"].flatten() != -100).tolist()
    labels = batch["labels"].tolist()
    keys = [key(SEED, s, t) for s in batch["samples"].tolist() for t in range(length)]
    size = rows * length if case.get("scope") == "micro_batch" else length
    value = scores(case, weights, reference, batch).tolist()
    mask = torch.zeros(rows * length, dtype=torch.bool)
    for begin in range(0, rows * length, size):
        group = range(begin, begin + size)
        targets = [i for i in group if counted[i]]
        if not targets:
            continue
        whole = max(1, math.floor(case.get("budget", 0.15) * len(targets) + 0.5))
        drawn = math.floor(case.get("random_share", 0.0) * whole + 0.5)
        scored = whole - drawn
        selector = case["selector"]
        if selector == "all":
            chosen = set(targets)
        elif selector == "random":
            chosen = set(sorted(targets, key=lambda i: keys[i])[:whole])
        elif selector in ("rule", "super"):
            most = scored if selector == "rule" else whole
            local = by_rule(labels[begin:begin + size], counted[begin:begin + size], most)
            chosen = {begin + i for i in local}
            if selector == "super":
                chosen = set(sorted(chosen, key=lambda i: (-value[i], i))[:1])
        else:
            chosen = set(sorted(targets, key=lambda i: (-value[i], i))[:scored])
        if selector in ("rule", "top_loss"):
            rest = [i for i in targets if i not in chosen]
            # Scores share the device's 24 bits of a key; the full key orders the rule's.
            order = (lambda i: (keys[i] >> 40, i)) if selector == "top_loss" else (lambda i: keys[i])
            chosen |= set(sorted(rest, key=order)[:drawn])
        mask[list(chosen)] = True
    return mask


def batches_of(data, step):
    def get(name):
        return {k: data[f"{name}.{k}"] for k in ("tokens", "targets", "labels", "samples")}

    return [get(f"step{step}.{i}") for i in range(MICRO_BATCHES)]


def gradient(weights, loss):
    grads = torch.autograd.grad(loss, list(weights.values()), retain_graph=True)
    return torch.cat([g.flatten().double() for g in grads])


def cosine(a, b):
    return (a @ b / (a.norm() * b.norm())).item()


def coupling_before(case, weights, reference, batch, independent):
    mask = select(case, weights, reference, batch)
    others = ~mask & (batch["targets"].flatten() != -100)
    if not mask.any() or not others.any():
        return None
    losses, _ = row_losses(weights, batch)
    g_selected, g_others = gradient(weights, losses[mask].mean()), gradient(weights, losses[others].mean())
    far_mask = select(case, weights, reference, independent)
    far_others = ~far_mask & (independent["targets"].flatten() != -100)
    g_far = gradient(weights, row_losses(weights, independent)[0][far_others].mean())
    # Its keys are salted so that it is another draw than the selector's; as many as are supervised.
    length = batch["tokens"].shape[1]
    salted = [key(SEED ^ 0x73706C6974, s, t) for s in batch["samples"].tolist() for t in range(length)]
    targets = [i for i in range(len(salted)) if mask[i] or others[i]]
    draw = torch.zeros_like(mask)
    draw[sorted(targets, key=lambda i: salted[i])[:int(mask.sum())]] = True
    left = ~draw & (mask | others)
    return {
        "cosine": cosine(g_selected, g_others),
        "projection": (g_selected @ g_others / (g_selected @ g_selected)).item(),
        "cross_cosine": cosine(g_selected, g_far),
        "random_cosine": cosine(gradient(weights, losses[draw].mean()), gradient(weights, losses[left].mean())),
        "others": others, "gradient": g_others, "loss": losses[others].mean().item(),
        "before": torch.cat([w.detach().flatten().double() for w in weights.values()]),
    }


def coupling_after(weights, batch, before):
    with torch.no_grad():
        now = torch.cat([w.flatten().double() for w in weights.values()])
        before["predicted"] = (before["gradient"] @ (now - before["before"])).item()
        before["measured"] = row_losses(weights, batch)[0][before["others"]].mean().item() - before["loss"]


def objective(case, weights, origin, reference, batches):
    """The step's objective, and its counts."""
    masks = [select(case, weights, reference, b) for b in batches]
    counted = [b["targets"].flatten() != -100 for b in batches]
    supervised = sum(int(m.sum()) for m in masks)
    others = sum(int(c.sum()) for c in counted) - supervised
    total = 0.0
    for batch, mask, count in zip(batches, masks, counted):
        losses, logits = row_losses(weights, batch)
        total = total + losses[mask].sum() / supervised
        if case.get("anchor", 0.0) > 0.0:
            with torch.no_grad():
                p = model.logits(SHAPE, origin, batch["tokens"]).flatten(0, 1).log_softmax(-1)
            kl = F.kl_div(logits.log_softmax(-1), p, log_target=True, reduction="none").sum(-1)
            total = total + case["anchor"] * kl[~mask & count].sum() / others
    return total, supervised, others


def validation(case, weights, selected, batch):
    losses, _ = row_losses(weights, batch)
    counted = batch["targets"].flatten() != -100
    length = batch["tokens"].shape[1]
    rule = torch.zeros_like(counted)
    labels = batch["labels"].tolist()
    size = counted.numel() if case.get("scope") == "micro_batch" else length
    for begin in range(0, counted.numel(), size):
        part = counted[begin:begin + size].tolist()
        if sum(part):
            most = max(1, math.floor(case.get("budget", 0.15) * sum(part) + 0.5))
            for i in by_rule(labels[begin:begin + size], part, most):
                rule[begin + i] = True
    category = batch["labels"] & 3
    groups = [counted, selected, counted & ~selected, rule, counted & ~rule] + [
        counted & (category == c) for c in (FACT, REASON, CORRECT)]
    return torch.tensor([[losses[g].sum(), g.sum()] for g in groups])


def check(case, data, report):
    def weights_of(prefix):
        return {k.removeprefix(prefix): v for k, v in data.items() if k.startswith(prefix)}

    weights = {k: v.clone().requires_grad_() for k, v in weights_of("weight.").items()}
    origin, reference = weights_of("origin."), weights_of("reference.")
    valid = {k: data[f"valid.{k}"] for k in ("tokens", "targets", "labels", "samples")}
    selected = select(case, weights, reference, valid)
    with torch.no_grad():
        baseline = validation(case, weights, selected, valid)
    report.bound("validation before the first step", relative(data["baseline"], baseline.flatten()), GRADIENT_BOUND)
    optimizer = torch.optim.AdamW(
        [{"params": [w for w in weights.values() if w.dim() > 1], "weight_decay": 0.1},
         {"params": [w for w in weights.values() if w.dim() == 1], "weight_decay": 0.0}],
        lr=RATE, betas=(0.9, 0.95), eps=1e-8)
    for step in range(STEPS):
        batches = batches_of(data, step)
        independent = batches_of(data, step + 1)[0] if step + 1 < STEPS else None
        before = None
        if independent is not None and case["selector"] != "all":
            before = coupling_before(case, weights, reference, batches[0], independent)
        optimizer.zero_grad()
        loss, supervised, others = objective(case, weights, origin, reference, batches)
        loss.backward()
        report.bound(f"step {step}: supervised targets", abs(data[f"step{step}.supervised"].item() - supervised), 0)
        report.bound(f"step {step}: other targets", abs(data[f"step{step}.others"].item() - others), 0)
        report.bound(f"step {step}: loss", abs(data[f"step{step}.loss"].item() - loss.item()), LOSS_BOUND)
        if step == 0:
            for name, weight in weights.items():
                report.bound(f"gradient of {name}", relative(data["gradient." + name], weight.grad), GRADIENT_BOUND)
        optimizer.step()
        if before is not None:
            coupling_after(weights, batches[0], before)
            for name in ("cosine", "projection", "cross_cosine", "random_cosine", "predicted", "measured"):
                ours = data[f"step{step}.coupling/{name}"].item()
                bound = 1e-4 * max(1.0, abs(before[name])) if name != "measured" else 1e-5
                report.bound(f"step {step}: {name} = {before[name]:.5f}", abs(ours - before[name]), bound)
    with torch.no_grad():
        now = validation(case, weights, selected, valid)
    report.bound("validation after the last step", relative(data["validation"], now.flatten()), LOSS_BOUND)
    if "wave" in data:
        gain = baseline[:, 0] / baseline[:, 1] - now[:, 0] / now[:, 1]
        share = now[1, 1] / now[0, 1]
        wave, omega = gain[0] / (share * gain[1]), gain[2] / gain[1]
        report.bound(f"W = {wave:.4f}", abs(data["wave"].item() - wave.item()) / abs(wave.item()), 1e-2)
        report.bound(f"omega = {omega:.4f}", abs(data["omega"].item() - omega.item()) / abs(omega.item()), 1e-2)


if __name__ == "__main__":
    run_cases(CASES, check)
