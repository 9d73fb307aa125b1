"""Models that transformers has no class for: loops over layers, mixtures of experts with a bias of their router, mixtures
of whole models. Weights have the names that Cherry's checkpoints give them. For inference and fine-tuning in PyTorch.
"""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

MATRICES = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
            "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")


class CherryConfig(PretrainedConfig):
    model_type = "cherry"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(self, **kwargs):
        defaults = {"schedule": "", "serveable": False, "lora_rank": 0, "qk_norm": False, "biases": "none",
                    "experts": 0, "experts_per_token": 0, "routing": "ffn", "hidden_size": 64, "intermediate_size": 128,
                    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32,
                    "vocab_size": 256, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None,
                    "initializer_range": 0.02}
        super().__init__(**{**defaults, **kwargs})


class Visit:
    """One time that a layer is applied: the layer, the round of its loop, and the loop's number (-1: none)."""

    def __init__(self, layer, round_=0, loop=-1, begins=False):
        self.layer, self.round, self.loop, self.begins = layer, round_, loop, begins

    def own(self, part):
        prefix = f"model.layers.{self.layer}"
        return f"{prefix}.{part}" if self.loop < 0 else f"{prefix}.visits.{self.round}.{part}"


def visits_of(config):
    """"1 + 4x8 + 1": the first layer once, the next four in turn eight times over, then one more."""
    if not config.schedule.strip():
        return [Visit(layer) for layer in range(config.num_hidden_layers)]
    visits, first, loops = [], 0, 0
    for term in config.schedule.split("+"):
        layers, rounds = ([int(n) for n in term.split("x")] + [1])[:2]
        loop = loops if rounds > 1 else -1
        loops += rounds > 1
        for round_ in range(rounds):
            visits += [Visit(layer, round_, loop, loop >= 0 and layer == first)
                       for layer in range(first, first + layers)]
        first += layers
    return visits


def shapes_of(config):
    """Name and shape of every weight of one model."""
    d, f, h = config.hidden_size, config.intermediate_size, config.head_dim
    q, kv = config.num_attention_heads * h, config.num_key_value_heads * h
    sizes = dict(zip(MATRICES, ((q, d), (kv, d), (kv, d), (d, q), (f, d), (f, d), (d, f))))
    biased = {"none": 0, "qkv": 3, "all": 4}[config.biases]
    moe = config.experts > 0 and config.routing == "ffn"
    shapes = {"model.embed_tokens.weight": (config.vocab_size, d), "model.norm.weight": (d,)}
    if not config.tie_word_embeddings:
        shapes["lm_head.weight"] = (config.vocab_size, d)
    for visit in visits_of(config):
        layer = f"model.layers.{visit.layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            shapes[visit.own(norm) + ".weight"] = (d,)
        for i, part in enumerate(MATRICES):
            if moe and part.startswith("mlp."):
                for e in range(config.experts):
                    shapes[f"{layer}.mlp.experts.{e}.{part[4:]}.weight"] = sizes[part]
            else:
                shapes[f"{layer}.{part}.weight"] = sizes[part]
            if i < biased:
                shapes[f"{layer}.{part}.bias"] = sizes[part][:1]
            if visit.loop >= 0 and config.lora_rank:
                shapes[visit.own(part) + ".lora_a.weight"] = (config.lora_rank, sizes[part][1])
                shapes[visit.own(part) + ".lora_b.weight"] = (sizes[part][0], config.lora_rank)
        if config.qk_norm:
            shapes[f"{layer}.self_attn.q_norm.weight"] = shapes[f"{layer}.self_attn.k_norm.weight"] = (h,)
        if moe:
            shapes[visit.own("mlp.gate") + ".weight"] = (config.experts, d)
            shapes[visit.own("mlp.gate") + ".load_bias.weight"] = (config.experts,)
        if visit.loop >= 0:
            shapes[visit.own("self_attn.gain") + ".weight"] = shapes[visit.own("mlp.gain") + ".weight"] = (1,)
        if visit.begins and not config.serveable:
            loop = f"model.loops.{visit.loop}"
            shapes[f"{loop}.injection.weight"] = (d, d)
            shapes[f"{loop}.rounds.{visit.round}.weight"] = (d,)
            shapes[f"{loop}.rounds.{visit.round}.gain.weight"] = (1,)
    return shapes


def frequencies(config, device):
    plain = 1.0 / config.rope_theta ** (torch.arange(0, config.head_dim, 2, device=device).float() / config.head_dim)
    scaling = config.rope_scaling
    if not scaling:
        return plain
    stretched = plain / scaling["factor"]
    if scaling["rope_type"] == "linear":
        return stretched
    positions = scaling["original_max_position_embeddings"]
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    wave = 2 * torch.pi / plain
    smooth = (positions / wave - low) / (high - low)
    blended = (1 - smooth) * stretched + smooth * plain
    return torch.where(wave > positions / low, stretched, torch.where(wave < positions / high, plain, blended))


def rotate(x, angle):
    cos, sin = angle.cos()[:, :, None].to(x.dtype), angle.sin()[:, :, None].to(x.dtype)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


def choose(logits, bias, k):
    """The k experts of the highest probability + bias, and their weights, which sum to 1."""
    chosen = (logits.softmax(-1) + bias).topk(k, -1).indices
    return chosen, logits.log_softmax(-1).gather(-1, chosen).softmax(-1)


class CherryCache:
    """Keys and values of every visit, [batch, heads, positions, head_dim]."""

    def __init__(self):
        self.layers = {}

    def get_seq_length(self, layer_idx=0):
        return self.layers[layer_idx][0].shape[2] if layer_idx in self.layers else 0

    def update(self, k, v, place):
        if place in self.layers:
            k, v = (torch.cat([old, new], 2) for old, new in zip(self.layers[place], (k, v)))
        self.layers[place] = (k, v)
        return k, v

    def reorder_cache(self, beam_idx):
        for place, kept in self.layers.items():
            self.layers[place] = tuple(x.index_select(0, beam_idx.to(x.device)) for x in kept)


class Node(nn.Module):
    """Holds weights under dotted names."""

    def add(self, name, shape):
        first, _, rest = name.partition(".")
        if not rest:
            self.register_parameter(first, nn.Parameter(torch.zeros(shape)))
            return
        if first not in self._modules:
            self.add_module(first, Node())
        self._modules[first].add(rest, shape)


class CherryForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = CherryConfig
    _supports_cache_class = True
    _supports_sdpa = True

    def __init__(self, config):
        super().__init__(config)
        self.visits = visits_of(config)
        self.mixes_models = config.experts > 0 and config.routing == "token"
        self.prefixes = [f"experts.{i}." for i in range(config.experts)] if self.mixes_models else [""]
        shapes = {prefix + name: shape for prefix in self.prefixes for name, shape in shapes_of(config).items()}
        if self.mixes_models:
            shapes["gate.weight"] = (config.experts, config.hidden_size)
            shapes["gate.load_bias.weight"] = (config.experts,)
        for name, shape in shapes.items():
            Node.add(self, name, shape)
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls):
        return False

    def _init_weights(self, module):
        for name, weight in module.named_parameters(recurse=False):
            vector = weight.dim() == 1
            nn.init.zeros_(weight) if vector else nn.init.normal_(weight, std=self.config.initializer_range)

    def get_input_embeddings(self):
        return None

    def weight(self, name):
        node = self
        for part in name.split("."):
            node = node._parameters.get(part) if part in node._parameters else node._modules.get(part)
            if node is None:
                return None
        return node

    def norm(self, x, name):
        y = x.float()
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.config.rms_norm_eps)
        return self.weight(name + ".weight") * y.to(x.dtype)

    def apply_matrix(self, prefix, visit, part, x):
        name = f"{prefix}model.layers.{visit.layer}.{part}"
        y = F.linear(x, self.weight(name + ".weight"), self.weight(name + ".bias"))
        own = prefix + visit.own(part)
        a = self.weight(own + ".lora_a.weight") if visit.loop >= 0 else None
        return y if a is None else y + F.linear(F.linear(x, a), self.weight(own + ".lora_b.weight"))

    def attention(self, prefix, visit, x, angle, mask, cache, place):
        config = self.config
        heads = [self.apply_matrix(prefix, visit, f"self_attn.{part}_proj", x)
                 .unflatten(-1, (-1, config.head_dim)) for part in "qkv"]
        if config.qk_norm:
            layer = f"{prefix}model.layers.{visit.layer}.self_attn."
            heads[0], heads[1] = self.norm(heads[0], layer + "q_norm"), self.norm(heads[1], layer + "k_norm")
        q, k, v = rotate(heads[0], angle), rotate(heads[1], angle), heads[2]
        q, k, v = (y.transpose(1, 2) for y in (q, k, v))
        if cache is not None:
            k, v = cache.update(k, v, place)
        group = config.num_attention_heads // config.num_key_value_heads
        k, v = (y.repeat_interleave(group, 1) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.apply_matrix(prefix, visit, "self_attn.o_proj", y.transpose(1, 2).flatten(2))

    def feed_forward(self, prefix, visit, x):
        gate = self.weight(prefix + visit.own("mlp.gate") + ".weight") if self.config.experts else None
        if gate is None:
            apply = lambda part, y: self.apply_matrix(prefix, visit, f"mlp.{part}_proj", y)  # noqa: E731
            return apply("down", F.silu(apply("gate", x)) * apply("up", x))
        bias = self.weight(visit.own("mlp.gate") + ".load_bias.weight")
        rows = x.flatten(0, 1)
        chosen, weights = choose(F.linear(rows.float(), gate.float()), bias, self.config.experts_per_token)
        y = torch.zeros_like(rows)
        for e in range(self.config.experts):
            row, slot = (chosen == e).nonzero(as_tuple=True)
            expert = [self.weight(f"model.layers.{visit.layer}.mlp.experts.{e}.{part}_proj.weight")
                      for part in ("gate", "up", "down")]
            part = F.linear(F.silu(F.linear(rows[row], expert[0])) * F.linear(rows[row], expert[1]), expert[2])
            y = y.index_add(0, row, part * weights[row, slot, None].to(part.dtype))
        return y.view_as(x)

    def hidden(self, prefix, number, tokens, angle, mask, cache):
        x = before = F.embedding(tokens, self.weight(prefix + "model.embed_tokens.weight"))
        for i, visit in enumerate(self.visits):
            if visit.begins and visit.round == 0:
                before = x
            loop = f"{prefix}model.loops.{visit.loop}"
            if visit.begins and not self.config.serveable:
                added = self.weight(f"{loop}.rounds.{visit.round}.weight") + \
                    F.linear(before, self.weight(f"{loop}.injection.weight"))
                x = x + added * self.weight(f"{loop}.rounds.{visit.round}.gain.weight")
            gains = [self.weight(f"{prefix}{visit.own(part)}.gain.weight") if visit.loop >= 0 else 1.0
                     for part in ("self_attn", "mlp")]
            y = self.norm(x, prefix + visit.own("input_layernorm"))
            place = number * len(self.visits) + i
            x = x + gains[0] * self.attention(prefix, visit, y, angle, mask, cache, place)
            y = self.norm(x, prefix + visit.own("post_attention_layernorm"))
            x = x + gains[1] * self.feed_forward(prefix, visit, y)
        return self.norm(x, prefix + "model.norm")

    def mix(self, states, logits):
        """log sum_i p_i softmax_i: the models that the gate chooses, by the mean of their states."""
        mean = torch.stack([state.float() for state in states]).mean(0)
        chosen, weights = choose(F.linear(mean, self.weight("gate.weight").float()),
                                 self.weight("gate.load_bias.weight"), self.config.experts_per_token)
        logs = torch.full((*mean.shape[:-1], self.config.experts), -torch.inf, device=mean.device)
        logs = logs.scatter(-1, chosen, weights.log())
        return (torch.stack([one.float().log_softmax(-1) for one in logits], -1) + logs[:, :, None]).logsumexp(-1)

    def forward(self, input_ids, attention_mask=None, past_key_values=None, labels=None, use_cache=None, **_):
        cache = past_key_values if isinstance(past_key_values, CherryCache) else None
        if cache is None and (self.config.use_cache if use_cache is None else use_cache) and not self.training:
            cache = CherryCache()
        past, length = cache.get_seq_length() if cache is not None else 0, input_ids.shape[1]
        if attention_mask is None:
            attention_mask = torch.ones(input_ids.shape[0], past + length, device=input_ids.device)
        seen = attention_mask.bool()
        positions = (seen.long().cumsum(-1) - 1).clamp(min=0)[:, past:]
        angle = positions[:, :, None].float() * frequencies(self.config, input_ids.device)
        causal = torch.ones(length, past + length, dtype=torch.bool, device=input_ids.device).tril(past)
        mask = causal[None, None] & seen[:, None, None]
        mask = mask | torch.eye(length, past + length, dtype=torch.bool, device=mask.device).roll(past, -1)
        states, logits = [], []
        for i, prefix in enumerate(self.prefixes):
            states.append(self.hidden(prefix, i, input_ids, angle, mask, cache))
            head = self.weight(prefix + "lm_head.weight")
            logits.append(F.linear(states[-1], self.weight(prefix + "model.embed_tokens.weight")
                                   if head is None else head))
        result = self.mix(states, logits) if self.mixes_models else logits[0]
        loss = None
        if labels is not None:
            loss = F.cross_entropy(result[:, :-1].float().flatten(0, 1), labels[:, 1:].flatten())
        return CausalLMOutputWithPast(loss=loss, logits=result, past_key_values=cache)

    def prepare_inputs_for_generation(self, input_ids, past_key_values=None, attention_mask=None, **kwargs):
        past = past_key_values.get_seq_length() if isinstance(past_key_values, CherryCache) else 0
        return {"input_ids": input_ids[:, past:], "past_key_values": past_key_values,
                "attention_mask": attention_mask, "use_cache": kwargs.get("use_cache", True)}
