"""Compares cherry-reference-fuse with fusion and multi-token prediction written here from their definitions
(docs/methods.md): what the mixture starts from, routing, balancing step by step, losses, gradients, decoding."""

import math

import torch
import torch.nn.functional as F

import model
from cases import run_cases
from compare import GRADIENT_BOUND, LOSS_BOUND, relative
from compare_compress import visits

CASES = {
    "top2_switch": {"balance": "switch"},
    "top1_loss_free": {"top_k": 1},
    "four_experts_centroid": {"experts": 4, "start": "centroid"},
    "none": {"experts": 3, "balance": "none"},
    "loops": {"schedule": "1 + 1x3 + 1", "balance": "switch"},
    "token_two": {"routing": "token"},
    "token_top1": {"routing": "token", "experts": 3, "top_k": 1, "balance": "switch", "start": "centroid"},
    "token_zero": {"routing": "token", "start": "zero", "balance": "none", "experts": 3, "top_k": 3},
    "soup": {"routing": "soup", "experts": 3, "schedule": "1 + 1x3 + 1", "depth": 1},
    "chain": {"depth": 2},
    "chain_forward": {"depth": 2, "curriculum": "forward", "weight": 0.5},
    "shared_head": {"depth": 2, "form": "shared_head", "weight": 0.5},
    "shared_head_forward": {"depth": 2, "form": "shared_head", "weight": 0.5, "curriculum": "forward"},
}
EXPERT = model.Shape(layers=3, dim=32, heads=4, kv_heads=2, ffn_dim=48, vocab=128)
STEPS, BATCH, LENGTH, RATE, CENTRE = 6, 3, 24, 0.05, 16


class Case:
    def __init__(self, options):
        self.experts = options.get("experts", 2)
        self.top_k = options.get("top_k", 2)
        self.token = options.get("routing") == "token"
        self.soup = options.get("routing") == "soup"
        self.start = options.get("start", "normal")
        self.balance = options.get("balance", "loss_free")
        self.order = visits(options.get("schedule", ""), EXPERT.layers)
        self.depth = options.get("depth", 0)
        self.chain = options.get("form", "chain") == "chain"
        self.forward = options.get("curriculum") == "forward"
        self.weight = options.get("weight", 0.3)


def own_name(visit, part):
    p, r, _, loop, _ = visit
    return f"model.layers.{p}.{part}.weight" if loop is None else f"model.layers.{p}.visits.{r}.{part}.weight"


def choose(case, logits, bias):
    """Mixing weights [n, experts], probabilities, and how often each expert was chosen."""
    p = logits.softmax(-1)
    chosen = (p.detach() + bias).topk(case.top_k, -1).indices
    mask = torch.zeros_like(p).scatter(1, chosen, 1.0)
    kept = p * mask
    weights = kept / (kept.detach() if case.top_k == 1 else kept).sum(-1, keepdim=True)
    return weights, p, mask.sum(0)


def bias_of(case, weights, name):
    return weights[name].detach() if case.balance == "loss_free" else torch.zeros(case.experts)


class Pass:
    """One forward pass: what its routers did."""

    def __init__(self):
        self.loads, self.entropy, self.balance, self.ffn_inputs = [], [], 0.0, []

    def note(self, case, p, loads):
        self.loads.append(loads)
        self.entropy.append(-(p * p.log()).sum(-1).mean().item())
        share = loads / loads.sum()
        self.balance = self.balance + case.experts * (share * p.mean(0)).sum()


def ffn(case, weights, visit, x, notes):
    at = f"model.layers.{visit[0]}.mlp"
    rows = x.flatten(0, 1)
    notes.ffn_inputs.append(rows.detach())
    if f"{at}.gate_proj.weight" in weights:
        return model.feed_forward(weights, at, x)
    logits = F.linear(rows, weights[own_name(visit, "mlp.gate")])
    mix, p, loads = choose(case, logits, bias_of(case, weights, own_name(visit, "mlp.gate.load_bias")))
    notes.note(case, p, loads)
    parts = [model.feed_forward(weights, f"{at}.experts.{i}", rows) for i in range(case.experts)]
    return sum(mix[:, i:i + 1] * part for i, part in enumerate(parts)).view_as(x)


def hidden(case, weights, tokens, notes):
    x = F.embedding(tokens, weights["model.embed_tokens.weight"])
    before = None
    for visit in case.order:
        p, r, _, loop, begins = visit
        if begins:
            before = x if r == 0 else before
            added = weights[f"model.loops.{loop}.rounds.{r}.weight"] + F.linear(
                before, weights[f"model.loops.{loop}.injection.weight"])
            x = x + weights[f"model.loops.{loop}.rounds.{r}.gain.weight"] * added
        gains = (1.0, 1.0) if loop is None else (weights[own_name(visit, "self_attn.gain")],
                                                 weights[own_name(visit, "mlp.gain")])
        normed = model.rms_norm(x, weights[own_name(visit, "input_layernorm")], EXPERT.norm_eps)
        x = x + gains[0] * model.attention(EXPERT, weights, f"model.layers.{p}.self_attn", normed)
        normed = model.rms_norm(x, weights[own_name(visit, "post_attention_layernorm")], EXPERT.norm_eps)
        x = x + gains[1] * ffn(case, weights, visit, normed, notes)
    return model.rms_norm(x, weights["model.norm.weight"], EXPERT.norm_eps)


def chain(weights, states, tokens):
    at = "model.token_chain"
    token = F.embedding(tokens, weights["model.embed_tokens.weight"])
    x = torch.cat([model.rms_norm(states, weights[f"{at}.state_norm.weight"], EXPERT.norm_eps),
                   model.rms_norm(token, weights[f"{at}.token_norm.weight"], EXPERT.norm_eps)], -1)
    x = F.linear(x, weights[f"{at}.join.weight"])
    normed = model.rms_norm(x, weights[f"{at}.layer.input_layernorm.weight"], EXPERT.norm_eps)
    x = x + model.attention(EXPERT, weights, f"{at}.layer.self_attn", normed)
    normed = model.rms_norm(x, weights[f"{at}.layer.post_attention_layernorm.weight"], EXPERT.norm_eps)
    x = x + model.feed_forward(weights, f"{at}.layer.mlp", normed)
    return model.rms_norm(x, weights[f"{at}.norm.weight"], EXPERT.norm_eps)


def split(case, weights):
    return [{k.removeprefix(f"experts.{i}."): v for k, v in weights.items() if k.startswith(f"experts.{i}.")}
            for i in range(case.experts)]


def mixture_log_probabilities(case, weights, tokens, notes, everyone):
    """[b, t, vocab] of whole models; `everyone`: not only those that the gate chooses."""
    parts = split(case, weights)
    states = [hidden(case, part, tokens, Pass()) for part in parts]
    logits = F.linear(sum(states).flatten(0, 1) / case.experts, weights["gate.weight"])
    mix, p, loads = choose(case, logits, bias_of(case, weights, "gate.load_bias.weight"))
    notes.note(case, p, loads)
    mix = (p if everyone else mix).view(*tokens.shape, case.experts)
    probabilities = [F.linear(s, part["lm_head.weight"]).softmax(-1) for s, part in zip(states, parts)]
    return sum(mix[..., i:i + 1] * q for i, q in enumerate(probabilities)).log()


def depth_weights(case, step):
    place = step * (case.depth + 1) / STEPS
    stage = min(case.depth, math.floor(place))
    active = stage if case.forward else case.depth if case.chain else case.depth - stage
    weights = [case.weight / active if case.chain else case.weight ** k for k in range(1, active + 1)]
    if weights and not case.chain and not case.forward:
        weights[-1] *= 1 - (place - stage)
    return weights


def cross_entropy(weights, states, targets, reduction):
    logits = F.linear(states, weights["lm_head.weight"])
    return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction=reduction)


def objective(case, weights, tokens, targets, step, notes):
    if case.token:
        logp = mixture_log_probabilities(case, weights, tokens, notes, everyone=True)
        loss = F.nll_loss(logp.flatten(0, 1), targets.flatten(), ignore_index=-100)
    else:
        states = hidden(case, weights, tokens, notes)
        loss = cross_entropy(weights, states, targets, "mean")
        for k, depth_weight in enumerate(depth_weights(case, step), start=1):
            states = states[:, :LENGTH - k]
            if case.chain:
                states = chain(weights, states, tokens[:, k:])
            loss = loss + depth_weight * cross_entropy(weights, states, targets[:, k:], "mean")
    return loss + (RATE * notes.balance if case.balance == "switch" else 0.0)


def batch(number):
    count = BATCH * (LENGTH + 1)
    raw = ((torch.arange(count) + number * count) * 7919 + 104729) % 1000003 % EXPERT.vocab
    return raw.view(BATCH, LENGTH + 1)[:, :LENGTH]


def unit(rows):
    mean = torch.cat(rows).mean(0)
    return mean / mean.norm()


def fused(case, experts, ours):
    """The start; what is drawn at random is taken from ours."""
    start = dict(ours)
    for name in ours:
        if case.token and name.startswith("experts."):
            i, rest = name.removeprefix("experts.").split(".", 1)
            start[name] = experts[int(i)][rest]
        elif ".mlp.experts." in name:
            head, rest = name.split(".mlp.experts.")
            i, part = rest.split(".", 1)
            start[name] = experts[int(i)][f"{head}.mlp.{part}"]
        elif name in experts[0]:
            start[name] = sum(e[name].double() for e in experts).div(case.experts).float()
        elif name.endswith("load_bias.weight"):
            start[name] = torch.zeros(case.experts)
    if case.start == "zero":
        start["gate.weight"] = torch.zeros(case.experts, EXPERT.dim)
    if case.start == "centroid":
        for i in range(case.experts):
            texts = [batch(500 + n + 100 * i) for n in range(CENTRE)]
            if case.token:
                states = [sum(hidden(case, e, t, Pass()) for e in experts).flatten(0, 1) / case.experts for t in texts]
                start["gate.weight"][i] = unit(states)
                continue
            read = []
            for text in texts:
                notes = Pass()
                hidden(case, experts[i], text, notes)
                read.append(notes.ffn_inputs)
            for number, visit in enumerate(case.order):
                start[own_name(visit, "mlp.gate")][i] = unit([inputs[number] for inputs in read])
    return start


def check_random_start(case, ours, report):
    for name, tensor in ours.items():
        if name == "gate.weight" or name.endswith("mlp.gate.weight") or name.endswith("token_chain.join.weight"):
            if case.start == "normal" or "token_chain" in name:
                bound = 4 / math.sqrt(2 * tensor.numel())
                report.bound(f"{name}: standard deviation by 0.02, less 1", abs(tensor.std().item() / 0.02 - 1), bound)


def check_step(case, data, step, of, report):
    at = f"step{step}."
    weights = {k: v.clone().requires_grad_() for k, v in of(f"{at}before.").items()}
    notes = Pass()
    loss = objective(case, weights, data[f"{at}tokens"], data[f"{at}targets"], step, notes)
    loss.backward()
    report.bound(f"step {step}: loss", abs(loss.item() - data[f"{at}loss"].item()), LOSS_BOUND)
    worst = 0.0
    for name, weight in weights.items():
        ours = data[f"{at}gradient.{name}"]
        theirs = weight.grad if weight.grad is not None else torch.zeros_like(weight)
        worst = max(worst, relative(ours, theirs) if theirs.norm() > 1e-4 else (ours - theirs).norm().item())
    report.bound(f"step {step}: gradients, largest relative difference", worst, 5 * GRADIENT_BOUND)
    if case.soup:
        report.bound(f"step {step}: loads of a model without experts", len(notes.loads), 0)
        return
    loads = torch.stack(notes.loads)
    report.bound(f"step {step}: loads that differ", (loads.flatten() - data[f"{at}loads"]).abs().sum().item(), 0)
    report.bound(f"step {step}: entropy", abs(sum(notes.entropy) / len(notes.entropy) - data[f"{at}entropy"].item()), 1e-5)
    names = ["gate.load_bias.weight"] if case.token else [own_name(v, "mlp.gate.load_bias") for v in case.order]
    for name, load in zip(names, loads):
        moved = RATE * (load.mean() - load).sign() if case.balance == "loss_free" else torch.zeros(case.experts)
        after = data[f"{at}after.{name}"]
        report.bound(f"step {step}: {name}", (after - data[f"{at}before.{name}"] - moved).abs().max().item(), 1e-7)


def check_measures(case, data, weights, report):
    tokens, targets = data["valid.tokens"], data["valid.targets"]
    notes = Pass()
    with torch.no_grad():
        if case.token:
            logp = mixture_log_probabilities(case, weights, tokens, notes, everyone=False)
        else:
            states = hidden(case, weights, tokens, notes)
            logp = F.linear(states, weights["lm_head.weight"]).log_softmax(-1)
        rows = F.nll_loss(logp.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="none")
        report.bound("held-out losses of rows", (rows - data["valid.rows"]).abs().max().item(), LOSS_BOUND)
        mean = rows.sum() / (targets != -100).sum()
        report.bound("held-out loss", abs(mean.item() - data["valid.0"].item()), LOSS_BOUND)
        # Decoding goes token by token through caches elsewhere; here in one pass.
        report.bound("decoded", (data["decoded"].log_softmax(-1) - logp[0]).abs().max().item(), LOSS_BOUND)
        if case.depth and case.chain:
            own, right = logp.argmax(-1), torch.ones_like(tokens, dtype=torch.bool)
            for k in range(1, case.depth + 1):
                states = chain(weights, states[:, :LENGTH - k], tokens[:, k:])
                draft = F.linear(states, weights["lm_head.weight"]).argmax(-1)
                right = right[:, :LENGTH - k] & (draft == own[:, k:])
                report.bound(f"acceptance of draft {k}", abs(right.float().mean().item() - data[f"valid.{k}"].item()), 1e-6)


def check(options, data, report):
    case = Case(options)

    def of(prefix):
        return {k.removeprefix(prefix): v.clone() for k, v in data.items() if k.startswith(prefix)}

    ours = of("start.")
    start = fused(case, [of(f"expert{i}.") for i in range(case.experts)], of("start."))
    report.bound("a soup is as large as one of its experts, but for its chain",
                 sum("token_chain" not in name for name in ours) - len(of("expert0.")) if case.soup else 0, 0)
    report.bound("start weights, largest difference", max((start[k] - ours[k]).abs().max().item() for k in ours), 1e-5)
    check_random_start(case, ours, report)
    previous = ours
    for step in range(STEPS):
        before = of(f"step{step}.before.")
        report.bound(f"step {step}: weights moved between steps", max((previous[k] - before[k]).abs().max().item()
                                                                     for k in before), 0)
        check_step(case, data, step, of, report)
        previous = of(f"step{step}.after.")
    check_measures(case, data, previous, report)


if __name__ == "__main__":
    run_cases(CASES, check)
